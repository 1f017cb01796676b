"""Pages of the site that lie at the top of the repository, and links to its other files."""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ADDED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top → their pages."""
PAGES = {**ADDED, "README.md": "index.md"}
LINK = re.compile(r"(?<!!)\[((?:[^][]|\[[^]]*\])*)\]\(([^()\s#:]+)(#[^()\s]+)?\)")
CODE = re.compile(r"(^ *```.*?^ *```)", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top."""
    for name, page in ADDED.items():
        files.append(File.generated(config, page, abs_src_path=str(_top(config) / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Links that lead out of docs/ go to the file's page, to the repository if it has an address, or nowhere."""
    top = _top(config)
    base = top if page.file.generated_by else top / "docs"

    def led(link: re.Match[str]) -> str:
        text, anchor = link[1], link[3] or ""
        path = Path(os.path.normpath(base / link[2]))
        name = os.path.relpath(path, top)
        if name in PAGES or path.is_relative_to(top / "docs"):
            return f"[{text}]({PAGES.get(name) or os.path.relpath(path, top / 'docs')}{anchor})"
        if not path.exists():
            return link[0]  # about which MkDocs complains
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/HEAD/{name}{anchor})"
        return text

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(led, part) for part in parts[::2]]
    return "".join(parts)


def _top(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
