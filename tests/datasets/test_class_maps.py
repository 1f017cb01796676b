import json
import re

import pytest

from mmcl.datasets.class_maps import FOLDER, read_class_map
from mmcl.datasets.files import numbered_names
from mmcl.errors import UserError


def test_the_papers_six_classes():
    paper = {entry.target: entry.source for entry in read_class_map("utd_mhad") if entry.subset == "paper"}
    assert paper == {"a3": "A023", "a6": "A096", "a7": "A063", "a24": "A009", "a25": "A008", "a27": "A080"}
    assert {entry.target for entry in read_class_map("utd_mhad")} - set(paper) == {"a4", "a5", "a15", "a22"}


@pytest.mark.parametrize(("name", "classes"), [("utd_mhad", 27), ("sysu", 12)])
def test_every_class_is_mapped_once_or_explained(name, classes):
    data = json.loads((FOLDER / f"{name}.json").read_text())
    reported = [*data["classes"], *data["without_counterpart"]]
    assert sorted(reported) == sorted(numbered_names(f"{name}/actions.txt", "a", 0))
    assert len(reported) == classes
    entries = read_class_map(name)
    known = numbered_names("ntu/actions.txt", "A", 3)
    assert all(
        entry.source in known and entry.subset in ("paper", "mapped") and entry.reason for entry in entries
    )
    reasons = data["without_counterpart"].values()
    assert all(reasons)
    # a reason that names a class of the source calls it by its name
    for number, called in re.findall(
        r"(A\d{3}) (arm circles|tennis bat swing|pickup|throw)", " ".join(reasons)
    ):
        assert known[number] == called
    assert data["source"] == "ntu120"
    assert "Table 10 of MMCL" in data["about"]
    assert len({entry.source for entry in entries}) == len(entries)


def test_unknown_map():
    with pytest.raises(UserError, match=r"no class map 'utd'.*sysu, utd_mhad"):
        read_class_map("utd")
