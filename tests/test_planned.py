import pytest

from mmcl import planned
from mmcl.errors import UserError

CONFIG = {"instruction": "what?", "train": {"epochs": 9, "steps": [2, 5]}, "seeds": [1]}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv(planned.VARIABLE, "")
    monkeypatch.delenv(planned.VARIABLE)


def test_a_job_with_the_configuration_of_its_run_goes_on():
    planned.check(CONFIG)  # no run has announced one
    assert not planned.in_workflow()
    planned.announce(CONFIG)
    assert planned.in_workflow()
    planned.check({"seeds": [1], "train": {"steps": [2, 5], "epochs": 9}, "instruction": "what?"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train": {"epochs": 6, "steps": [2, 5]}}, "train"),
        ({"seeds": [1, 2], "instruction": "why?"}, "instruction, seeds"),
        ({"recipe": "reference"}, "recipe"),
    ],
)
def test_another_configuration_stops_a_job(change, named):
    planned.announce(CONFIG)
    with pytest.raises(UserError, match=rf"^changed since this run was started: {named}; this job would use"):
        planned.check(CONFIG | change)


def test_so_do_other_versions_of_stages(monkeypatch):
    planned.announce(CONFIG)
    monkeypatch.setitem(planned.VERSIONS, "train_stream", 99)
    with pytest.raises(UserError, match=r"^changed since this run was started: mmcl/stages\.py;"):
        planned.check(CONFIG)
