"""Finding recordings, whatever lies in the folders."""

import logging
import os

import pytest

from mmcl.datasets.files import find_file, find_recordings, walk
from mmcl.errors import UserError


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_the_order_follows_from_the_names_alone(tmp_path, monkeypatch):
    make(tmp_path, *(f"{folder}/{file}" for folder in "cab" for file in ("2", "10", "1")))
    (tmp_path / "aa").symlink_to(tmp_path / "b")
    expected = [f"{folder}/{file}" for folder in "abc" for file in ("1", "10", "2")]
    assert list(walk(tmp_path)) == expected  # a folder that is there twice has the path without the link
    scandir = os.scandir

    class Reversed:
        def __init__(self, path):
            self.entries = scandir(path)

        def __enter__(self):
            return reversed(list(self.entries))

        def __exit__(self, *_):
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Reversed)
    assert list(walk(tmp_path)) == expected


def test_what_cannot_be_read_costs_nothing_else(tmp_path, monkeypatch, caplog):
    make(tmp_path, "good/a.npz", "closed/b.npz", "c.npz")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    (tmp_path / "good" / "up").symlink_to(tmp_path)
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with caplog.at_level(logging.WARNING):
        assert list(walk(tmp_path)) == ["c.npz", "good/a.npz"]
    messages = sorted(record.getMessage() for record in caplog.records)
    assert messages == [
        f"{tmp_path}/closed: cannot be read (Permission denied); left out",
        f"{tmp_path}/itself: cannot be read (Too many levels of symbolic links); left out",
    ]
    with pytest.raises(UserError, match=r"absent: cannot be read \(No such file or directory\)"):
        list(walk(tmp_path / "absent"))


def test_endings_may_have_capitals(tmp_path):
    make(tmp_path, "a_rgb.AVI", "b_RGB.avi", "sub/c_rgb.Mp4", "d_rgb.txt", "e.avi", "jo\u0308rg_rgb.avi")
    assert find_recordings(tmp_path, ("_rgb.avi", "_rgb.mp4")) == {
        "a": "a_rgb.AVI",
        "b": "b_RGB.avi",
        "c": "sub/c_rgb.Mp4",
        "jörg": "jo\u0308rg_rgb.avi",
    }
    make(tmp_path, "sub/a_rgb.avi")
    with pytest.raises(UserError, match=r"a lies there twice, as a_rgb.AVI and as sub/a_rgb.avi; keep one"):
        find_recordings(tmp_path, ("_rgb.avi",))
    make(tmp_path, "Train_Label.PKL")
    found = find_file(tmp_path, "train_label.pkl")
    assert found
    assert found.name == "Train_Label.PKL"
    assert find_file(tmp_path, "val_label.pkl") is None
