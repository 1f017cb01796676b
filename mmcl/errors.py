"""The one exception for what a user can put right, and how its messages name what was meant."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any


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


class _Shown(reprlib.Repr):
    """`reprlib` with small limits, and integers that Python itself would refuse to print."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 80, 80
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxarray = 4

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 256 else f"<integer of {x.bit_length()} bits>"


_shown = _Shown()


def shown(value: Any) -> str:
    """A value from outside as it stands in a message: at most some hundred characters, control characters escaped.

    The work is bounded too, however large or deeply nested the value is. NumPy arrays do not belong here.
    """
    text = _shown.repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def one_line(text: str, most: int = 500) -> str:
    """A text from outside, such as a path or another program's message, as a part of a message.

    It is at most `most` characters long, and what cannot be printed is escaped.
    """
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
