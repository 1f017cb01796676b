import pytest

from mmcl.datasets.exclusion import plan_exclusion, read_exclusion, read_planned
from mmcl.errors import UserError


def test_names_and_comments(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# made by hand\nb_s1\n\n  a_s2  # twice the same\r\nb_s1\n")
    assert read_exclusion(str(path)) == {"a_s2", "b_s1"}


def test_comments_and_order_do_not_count_and_names_do(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\nb\n")
    planned = plan_exclusion(str(path))
    assert planned.file == str(path)
    path.write_text("# why\nb\na\n")
    assert plan_exclusion(str(path)) == planned
    assert read_planned(planned) == {"a", "b"}
    path.write_text("a\n")
    with pytest.raises(UserError, match="the list has changed since this run was planned; run again"):
        read_planned(planned)


def test_found_from_the_working_directory_or_the_project(tmp_path, monkeypatch, project):
    inside = "resources/ntu/missing_skeletons.txt"
    monkeypatch.chdir(tmp_path)
    assert len(read_exclusion(inside)) == 535
    (tmp_path / "resources" / "ntu").mkdir(parents=True)
    (tmp_path / inside).write_text("one\n")
    assert read_exclusion(inside) == {"one"}
    with pytest.raises(UserError, match=rf"no file lists/no.txt in {tmp_path} or {project}"):
        plan_exclusion("lists/no.txt")


def test_not_text(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="damaged UTF-16; save it as UTF-8"):
        read_exclusion(str(tmp_path / "list.txt"))
