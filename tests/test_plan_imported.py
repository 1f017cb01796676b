"""What is planned where the answers were made elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from planned import at, stream

from mmcl.config import Config
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.plan import Plan

QUESTION = slug("whether the people are holding objects?")
CONFIG = """
instruction: "whether the people are holding objects?"
datasets:
  made: {reader: utd_mhad, skeletons: skeletons}
  other: {reader: utd_mhad, skeletons: skeletons}
benchmarks:
  made:
    dataset: made
    protocol: odd_subjects
    vlm: {name: elsewhere, adapter: imported, weights: answers}
    model: {fam: {enabled: false}}
    ensemble: {members: [{stream: joint}], weights: equal}
    zero_shot: {targets: {other: utd_mhad}}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("answers/made").mkdir(parents=True)


def planned(**frm):
    raw = yaml.safe_load(CONFIG)
    raw["benchmarks"]["made"]["model"]["frm"] = frm
    return Plan(Config(raw))


def write(value=0.5, ending=".npz"):
    path = Path(f"answers/made/{QUESTION}{ending}")
    if ending == ".csv":
        path.write_text("name,text\na1_s1_t1,yes\n")
    else:
        np.savez(path, names=np.array(["a1_s1_t1"]), states=np.full((1, 4), value, np.float32))
    return path


def upstream(plan):
    return plan.training_upstream(stream(plan, "made", member="ctrgcn-natural-joint"))


def inputs(plan):
    return plan.training_inputs(stream(plan, "made"))


def test_answers_need_neither_videos_nor_a_model():
    write()
    plan = planned()
    assert inputs(plan) == {"answer": [f"results/answers/made/elsewhere/{QUESTION}/000-of-001.h5"]}
    assert plan.imported_vlms == "elsewhere"


def test_they_are_examined_without_pictures():
    write()
    found = planned().examined(at(benchmark="made"))["answers"]
    assert found == [f"results/answers/made/elsewhere/{QUESTION}/000-of-001.h5"]


def test_changed_answers_are_imported_anew_and_touched_ones_are_not():
    path = write()
    first = upstream(planned())
    path.touch()
    assert upstream(planned()) == first
    write(0.25)
    changed = upstream(planned())
    assert changed != first
    # results outlive the folder
    path.parent.rename("away")
    assert upstream(planned()) == changed


def test_missing_and_damaged_answers_are_told_when_planning():
    with pytest.raises(
        UserError, match=rf"^vlm elsewhere: .*answers/made: no answers to the question {QUESTION}"
    ):
        inputs(planned())
    write().write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"^vlm elsewhere: .*npz: cannot be read as npz"):
        inputs(planned())


def test_what_frm_reads_must_be_there():
    write(ending=".csv")
    with pytest.raises(UserError, match=r"frm.input hidden needs the column states, and .*csv has text$"):
        inputs(planned(input="hidden"))
    with pytest.raises(UserError, match=r"frm.input p_yes needs the column p_yes"):
        inputs(planned(input="p_yes"))
    assert inputs(planned(input="constant"))


def test_a_zero_shot_target_without_answers_is_planned_without():
    write()
    wildcards = at(benchmark="made", target="other")
    assert planned().target_answers(wildcards) == []
    Path("answers/made").rename("answers/other")
    found = planned().target_answers(wildcards)
    assert found == [f"results/answers/other/elsewhere/{QUESTION}/000-of-001.h5"]


def test_without_imported_answers_the_expression_fits_nothing(project):
    import re

    raw = yaml.safe_load(CONFIG)
    raw["benchmarks"]["made"]["vlm"] = {"name": "blip"}
    assert not re.fullmatch(Plan(Config(raw)).imported_vlms, "blip")
