"""The page as a reader's browser sees it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_benchmark import AWKWARD, make, zero_shot
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.report.page import duration, interval


class Page(HTMLParser):
    """Tags with their attributes, and the text by itself."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(folder: Path, *arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["report", *arguments, "--no-cost", "--output", str(folder / "page.html")])
    assert done.exit_code == status, done.output
    return done.stderr


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """120 classes with awkward names, two streams, two seeds, a baseline, zero-shot."""
    folder = tmp_path_factory.mktemp("large")
    make(folder, classes=120, streams=2, seeds=2, clips=3)
    zero_shot(folder)
    arguments = ["--baseline", str(folder / "results/plain")]
    arguments += ["--markdown", str(folder / "page.md"), "--json", str(folder / "page.json")]
    said = report(folder, str(folder / "results/many"), *arguments)
    assert said == f"mmcl: report of many written to {folder / 'page.html'}\n"
    return folder


def test_nothing_is_outside_the_page(large):
    page = Page(large / "page.html")
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/png;base64,", "#")), (tag, name)
    assert not page.of("script")
    assert not page.of("link")
    text = (large / "page.html").read_text()
    assert not re.search(r"https?://|url\(|@import", text)
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.of("a")} <= targets


def test_pictures_have_texts_and_the_page_a_title(large):
    page = Page(large / "page.html")
    pictures = page.of("img")
    assert len(pictures) == 6
    assert all(len(picture["alt"]) > 30 for picture in pictures)
    assert "<title>many: report</title>" in (large / "page.html").read_text()


def test_names_are_shown_as_they_are(large):
    page, text = Page(large / "page.html"), (large / "page.html").read_text()
    for name in AWKWARD:
        assert " ".join(name.split()) in " ".join(page.text.split())
    assert "<b>bold</b>" not in text
    assert "<i>trained</i>" not in text


def test_every_class_has_its_numbers(large):
    result = json.loads((large / "results/many/ensemble.json").read_text())
    page = (large / "page.html").read_text()
    by_part = {part: _rows(page, part) for part in ("accuracy", "classes")}
    for one in result["per_class"][len(AWKWARD) :]:
        row = by_part["classes"][f"{one['id']} {one['name']}"]
        assert (row[1], row[2], row[4]) == ("3", f"{one['top1']:.2f}", f"{one['precision']:.2f}")
    for one in result["members"]:
        assert by_part["accuracy"][f"ctrgcn-natural-{one['stream']}"][1] == f"{one['top1']:.2f}"
    assert f"<b>{result['top1']:.2f} %</b>" in page
    assert f"{result['mean']['top1']:.2f} ± {result['sd']['top1']:.2f} % over 2 seeds" in " ".join(
        page.split()
    )


def _rows(page: str, part: str) -> dict[str, list[str]]:
    """First cell → all cells of the rows of a section."""
    section = page.split(f'<section id="{part}">')[1].split("</section>")[0]
    found = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.S):
        cells = [
            re.sub("<[^>]*>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
        ]
        if cells:
            found[cells[0]] = cells
    return found


def test_markdown_and_json_say_the_same(large):
    written, text = json.loads((large / "page.json").read_text()), (large / "page.md").read_text()
    own = written["accuracy"]["ensemble"]
    assert (
        f"**{own['top1']:.2f} %** top-1 [{own['interval'][0]:.2f}, {own['interval'][1]:.2f}], 360 test clips"
        in text
    )
    assert "a \\| b `c`" in text
    assert "<b>" not in text
    # every table has as many cells in each row
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
    assert set(written["gain"]) >= {"mean", "per_class"}


def test_what_there_is_not_is_not_on_the_page(tmp_path):
    make(tmp_path, classes=3, streams=1, seeds=1, clips=4)
    report(tmp_path, str(tmp_path / "results/plain"))
    page = Page(tmp_path / "page.html")
    sections = [section["id"] for section in page.of("section")]
    assert sections == ["accuracy", "confusion", "classes", "training", "cost", "left-out"]
    assert [link["href"][1:] for link in page.of("a")] == sections
    assert "by one stream" in page.text
    assert "The test clips were not evaluated during training" in " ".join(page.text.split())
    assert "±" not in page.text


def test_bad_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ["report", "nothing"])
    assert run.exit_code == 1
    assert "nothing: no finished benchmark" in run.stderr
    assert CliRunner().invoke(app, ["report", "b", "--output", "nowhere/a.html"]).exit_code == 2


def test_numbers_as_they_are_written():
    assert interval([1.5, 20.0]) == "[1.50, 20.00]"
    assert interval([-1.5, 20.0], signed=True) == "[-1.50, +20.00]"
    assert interval(None) == "–"
    assert [duration(s) for s in (1.2, 119, 600, 12_000)] == ["1 s", "119 s", "10 min", "3 h 20 min"]
