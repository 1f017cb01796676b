"""The one exception for what a user can put right, how its messages name what was meant, and lack of memory as one."""

import difflib
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMED = 5
"""Names that `some` gives."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""How torch, its CPU allocator and cuBLAS say that memory does not suffice."""


class UserError(Exception):
    """Bad input, bad setting or missing file.

    The message names the file or key and the cause; it is shown without a traceback.
    """


class Damaged(UserError):
    """A file does not hold what was written into it.

    Attributes:
        path: the file.
    """

    def __init__(self, text: str, path: str | Path = ""):
        super().__init__(text)
        self.path = Path(path)


def meant(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a name much like it, if there is one."""
    close = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def known(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: what was meant, and all there are."""
    names = sorted(names)
    return f"{meant(word, names)}; known: {', '.join(names) or 'none'}"


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


def some(names: Sequence[str]) -> str:
    """Names from outside as they stand in a message: the first ones, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(shown(name)[1:-1] for name in names[:NAMED]) + more


@contextmanager
def memory_reported(remedy: str) -> Iterator[None]:
    """Turn an error about memory that does not suffice into a sentence.

    Args:
        remedy: what the user can do, the end of the message.

    Raises:
        UserError: in place of such an error of torch, NumPy or Python in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own is a RuntimeError
        said = " ".join(str(error).split())
        if not isinstance(error, MemoryError) and not any(mark in said for mark in OUT_OF_MEMORY):
            raise
        raise UserError(f"memory does not suffice ({said[:160] or 'MemoryError'}); {remedy}") from None


def one_line(text: str, most: int = 500) -> str:
    """A text from outside, such as a path or another program's message, as a part of a message.

    It is at most `most` characters long, and what cannot be printed is escaped.
    """
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
