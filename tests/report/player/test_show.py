"""`mmcl show` as a user runs it."""

import contextlib

import numpy as np
import pytest
from made_bodies import body
from made_clips import write_skeletons
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.report.player import show


def run(*arguments):
    return CliRunner().invoke(app, ["show", *map(str, arguments)])


@pytest.fixture
def skeletons(tmp_path):
    one, two = body(0, 8, "utd20"), body(1, 8, "utd20")
    mirrored = one * np.array([-1, 1, 1])
    return write_skeletons(tmp_path / "made.h5", {"good": one, "two": two, "mirrored": mirrored}, "utd20")


def test_a_page_is_the_default(skeletons, tmp_path, monkeypatch):
    with contextlib.chdir(tmp_path):
        result = run(skeletons)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        assert result.stderr.startswith("mmcl: made.html: 3 clips, ")
        assert result.stderr.endswith(" kB\n")
        assert (tmp_path / "made.html").is_file()
        result = run(skeletons, "two")
        assert result.stderr.startswith("mmcl: two.html: 1 clip, ")
        monkeypatch.setattr(show, "IN_PAGE", 2)
        assert "mmcl: 2 of 3 clips; name others, or more with --count" in run(skeletons).stderr


def test_what_the_audit_finds_is_noted(skeletons, tmp_path):
    result = run(skeletons, "mirrored", "-o", tmp_path / "m.html")
    assert result.exit_code == 0
    assert "sides: the feet point backwards (cosine " in (tmp_path / "m.html").read_text(encoding="utf-8")
    run(skeletons, "good", "-o", tmp_path / "m.html")
    assert (
        "sides: "
        not in (tmp_path / "m.html").read_text(encoding="utf-8").split('id="data"')[1].split("<script>")[0]
    )


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        ("mp4", "8 frames of good, 30 a second, "),
        ("GIF", "8 frames of good, 30 a second, "),
        ("png", "4 frames of good"),
    ],
)
def test_the_ending_says_what_is_written(skeletons, tmp_path, suffix, said):
    out = tmp_path / f"clip.{suffix}"
    result = run(skeletons, "good", "--out", out, "--frames", 4, "--view", "side", "--size", 120)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"mmcl: {out}: {said}")
    assert out.stat().st_size > 1000


def test_wrong_arguments_end_with_a_sentence(skeletons, tmp_path):
    for arguments, status, message in (
        ((skeletons, "--out", tmp_path / "a.avi"), 2, "ends in none of .html .mp4 .gif .png"),
        ((skeletons, "--out", tmp_path / "no" / "a.html"), 2, "is no folder"),
        ((skeletons, "--option", "a=1"), 2, "needs --reader"),
        ((skeletons, "--member", "a"), 2, "needs --model"),
        ((skeletons, "--view", "back"), 2, "front"),
        ((skeletons, "--model", tmp_path / "no"), 1, "neither a finished benchmark"),
        ((skeletons, "goof"), 1, "no clip 'goof' among 3; did you mean 'good'?"),
        ((skeletons, "--raw"), 1, "has no data set 'made'"),
        (("nothing",), 1, "nothing: no such file"),
    ):
        result = run(*arguments)
        assert result.exit_code == status, (arguments, result.stderr)
        assert message in " ".join(result.stderr.replace("│", " ").split()), arguments
        assert "Traceback" not in result.stderr
