"""`mmcl fetch`."""

import hashlib
import json
import subprocess
import sys

import pytest
from fetch.conftest import BYTES
from fetch.web import Page
from system_calls import asked_for, need_trace, traced
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.naming import sha256


def run(*arguments):
    return CliRunner().invoke(app, ["fetch", *map(str, arguments)])


def lines(text):
    return [line.split("  ", 1) for line in text.splitlines()]


def test_the_list_asks_nobody(shop, tmp_path):
    run("net", "--to", tmp_path)
    shop.asked.clear()
    result = run("--to", tmp_path)
    assert result.exit_code == 0
    assert shop.asked == []
    digest = hashlib.sha256(BYTES["net.pt"]).hexdigest()
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "│" in line]
    assert [cell.strip() for cell in rows[0]] == [
        "net",
        "a network",
        "none",
        "1.0 MB",
        f"{digest[:8]}…",
        "yes",
    ]
    assert "not pinned" in result.stdout


def test_it_prints_what_sha256sum_prints_and_what_the_configuration_may_state(shop, tmp_path):
    result = run("folder", "--to", tmp_path)
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "folder"
    assert lines(result.stdout) == [
        [sha256(path), str(path)] for path in (folder / "config.json", folder / "model.safetensors")
    ]
    assert f"vlm: {{adapter: blip, weights: {folder}, sha256: {sha256(folder)}}}" in result.stderr
    assert "config.json: not pinned: nothing could tell whether it is the published file" in result.stderr
    again = run("folder", "--to", tmp_path)
    assert f"{folder}: is there already" in again.stderr
    assert again.stdout == result.stdout


def test_json_says_what_was_placed(shop, tmp_path):
    result = json.loads(run("net", "--to", tmp_path, "--json").stdout)
    path = tmp_path / "net.pt"
    placed = {"file": str(path), "sha256": sha256(path), "new": True, "pinned": True}
    assert result == {"name": "net", "files": [placed]}
    listed = json.loads(run("--to", tmp_path, "--json").stdout)["weights"]
    there = {one["name"]: (one["there"], one["bytes"], one["weights"]) for one in listed}
    assert there["net"] == (True, len(BYTES["net.pt"]), str(path))
    assert not there["folder"][0]


def test_a_failure_is_one_line(shop, tmp_path):
    shop.pages["release/net.pt"] = Page(b"<html>", kind="text/html")
    result = run("net", "--to", tmp_path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "mmcl: " in result.stderr
    assert "the answer is a web page, not the file; to do without, put net.pt" in result.stderr
    assert list(tmp_path.glob("*.pt")) == []


def test_check(shop, tmp_path):
    assert run("--check", "--to", tmp_path).exit_code == 0
    assert run("net", "--check", "--to", tmp_path).exit_code == 1
    run("net", "--to", tmp_path)
    shop.asked.clear()
    result = run("net", "--check", "--to", tmp_path)
    assert result.exit_code == 0
    assert "as published" in result.stdout
    (tmp_path / "net.pt").write_bytes(b"other")
    result = run("--check", "--to", tmp_path)
    assert result.exit_code == 1
    assert "another file" in result.stdout
    assert shop.asked == []


@pytest.mark.parametrize(
    "arguments",
    [("--from", "."), ("--check", "--from", "."), ("net", "--from", ".", "--mirror", "http://a")],
)
def test_wrong_arguments_end_with_status_2(shop, arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [((), False), (("--check",), False), (("yolov5n", "--from", "."), False), (("yolov5n",), True)],
)
def test_it_asks_for_an_address_only_when_told_to_download(tmp_path, arguments, asks):
    """All system calls are watched; the last case shows that the watch sees something."""
    need_trace()
    calls = tmp_path / "calls"
    command = (sys.executable, "-m", "mmcl", "fetch", *arguments, "--to", tmp_path / "weights")
    if asks:  # a closed port of this machine, in place of the publisher
        command += ("--mirror", "http://127.0.0.1:9")
    subprocess.run((*traced(calls), *command), capture_output=True, cwd=tmp_path, timeout=60)
    assert bool(asked_for(calls)) == asks
