"""Names of clips, and text files with one name per line."""

import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mmcl.datasets.text import text_lines
from mmcl.errors import UserError, shown

MAX_BYTES = 64 * 2**20
"""Of a file; the names of all clips of NTU RGB+D 120 take 2.4 MB."""

MAX_LENGTH = 200
"""Characters of a name or a label."""

ENDING = ".skeleton"
"""Which lists of NTU RGB+D's names may have behind each name."""

COMMENT = re.compile(r"(?:^|\s)#")
"""Where a comment begins: `walk#2` is a name."""


def clip_name(text: str) -> str:
    """The form in which a clip is named everywhere, whatever system the name comes from.

    Letters with marks are composed (NFC; macOS decomposes them in file names), blanks around the name and the ending
    `.skeleton` do not count, and the folders of a path are joined by `__`, so that `walk/001` is `walk__001`.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if name.lower().endswith(ENDING):
        name = name[: -len(ENDING)].rstrip()
    return re.sub(r"[/\\]+", "__", name)


def name_fault(name: str) -> str:
    """Why a clip cannot have this name, "" if it can."""
    if not name:
        return "the name is empty"
    if len(name) > MAX_LENGTH:
        return f"the name is longer than {MAX_LENGTH} characters"
    return "" if name.isprintable() else "the name holds characters that cannot be printed, or is not UTF-8"


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without comments and surrounding blanks; empty ones count, but not those at the end.

    `#` begins a comment at the start of a line or after a blank. A line in double quotes, as in JSON, is taken
    literally: `"walk #2"`.

    Raises:
        UserError: see `text_lines`.
    """
    lines = [_content(line) for line in text_lines(path, MAX_BYTES)]
    while lines and not lines[-1]:
        del lines[-1]
    return lines


def _content(line: str) -> str:
    line = line.strip()
    if line.startswith('"'):
        try:
            text, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            pass  # a name that begins with a quote
        else:
            if not line[end:].strip() or COMMENT.match(line[end:]):
                return str(text)
    comment = COMMENT.search(line)
    return line[: comment.start()].rstrip() if comment else line


def read_names(path: Path) -> list[str]:
    """The names in a text file in the form of `clip_name`, in order.

    Raises:
        UserError: see `text_lines`; or a line that can be no clip's name.
    """
    names = []
    for number, line in enumerate(read_lines(path), 1):
        if name := clip_name(line):
            if fault := name_fault(name):
                raise UserError(f"{path}: line {number}: {shown(name)}: {fault}")
            names.append(name)
    return names


def name_lines(names: Iterable[str]) -> str:
    """Names as `read_names` reads them back, one a line."""
    return "".join(
        f"{name if _content(name) == name else json.dumps(name, ensure_ascii=False)}\n" for name in names
    )
