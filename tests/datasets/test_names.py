"""Text files of names."""

import os
from pathlib import Path

import pytest

from mmcl.datasets import names, text
from mmcl.datasets.names import clip_name, name_fault, name_lines, read_lines, read_names
from mmcl.errors import UserError


def test_comments_and_endings_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff# a list\r\na.skeleton\r\n\r\nb  # why\r\n\r\n \r\n".encode())
    assert read_names(path) == ["a", "b"]
    assert read_lines(path) == ["", "a.skeleton", "", "b"]
    path.write_text("# nothing\n")
    assert read_names(path) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_however_a_list_was_saved(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(end.join(["Müller, 1 ", "坐下-2", "", "walk#3", ""]).encode(encoding))
    assert read_names(path) == ["Müller, 1", "坐下-2", "walk#3"]
    path.write_bytes(
        "Müller, 1\n坐下-2".encode("utf-16-le")
    )  # no mark: read as UTF-8 with zeros, which no name has
    with pytest.raises(UserError, match=r"names.txt: line 1: "):
        read_names(path)


EVERY = (
    *(
        "a b",
        "a,b;c",
        "walk#2",
        "walk #2",
        "#2",
        "a # b",
        '"quoted"',
        '"a',
        "it's",
        "ä\u00f1é",
        "坐下",
        "\U0001f600",
    ),
    *("back\\slash", "a/b", "x.skeleton", "x.y.z", "-1", "null", "a\u0308", " around ", "n" * 200),
)


def test_every_name_goes_there_and_back(tmp_path: Path) -> None:
    names = [clip_name(text) for text in EVERY]
    assert not any(map(name_fault, names))
    path = tmp_path / "names.txt"
    path.write_text("# some\n" + name_lines(names), encoding="utf-8")
    assert read_names(path) == names
    assert (clip_name("a\u0308"), clip_name("walk/001"), clip_name("x.SKELETON ")) == ("ä", "walk__001", "x")
    for bad in ("", "a\nb", "a\0b", "\x1b[2J", "n" * 201, os.fsdecode("ä".encode("latin-1"))):
        assert name_fault(clip_name(bad))
    path.write_text("good\na\x1b[2J\n")
    with pytest.raises(UserError, match=r"names.txt: line 2: 'a\\x1b\[2J': the name holds characters"):
        read_names(path)


def test_what_is_no_list_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"absent.txt: cannot be read \(No such file"):
        read_names(tmp_path / "absent.txt")
    path = tmp_path / "a.txt"
    path.write_bytes("a\r\n坐下\r\n".encode("gbk"))
    with pytest.raises(UserError, match=r"a.txt: line 2: not UTF-8 \(byte 3 is 0xd7\); save it as UTF-8"):
        read_names(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"a.txt: is damaged UTF-16; save it as UTF-8"):
        read_names(path)
    path.write_text("a" * (text.LONGEST + 1))
    with pytest.raises(UserError, match=r"a.txt: line 1: has more than 100000 characters"):
        read_names(path)
    monkeypatch.setattr(text, "MAX_LINES", 2)
    path.write_text("\n\n\n")
    with pytest.raises(UserError, match=r"a.txt: has more than 2 lines"):
        read_names(path)
    monkeypatch.setattr(names, "MAX_BYTES", 2)
    with pytest.raises(UserError, match=r"a.txt: has 3 bytes, more than the 2 that are read"):
        read_names(path)
