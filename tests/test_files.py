import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path

import pytest

from mmcl.errors import UserError
from mmcl.files import Busy, DiskFull, locked, read_json, write_json, write_text, written


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
    with pytest.raises(DiskFull, match=r"a.txt: disk full; nothing was written, free space and run again"):
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


def test_a_full_disk_is_named_whatever_a_library_says(tmp_path, monkeypatch):
    """torch and HDF5 report it as an error without a number; then it is tried whether anything can be written."""

    def failing(error):
        with written(tmp_path / "a.pt") as temporary:
            temporary.write_bytes(b"half")
            raise error

    short = RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0")
    with pytest.raises(RuntimeError, match="unexpected pos"):
        failing(short)
    with pytest.raises(OSError, match="Is a directory"):
        failing(OSError(errno.EISDIR, "Is a directory"))
    sentence = r"a.pt: disk full; nothing was written, free space and run again"
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(DiskFull, match=sentence):
            failing(OSError(number, "full"))
        with pytest.raises(DiskFull, match=sentence):
            failing(OSError(f"file write failed: errno = {number}, error message = ..."))

        def full(number=number, **_):
            raise OSError(number, "full")

        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "TemporaryFile", full)
            with pytest.raises(DiskFull, match=sentence):
                failing(short)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
@pytest.mark.parametrize("wait", [False, True])
def test_without_locks_it_goes_on_with_one_warning(tmp_path, monkeypatch, caplog, number, wait):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with locked(tmp_path / "a" / "lock", "busy", wait=wait) as waited:
            assert not waited
    [record] = caplog.records
    assert record.message.startswith(f"{tmp_path}/a: files cannot be locked on this file system")
    assert os.strerror(number) in record.message


def test_a_lock_that_another_holds_is_no_lack_of_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise BlockingIOError(errno.EAGAIN, "held")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(Busy, match="busy"), locked(tmp_path / "lock", "busy"):
        pass


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
