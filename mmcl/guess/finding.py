"""What was guessed of a data set, and why."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One guess.

    Attributes:
        what: such as `layout`.
        value: what it is taken for; "" where that is not known.
        why: what was seen in the files.
        check: what the user has to look at, "" where there is no doubt.
    """

    what: str
    value: str
    why: str
    check: str = ""
