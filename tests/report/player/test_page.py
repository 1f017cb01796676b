"""The page: its data is that of the clips, and it needs and executes nothing else."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from made_bodies import body

from mmcl.report.player import page
from mmcl.report.player.page import write_page
from mmcl.report.player.shown import Answer, Recognition, Shown, Skeleton
from mmcl.video import jpeg

EVIL = "</script><img src=x onerror=alert(1)>&amp; ‹Ω› {{script}} \u2028"


@pytest.fixture
def clip():
    joints = body(0, 30, "utd20").astype(np.float32)
    joints[12] = 0
    joints[13, 0, 4] = np.nan
    shown = Shown(EVIL, 30.0, EVIL, (Skeleton("", "utd20", joints, "m"),), notes=[EVIL])
    shown.montage = jpeg.encode(np.zeros((8, 8, 3), np.uint8), 95)
    shown.answers = [Answer(EVIL, EVIL, EVIL, float("nan")), Answer("a", "b", "yes", 0.25)]
    scores = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    shown.recognition = Recognition("m", ["a", EVIL, "c"], np.array([15, 30]), scores, 15)
    return shown


class Parser(HTMLParser):
    """Scripts, and everything that would be fetched."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.fetched, self.tags, self.inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = dict(attrs) if tag == "script" else None
        self.fetched += [value for key, value in attrs if key in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        if self.inside is not None:
            self.scripts.append((self.inside, data))
            self.inside = None


def data_of(path):
    scripts = Parser(path.read_text(encoding="utf-8")).scripts
    return json.loads(next(text for attributes, text in scripts if attributes.get("id") == "data"))


def floats(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_the_data_is_that_of_the_clip(clip, tmp_path):
    written = write_page([clip], tmp_path / "p.html", EVIL)
    assert written.clips == [EVIL]
    assert written.size == (tmp_path / "p.html").stat().st_size
    (found,) = data_of(tmp_path / "p.html")["clips"]
    (skeleton,) = found["skeletons"]
    joints = clip.skeletons[0].joints
    assert skeleton["shape"] == [30, 1, 20]
    np.testing.assert_array_equal(floats(skeleton["joints"]).reshape(joints.shape), joints)
    assert skeleton["names"][4] == "shoulder_left"
    assert skeleton["tracks"]["present"] == ["1" * 12 + "0" + "1" * 17]
    assert (found["frames"], found["rate"], found["left_out"]) == (30, 30.0, "")
    assert (found["name"], found["label"], found["notes"]) == (EVIL, EVIL, [EVIL])
    assert [one["p_yes"] for one in found["answers"]] == [None, 0.25]
    assert base64.b64decode(found["montage"].partition(",")[2]) == clip.montage
    recognition = found["recognition"]
    assert recognition["classes"] == ["a", "c", EVIL]  # best first
    assert recognition["scores"] == [[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]


def test_the_page_is_alone_and_text_stays_text(clip, tmp_path):
    write_page([clip], tmp_path / "p.html", EVIL)
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    parser = Parser(text)
    assert len(parser.scripts) == 2
    assert parser.tags.count("img") == 1  # the montage's, which has no source yet
    assert parser.fetched == []
    assert "onerror" not in parser.scripts[1][1]
    assert not re.search(r"https?:|@import|url\(|import\(|fetch\(|XMLHttp|innerHTML|\beval\(", text)
    assert "default-src 'none'" in text
    assert text.count(page._resource("page.js")) == 1


def test_a_page_that_would_be_too_large_leaves_clips_out(clip, tmp_path, monkeypatch):
    size = write_page([clip], tmp_path / "p.html", "t").size
    monkeypatch.setattr(page, "MOST_BYTES", size + 5_000)
    written = write_page([clip, clip, clip], tmp_path / "p.html", "t")
    assert len(written.clips) == 1
    assert len(data_of(tmp_path / "p.html")["clips"]) == 1


def dom(path, fragment):
    """The page after its script has run."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("runs the page in Chromium, which is not installed")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=1500",
        "--dump-dom",
    ]
    profile = f"--user-data-dir={path.parent / 'profile'}"
    done = subprocess.run(
        [*command, profile, f"file://{path}#{fragment}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_page_runs_and_a_state_can_be_linked(clip, tmp_path):
    lost = Shown("lost", 30.0, left_out="no <b>frames</b>")
    write_page([clip, lost], tmp_path / "p.html", "t")
    text = dom(tmp_path / "p.html", "frame=20&view=side,3d")
    assert "frame 20 of 0 … 29, 0.67 s" in text
    assert text.count("<figcaption>") == 2
    assert "side: z →, y ↑ in m" in text
    assert "3-D, grid" in text
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;" in text
    assert "left out: no &lt;b&gt;frames&lt;/b&gt;" in dom(tmp_path / "p.html", "clip=lost")
