import pytest

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.index import read_index, write_index
from mmcl.errors import UserError

ENTRIES = [
    ClipEntry("S001C001P001R001A001", "A001", 1, 1, 1, None, "a b/x.skeleton", "", ""),
    ClipEntry("a3_s1_t4", "a3", 1, 1, 1, 60, "odd\tname\n.mat", "v.avi", 'a "reason"', "test"),
]


def test_round_trip(tmp_path):
    path = tmp_path / "results" / "demo.tsv"
    write_index(path, ENTRIES)
    assert read_index(path) == ENTRIES
    header, first = path.read_text().splitlines()[:2]
    assert header.split("\t") == [
        "name",
        "action",
        "subject",
        "camera",
        "setup",
        "frames",
        "skeleton",
        "video",
        "left_out",
        "split",
    ]
    assert first == "S001C001P001R001A001\tA001\t1\t1\t1\t\ta b/x.skeleton\t\t\t"


def test_columns_are_found_by_name(tmp_path):
    path = tmp_path / "demo.tsv"
    write_index(path, ENTRIES[:1])
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join(reversed(line)) + "\n" for line in lines))
    assert read_index(path) == ENTRIES[:1]


def test_mistakes(tmp_path):
    path = tmp_path / "demo.tsv"
    with pytest.raises(UserError, match=r"demo.tsv: cannot be read"):
        read_index(path)
    path.write_text("name\taction\n")
    with pytest.raises(UserError, match=r"its first line must be the columns name action"):
        read_index(path)
    write_index(path, ENTRIES)
    whole = path.read_text()
    path.write_text(whole.replace("\t1\t1\t1\t", "\t1\tx\t1\t", 1))
    with pytest.raises(UserError, match=r"line 2: .*'x'"):
        read_index(path)
    path.write_text(whole + "half a li")
    with pytest.raises(UserError, match=r"line 4: has 1 columns, expected 10"):
        read_index(path)
    path.write_text(whole.replace("\ttest\n", "\tvalidation\n"))
    with pytest.raises(UserError, match=r"split is 'validation', must be train, test or empty"):
        read_index(path)
