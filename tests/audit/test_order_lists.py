"""Order lists against the names of a data set."""

from pathlib import Path

import pytest

from mmcl.audit import Source
from mmcl.audit.names import check_list, compare_names
from mmcl.datasets.protocols import as_clips
from mmcl.errors import UserError

CLIPS = ["a", "b", "c", "d"]


def found(listed: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.kind, finding.clips) for finding in compare_names(listed, CLIPS)]


def test_a_list_that_fits_is_silent() -> None:
    assert found(CLIPS) == []


def test_missing_unknown_repeated_and_out_of_order() -> None:
    assert found(["a", "b", "c"]) == [("name_missing", ("d",))]
    assert found([*CLIPS, "e"]) == [("name_unknown", ())]
    assert found(["a", "b", "b", "c", "d"]) == [("name_repeated", ("b",))]
    assert found(["b", "a", "c", "d"]) == [("name_order", ("a",))]
    detail = compare_names(["a", "c", "b", "d"], CLIPS)[0].detail
    assert detail.startswith("name 3, b, comes after c")


def test_a_list_without_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="holds no name"):
        check_list(path, Source("ntu25", as_clips([]), lambda i: None), None)
