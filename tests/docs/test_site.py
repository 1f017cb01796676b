"""The documentation site: built strictly, without anything of another server, and read as GitHub reads the pages."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from documented import PAGES, PROJECT
from mkdocs.exceptions import PluginError

HOOKS = PROJECT / "docs/site"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""Tags that fetch something → the attribute that says what."""


class Page(HTMLParser):
    """What a page loads and links to, its anchors, and its text without code and formulas."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads, self.links, self.anchors, self.text = [], [], set(), []
        self.within: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag in ("code", "pre", "script", "style", "math", "title"):
            self.within.append(tag)

    def handle_endtag(self, tag):
        if self.within and self.within[-1] == tag:
            self.within.pop()

    def handle_data(self, data):
        if not self.within:
            self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.name: Page(path) for path in site.glob("*.html") if path.name != "404.html"}


@pytest.fixture
def hooks(monkeypatch):
    """The modules github, links and mathml."""
    monkeypatch.syspath_prepend(str(HOOKS))
    import github
    import links
    import mathml

    yield SimpleNamespace(github=github, links=links, mathml=mathml)
    for name in ("github", "links", "mathml"):
        del sys.modules[name]


def test_every_page_is_in_the_site(site, pages):
    there = {path.stem.lower() for path in PAGES} - {"readme"}
    assert there | {"index", "changelog"} == {name.removesuffix(".html") for name in pages}
    assert (site / "search/search_index.js").stat().st_size > 100_000


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        for source in page.loads:
            assert "//" not in source, f"{name}: {source}"
            assert (site / source).exists(), f"{name}: {source}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import) *[\"']?(?:https?:)?//", style.read_text()), style


def test_links_lead_somewhere(site, pages):
    for name, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if "://" in link or link.startswith("mailto:"):
                continue
            assert (site / (target or name)).exists(), f"{name}: {link}"
            if anchor and (target or name) in pages:
                assert anchor in pages[target or name].anchors | {"__skip"}, f"{name}: {link}"


def test_markdown_has_become_html(pages):
    for name, page in pages.items():
        text = "".join(page.text)
        for left in (r"\n *[-*] \w.*", r"\n *\|.*", r"```.*", r"\*\*\w.*", r"\]\(.*", r"\$\\?\w.*"):
            found = re.search(left, text)
            assert not found, f"{name}: {found[0]}"


def test_no_page_names_another_in_plain_text():
    for page in PAGES:
        found = re.search(r"(?<!\[)`docs/[\w-]+\.md`(?!\])", page.read_text(encoding="utf-8"))
        assert not found, f"{page.name}: {found[0]} is no link"


def test_lists_as_on_github(hooks):
    github = "text\n- one\n  more\n\n  ```sh\n  run\n    it\n  ```\n  1. a\n- two\nover\n\nend\n| `a\\|b` |\n|---|\n"
    here = (
        "text\n\n- one\n    more\n\n    ```sh\n    run\n      it\n    ```\n\n    1. a\n- two\n    over\n\nend\n\n"
        "| `a|b` |\n|---|\n"
    )
    assert hooks.github.on_page_markdown(github) == here


def test_links_out_of_the_docs(hooks):
    def shown(text, repo_url, top=False):
        config = SimpleNamespace(config_file_path=str(PROJECT / "mkdocs.yml"), repo_url=repo_url)
        page = SimpleNamespace(file=SimpleNamespace(generated_by="a hook" if top else None))
        return hooks.links.on_page_markdown(text, page=page, config=config)

    code = "[`paths`](../mmcl/paths.py) and [here](ikem.md#commands)"
    assert shown(code, None) == "`paths` and [here](ikem.md#commands)"
    assert "(https://host/mmcl/blob/HEAD/mmcl/paths.py)" in shown(code, "https://host/mmcl/")
    assert (
        shown("[a](../CONTRIBUTING.md) [b](../no/file.py)", None) == "[a](contributing.md) [b](../no/file.py)"
    )
    assert shown("[a](docs/ikem.md#commands)", None, top=True) == "[a](ikem.md#commands)"
    assert shown("```\n[a](../mmcl/paths.py)\n```", None) == "```\n[a](../mmcl/paths.py)\n```"


def test_formulas_become_mathml(hooks):
    def drawn(formula):
        html = f'<p><span class="arithmatex">\\({formula}\\)</span></p>'
        return hooks.mathml.on_page_content(html, page=SimpleNamespace(file=SimpleNamespace(src_uri="a.md")))

    assert drawn("a_1 &lt; b").startswith('<p><span class="formula"><math xmlns=')
    assert "<msub><mi>a</mi><mn>1</mn></msub>" in drawn("a_1")
    with pytest.raises(PluginError, match=r"a.md: cannot draw \\nosuch of"):
        drawn(r"\nosuch{a}")
