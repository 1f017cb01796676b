"""Text files with one name per line; `#` begins a comment."""

from pathlib import Path

from mmcl.errors import UserError

MAX_BYTES = 64 * 2**20
"""Of a file; the names of all clips of NTU RGB+D 120 take 2.4 MB."""


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without comments and surrounding blanks, empty ones included.

    Raises:
        UserError: it cannot be read as text, or is larger than MAX_BYTES.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MB; not a list of names")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of names ({error})") from None
    return [line.partition("#")[0].strip() for line in lines]


def read_names(path: Path) -> list[str]:
    """The names in a text file, in order; the ending `.skeleton` does not count.

    Raises:
        UserError: see `read_lines`.
    """
    return [name for line in read_lines(path) if (name := line.removesuffix(".skeleton"))]
