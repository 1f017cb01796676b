"""Formulas between dollar signs become MathML, which browsers draw by themselves: no script, no font."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Replace the formulas that pymdownx.arithmatex has marked."""

    def drawn(found: re.Match[str]) -> str:
        latex = html.unescape(found[3]).strip()
        mathml = convert(latex, display="inline" if found[2] == "(" else "block")
        # a command that latex2mathml does not know comes out as it went in
        if unknown := re.search(r"\\\w+|<mi>&</mi>", mathml):
            raise PluginError(f"{page.file.src_uri}: cannot draw {unknown[0]} of ${latex}$")
        return f'<{found[1]} class="formula">{mathml}</{found[1]}>'

    return FORMULA.sub(drawn, content)
