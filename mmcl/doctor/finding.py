"""What a check found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        name: what was looked at.
        state: `ok`, `warn` (works, or is not needed now) or `fail`.
        detail: what was found.
        remedy: what to do about it; empty where nothing is to be done.
    """

    name: str
    state: str
    detail: str
    remedy: str = ""


Check = Callable[[], Iterator[Finding]]


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, OK, detail)


def warn(name: str, detail: str, remedy: str) -> Finding:
    """It may go wrong."""
    return Finding(name, WARN, detail, remedy)


def fail(name: str, detail: str, remedy: str) -> Finding:
    """It goes wrong."""
    return Finding(name, FAIL, detail, remedy)
