"""Text files of names."""

from pathlib import Path

import pytest

from mmcl.datasets import names
from mmcl.datasets.names import read_lines, read_names
from mmcl.errors import UserError


def test_comments_and_endings_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff# a list\r\na.skeleton\r\n\r\nb  # why\r\n".encode())
    assert read_names(path) == ["a", "b"]
    assert read_lines(path) == ["", "a.skeleton", "", "b"]
    path.write_text("# nothing\n")
    assert read_names(path) == []


def test_what_is_no_list_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="cannot be read as a list of names"):
        read_names(tmp_path / "absent.txt")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a list of names"):
        read_names(tmp_path / "a.txt")
    monkeypatch.setattr(names, "MAX_BYTES", 2)
    with pytest.raises(UserError, match="not a list of names"):
        read_names(tmp_path / "a.txt")
