"""Markdown as GitHub reads it, for Python-Markdown.

Lists and tables may follow text, two blanks indent what is in an item, and bars in a table's code are escaped.
"""

import re
from typing import Any

ITEM = re.compile(r" *([-*+]|\d+[.)]) +(?=\S)")
CODE = re.compile(r"`[^`]+`")
FENCE = re.compile(r" *(`{3,}|~{3,})")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Indent what is in list items by four blanks a level, and put an empty line before lists and tables."""
    lines: list[str] = []
    columns: list[int] = []  # where the text of each open item begins
    fence = ""
    loose = True  # no item, or one with an empty line in it
    for line in markdown.splitlines():
        text = line.lstrip()
        indent = len(line) - len(text)
        before = lines[-1].strip() if lines else ""
        item = None if fence else ITEM.match(line)
        opens = None if fence else FENCE.match(line)
        # text that follows text belongs to it, however it is indented
        if text and not fence and (item or opens or not before):
            while columns and indent < columns[-1]:
                columns.pop()
        begins = item or (text.startswith("|") and not before.startswith("|"))
        if before and begins and loose and not fence:
            lines.append("")
        if text.startswith("|") and not fence:
            # a bar within code ends a cell on GitHub alone
            text = CODE.sub(lambda code: code[0].replace("\\|", "|"), text)
        depth = " " * 4 * len(columns)
        more = " " * (indent - columns[-1] if columns else indent) if fence or opens or not before else ""
        lines.append(f"{depth}{more}{text}" if text else "")
        if item:
            columns.append(item.end())
        loose = not item and (loose or not text)
        if fence and text.rstrip() == fence:
            fence = ""
        elif opens:
            fence = opens[1]
    return "\n".join(lines) + "\n"
