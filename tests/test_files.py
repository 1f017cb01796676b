import fcntl
import json
from pathlib import Path

import pytest

from mmcl.errors import UserError
from mmcl.files import Busy, locked, read_json, write_json, write_text, written


def test_json_is_readable_and_leaves_nothing_beside_it(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, 2]})
    assert "größe" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_list_of_numbers_is_one_line_and_text_is_left_alone(tmp_path):
    value = {
        "confusion": [[1, -2], [30, 4.5e-06]],
        "text": ["[\n 1\n]", "[ 1 ]"],
        "none": [None],
        "empty": [],
    }
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "    [1, -2],\n    [30, 4.5e-06]\n" in text
    assert json.loads(text) == value


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")

    def full(self, *rest, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def stopped():
        with written(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]
    with written(path, sync=True) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".png"
        assert path.read_bytes() == b"old"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"new")]


def test_a_lock_is_held_by_one_alone(tmp_path):
    path = tmp_path / "folder" / "lock"
    with locked(path, "busy") as waited:
        assert not waited
        with pytest.raises(Busy, match="busy"), locked(path, "busy"):
            pass
        path.unlink()  # another lock file of the same name is another lock
        with locked(path, "busy"), open(path) as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with locked(path, "busy"):
        pass


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[" * 100_000])
def test_json_that_cannot_be_read_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: cannot be read as JSON .*; delete it and run again"):
        read_json(tmp_path / "a.json")
