"""The one exception for what a user can put right, and how its messages name what was meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input, bad setting or missing file.

    The message names the file or key and the cause; it is shown without a traceback.
    """


def meant(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a name much like it, if there is one."""
    close = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def known(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: what was meant, and all there are."""
    return f"{meant(word, names)}; known: {', '.join(sorted(names))}"
