"""What probes, fine-tuning and distillation need and are told."""

from types import SimpleNamespace

import pytest
import yaml

from mmcl.config import Config
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.plan import Plan
from mmcl.stages import VERSIONS

QUESTION = slug("whether the people are holding objects?")


@pytest.fixture
def raw(project):
    return yaml.safe_load((project / "config.yaml").read_text())


def at(**wildcards):
    return SimpleNamespace(**wildcards)


def stream(benchmark, run="seed-3"):
    return at(benchmark=benchmark, stream="joint", backbone="ctrgcn", graph="natural", run=run)


def test_encoders_are_those_of_the_same_seed(raw):
    raw["benchmarks"]["new"] = {
        "like": "demo_tuned",
        "train": {"init": {"from": "demo_ikem", "what": "student"}},
    }
    plan = Plan(Config(raw))
    assert plan.initial_encoders(stream("demo_tuned")) == ["results/demo_ikem/ikem/pretrain/seed-3/model.pt"]
    assert plan.initial_encoders(stream("new", "seed-3/fit")) == [
        "results/demo_ikem/ikem/student/seed-3/model.pt"
    ]
    assert plan.initial_encoders(stream("demo_xsub")) == []
    train = plan.stream_settings(stream("demo_tuned"))["train"]
    assert train["init"] == {"from": "demo_ikem", "what": "pretrain", "modality": None}
    assert train["labels"] == 0.5


def test_what_is_off_leaves_no_trace(raw):
    plan = Plan(Config(raw))
    for settings in (
        plan.stream_settings(stream("demo_xsub")),
        plan.ensemble_settings(at(benchmark="demo_xsub")),
    ):
        assert not {"init", "distil", "labels"} & settings["train"].keys()
        assert settings["train"]["batch"] == raw["benchmarks"]["demo_xsub"]["train"]["batch"]


def test_teachers_are_the_members_of_the_same_run(raw):
    plan = Plan(Config(raw))
    joint = f"results/demo_xsub/{QUESTION}/ctrgcn-natural/joint"
    assert plan.teachers(stream("demo_distilled"))[0] == f"{joint}/seed-3/model.pt"
    assert len(plan.teachers(stream("demo_distilled"))) == 6
    assert plan.teachers(stream("demo_distilled", "seed-3/fit"))[0] == f"{joint}/seed-3/fit/model.pt"
    assert plan.teaching_ensemble(stream("demo_distilled")) == ["results/demo_xsub/ensemble.json"]
    assert plan.teachers(stream("demo_xsub")) == plan.teaching_ensemble(stream("demo_xsub")) == []
    distil = plan.stream_settings(stream("demo_distilled"))["train"]["distil"]
    assert (distil["from"], distil["logit_weight"], distil["temperature"]) == ("demo_xsub", 1.0, 4.0)


def test_a_benchmark_like_another_changes_a_part_of_its_distillation(raw):
    raw["benchmarks"]["other"] = {"like": "demo_distilled", "train": {"distil": {"temperature": 2.0}}}
    distil = Plan(Config(raw)).stream_settings(stream("other"))["train"]["distil"]
    assert (distil["from"], distil["temperature"]) == ("demo_xsub", 2.0)


def test_probes(raw):
    raw["benchmarks"]["moved"] = {
        "like": "demo_ikem",
        "seeds": [1, 5],
        "selfsup": {"probe": {"from": "utd_mhad", "of": ["pretrain"], "epochs": 7}},
    }
    plan = Plan(Config(raw))

    def model(benchmark, what):
        return plan.probed_model(at(benchmark=benchmark, what=what, seed="5"))

    assert model("demo_ikem", "student") == "results/demo_ikem/ikem/student/seed-5/model.pt"
    assert model("demo_ikem", "random") == "results/demo_ikem/ikem/pretrain/seed-5/model.pt"
    assert model("moved", "pretrain") == "results/utd_mhad/ikem/pretrain/seed-5/model.pt"
    settings = plan.probe_settings(at(benchmark="moved", what="pretrain", seed="5"))
    assert (settings["what"], settings["seed"], settings["probe"]["epochs"]) == ("pretrain", 5, 7)
    assert settings["version"] == VERSIONS["probe_stream"]
    folder = "results/moved/ikem/probe/pretrain"
    assert plan.probes(at(benchmark="moved")) == {
        "pretrain": [f"{folder}/seed-1/metrics.json", f"{folder}/seed-5/metrics.json"]
    }
    assert list(plan.probes(at(benchmark="demo_ikem"))) == ["random", "pretrain", "student"]
    # a probe's settings make no encoder anew
    before = plan.pretrain_streams_settings(at(benchmark="demo_ikem", seed="1"))
    assert plan.pretrain_streams_settings(at(benchmark="moved", seed="1")) == before


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            {"train": {"init": {"from": "demo_iken"}}},
            "new.train.init.from: no benchmark 'demo_iken'; did you mean 'demo_ikem'",
        ),
        (
            {"dataset": "ntu60", "protocol": "ntu60_xview", "train": {"init": {"from": "ntu60_xsub"}}},
            "new.train.init.from: ntu60_xsub trains on ntu60 by protocol ntu60_xsub, which may hold test clips of",
        ),
        ({"train": {"distil": {"from": "nothing"}}}, "new.train.distil.from: no benchmark 'nothing'"),
        ({"selfsup": {"probe": {"from": "nothing"}}}, "new.selfsup.probe.from: no benchmark 'nothing'"),
        ({"train": {"distil": {"from": "new"}}}, "new.train.distil.from: goes in a circle: new → new"),
        ({"train": {"init": {"what": "student"}}}, "new.train.init: the key 'from' is missing"),
        ({"train": {"distil": {"topk": 1}}}, "new.train.distil: the key 'from' is missing"),
        ({"train": {"labels": 0}}, "new.train.labels: 0 is less than or equal to the minimum of 0"),
    ],
)
def test_mistakes_are_named(raw, own, said):
    raw["benchmarks"]["new"] = {"like": "demo_xsub", **own}
    with pytest.raises(UserError) as mistake:
        Config(raw)
    assert said in str(mistake.value)
