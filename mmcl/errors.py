"""The one exception for what a user can put right, how its messages name what was meant, and lack of memory as one."""

import difflib
import errno
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMED = 5
"""Names that `some` gives."""
HOST = "the host's memory"
MORE = "have the job given more (mem_mb of its rule)"
WITHOUT_GPU = "take a machine with more of it; MMCL_DEVICE=cpu computes without the GPU"
"""What helps where no setting lowers the memory that is needed."""
DEEPEST = 8
"""Errors that led to one another, of which `memory_reported` looks at no more."""
OF_GPU = re.compile(
    r"(?i)CUDA.*out of memory|out of memory.*CUDA|CU(BLAS|DNN|SOLVER|SPARSE|FFT).*ALLOC(ATION)?_FAILED"
)
"""How torch, cuBLAS and cuDNN say that the memory of a GPU does not suffice."""
OF_HOST = re.compile(r"(?i)out of memory|can(no|')t allocate memory|DataLoader worker .*Killed")
"""How the allocators of the host say it, and torch of a worker process that the system ended for it."""
ASKED = re.compile(r"(?:[Tt]ried|[Uu]nable) to allocate (\d+(?:\.\d+)?) ?(bytes|[KMGTP]iB)")
FREE = re.compile(r"total capacity of (\d+(?:\.\d+)? [KMGT]iB) of which (\d+(?:\.\d+)? [KMGT]iB) is free")


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


class OutOfMemory(UserError):
    """Memory does not suffice."""


@contextmanager
def memory_reported(remedy: str, host: str = MORE) -> Iterator[None]:
    """Turn an error about memory that does not suffice into a sentence.

    It says whether the memory of the GPU or of the host is meant and, as far as the error tells, how much was asked
    for and how much is free. An error that followed from one, such as of a CUDA graph whose capture broke off, is
    taken for it.

    Args:
        remedy: what the user can do, the end of the message.
        host: what helps too where it is the host's memory; "" for nothing more.

    Raises:
        OutOfMemory: in place of such an error of torch, CUDA's libraries, NumPy or Python in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:  # torch's own is a RuntimeError
        cause: BaseException | None = error
        for _ in range(DEEPEST):
            if cause is None:
                break
            if lack := _lack(cause):
                more = f", or {host}" if host and lack.startswith(HOST) else ""
                raise OutOfMemory(f"{lack}; {remedy}{more}") from None
            cause = cause.__cause__ or cause.__context__
        raise


def _lack(error: BaseException) -> str:
    """What an error says about memory that does not suffice; "" for another error."""
    said = " ".join(str(error).split())
    if isinstance(error, RuntimeError) and OF_GPU.search(said):
        which = "the GPU's memory"
    elif (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or (isinstance(error, RuntimeError) and OF_HOST.search(said))
    ):
        which = HOST
    else:
        return ""
    asked, free = ASKED.search(said), FREE.search(said)
    told = [f"{_readable(*asked.groups())} more were asked for"] if asked else []
    told += [f"{free[2]} of {free[1]} are free"] if free else []
    return f"{which} does not suffice ({', '.join(told) or said[:160] or 'MemoryError'})"


def _readable(number: str, unit: str) -> str:
    return f"{int(number) / (1 << 30):.2f} GiB" if unit == "bytes" else f"{number} {unit}"


def one_line(text: str, most: int = 500) -> str:
    """A text from outside, such as a path or another program's message, as a part of a message.

    It is at most `most` characters long, and what cannot be printed is escaped.
    """
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
