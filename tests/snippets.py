"""Code blocks of Markdown pages, and running them as a reader would: in order, one after another."""

import re
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.M | re.S)


class Block(NamedTuple):
    """A fenced block of code.

    Attributes:
        language: what stands behind the fence; "" for nothing.
        line: of the page, on which its text begins.
        text: the code.
    """

    language: str
    line: int
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in some languages, in order; of all languages if none is named."""
    text = page.read_text(encoding="utf-8")
    found = [Block(one[1], text.count("\n", 0, one.start()) + 2, one[2]) for one in FENCE.finditer(text)]
    return [one for one in found if not languages or one.language in languages]


def run_python(page: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the Python blocks of a page in one namespace; a traceback shows the page's own lines.

    Args:
        page: the Markdown file.
        names: what is defined before.

    Returns:
        The namespace after the last block.
    """
    names = {} if names is None else names
    for block in blocks(page, "python"):
        # empty lines before it, so that line numbers are those of the page
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, names)
    return names
