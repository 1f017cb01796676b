import copy

import pytest
import yaml

from mmcl.config import Config, with_demo
from mmcl.report.paper import TABLES, beside


def ensemble(settings: dict, members: list[str], question: str = "no-question") -> dict:
    named = [dict(zip(("backbone", "graph", "stream"), name.split("-"), strict=True)) for name in members]
    figures = {"top1": 80.0, "top5": 95.0}
    return {
        "settings": settings,
        "question": question,
        "clips": 100,
        "members": [{**one, **figures, "mean": 81.0, "sd": 0.5} for one in named],
        "seeds": [{"seed": 1}, {"seed": 2}],
        **figures,
        "mean": {"top1": 81.0},
        "sd": {"top1": 0.5},
    }


@pytest.fixture
def settings(project) -> dict:
    """Of ntu120_xsub, as ensemble.json has them."""
    config = Config(with_demo(yaml.safe_load((project / "config.yaml").read_text())))
    benchmark = config.benchmark("ntu120_xsub")
    return {
        "protocol": "ntu120_xsub",
        "model": benchmark.model.dump(),
        "train": benchmark.train.dump(),
        "vlm": {"name": benchmark.vlm.name},
    }


def plain(settings: dict) -> dict:
    without = copy.deepcopy(settings)
    for term in ("fam", "frm"):
        without["model"][term]["enabled"] = False
    return without


def shown(found: dict) -> list[tuple]:
    return [(row["table"], row["of"], row["paper"]["top1"]) for row in found.get("rows", ())]


def test_rows_of_the_whole_method(settings):
    members = ["ctrgcn-natural-joint", "ctrgcn-natural-bone", "ctrgcn-hd21-joint"]
    found = beside(ensemble(settings, members))
    assert shown(found) == [
        (2, "ensemble", 90.3),
        (3, "joint", 85.79),
        (3, "bone", 87.32),
        (8, "ensemble", 90.3),
    ]
    assert found["rows"][1]["ours"] == {
        "top1": 80.0,
        "top5": 95.0,
        "mean": 81.0,
        "sd": 0.5,
        "best_on_test": None,
        "interval": [71.12, 86.66],
    }
    assert (found["rows"][1]["clips"], found["rows"][1]["seeds"]) == (100, 2)
    assert found["trained"] == {"width": 1.0, "epochs": 110, "batch": 200, "window": 64}


def test_rows_of_the_baseline_and_of_other_settings(settings):
    without = plain(settings)
    natural = ["ctrgcn-natural-joint", "ctrgcn-natural-joint_motion"]
    assert shown(beside(ensemble(without, natural))) == [
        (2, "ensemble", 88.9),
        (3, "joint", 85.01),
        (3, "joint_motion", 81.23),
        (8, "ensemble", 88.9),
    ]
    # another network, one stream: no ensemble of it is in the paper
    assert shown(beside(ensemble(without, ["ctrs-natural-joint"]))) == [(3, "joint", 83.88)]
    assert shown(beside(ensemble(without, ["ctrgcn-hd21-joint"]))) == []
    assert shown(beside(ensemble({**without, "protocol": "odd_subjects"}, natural))) == []
    fam = copy.deepcopy(without)
    fam["model"]["fam"]["enabled"] = True
    assert shown(beside(ensemble(fam, ["ctrgcn-natural-joint"]))) == [(4, "joint", 85.62)]
    settings["model"]["fam"]["weight"], settings["model"]["frm"]["weight"] = 0.2, 0.1
    assert shown(beside(ensemble(settings, ["ctrgcn-natural-joint"]))) == [(6, "joint", 85.76)]


def test_rows_of_zero_shot(settings):
    models = [
        {"member": "ctrgcn-natural-joint", "refined": refined, "top1": 50.0, "top5": 80.0}
        for refined in (False, True)
    ]
    result = {"target": "utd_mhad", "subsets": {"paper": {"clips": 191, "models": models}}}
    found = beside(ensemble(settings, ["ctrgcn-natural-joint"]), [result])
    rows = [row for row in found["rows"] if row["table"] == 10]
    assert [(row["paper"], row["clips"]) for row in rows] == [
        ({"top1": 52.88, "top5": 81.16}, 191),
        ({"top1": 54.97, "top5": 84.29}, 191),
    ]


def test_all_tables_of_accuracies_are_there():
    rows = yaml.safe_load(TABLES.read_text())["rows"]
    assert {row["table"] for row in rows} == {2, 3, 4, 5, 6, 8, 9, 10}
    assert len({tuple(sorted(map(str, row.items()))) for row in rows}) == len(rows) == 51
