"""What probes, fine-tuning and distillation need and are given."""

import pytest
from planned import at, stream

from mmcl.config import Config
from mmcl.errors import UserError
from mmcl.plan import Plan
from mmcl.settings.benchmark import Member
from mmcl.settings.merging import merge
from mmcl.stages import VERSIONS

TUNED = "stgcn16-natural-joint"


def test_encoders_are_those_of_the_same_seed(raw):
    raw["benchmarks"]["new"] = {
        "like": "demo_tuned",
        "train": {"init": {"from": "demo_ikem", "what": "student"}},
    }
    plan = Plan(Config(raw))
    tuned = stream(plan, "demo_tuned", 3, member=TUNED)
    assert plan.initial_model(tuned) == ["results/demo_ikem/ikem/pretrain/seed-3/model.pt"]
    assert plan.initial_model(stream(plan, "new", 3, member=TUNED)) == [
        "results/demo_ikem/ikem/student/seed-3/model.pt"
    ]
    assert plan.initial_model(stream(plan, "demo_xsub")) == []
    train = plan.stream_settings(tuned)["train"]
    assert train["init"] == {"from": "demo_ikem", "what": "pretrain", "modality": None}
    assert train["labels"] == 0.5


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            {"model": {"width": 0.75}},
            "pretrain of demo_ikem has encoders with width {width}, this stream has 0.75",
        ),
        ({"model": {"backbone": "ctrs"}}, "pretrain of demo_ikem has encoders with backbone"),
        (
            {"train": {"init": {"from": "two", "modality": "rotation_axis"}}},
            "pretrain of two has no encoder of rotation_axis for stream joint; it has: joint, bone",
        ),
        ({"train": {"init": {"from": "early", "what": "student"}}}, "it has: none of one modality"),
        ({"train": {"init": {"from": "turned"}}}, "has encoders with convention ikem, this stream has ctr"),
    ],
)
def test_encoders_that_will_not_fit_are_told_when_planning(raw, own, said):
    raw["benchmarks"]["early"] = {"like": "demo_ikem", "selfsup": {"student": {"early": True}}}
    two = {"modalities": ["joint", "bone"], "student": {"modalities": ["joint"]}}
    raw["benchmarks"]["two"] = {"like": "demo_ikem", "selfsup": two}
    raw["benchmarks"]["turned"] = {"like": "demo_ikem", "selfsup": {"convention": "ikem"}}
    raw["benchmarks"]["new"] = merge(
        {"like": "demo_tuned", "ensemble": {"members": [{"stream": "joint"}]}}, own
    )
    plan = Plan(Config(raw))
    [member] = plan.config.benchmark("new").members
    with pytest.raises(UserError) as told:
        plan.initial_model(stream(plan, "new", member=member.name))
    assert "benchmarks.new.train.init: " in str(told.value)
    assert said.format(width=plan.config.benchmark("demo_ikem").selfsup.encoder.width) in str(told.value)


def test_teachers_that_see_other_windows_are_told_when_planning(raw):
    raw["benchmarks"]["new"] = {"like": "demo_distilled", "train": {"window": 20}}
    plan = Plan(Config(raw))
    with pytest.raises(
        UserError, match=r"train\.distil: the members of demo_xsub are trained with train\.window 16, this"
    ):
        plan.training_inputs(stream(plan, "new", member=plan.config.benchmark("new").members[0].name))


def test_what_is_off_is_not_in_the_params(raw):
    plan = Plan(Config(raw))
    for settings in (
        plan.stream_settings(stream(plan, "demo_xsub")),
        plan.ensemble_settings(at(benchmark="demo_xsub")),
    ):
        assert not {"init", "distil", "labels"} & settings["train"].keys()
        assert settings["train"]["batch"] == plan.config.benchmark("demo_xsub").train.batch


def test_teachers_are_the_members_of_the_same_run(raw):
    plan = Plan(Config(raw))
    student = plan.training_inputs(stream(plan, "demo_distilled", 3))
    members = plan.config.benchmark("demo_xsub").members
    assert student["teachers"] == [f"{plan.folder_of('demo_xsub', one, 3)}/model.pt" for one in members]
    assert len(student["teachers"]) == 6
    assert student["ensemble"] == ["results/demo_xsub/ensemble.json"]
    raw["benchmarks"]["demo_distilled"]["ensemble"]["weights"] = "fitted"
    fitted = Plan(Config(raw))
    fit = fitted.training_inputs(stream(fitted, "demo_distilled", 3, fit=True))
    assert fit["teachers"] == [f"{plan.folder_of('demo_xsub', one, 3, True)}/model.pt" for one in members]
    assert not {"teachers", "ensemble"} & set(plan.training_inputs(stream(plan, "demo_xsub")))
    distil = plan.stream_settings(stream(plan, "demo_distilled"))["train"]["distil"]
    assert (distil["from"], distil["logit_weight"], distil["temperature"]) == ("demo_xsub", 1.0, 4.0)


def test_a_benchmark_like_another_changes_a_part_of_its_distillation(raw):
    raw["benchmarks"]["other"] = {"like": "demo_distilled", "train": {"distil": {"temperature": 2.0}}}
    plan = Plan(Config(raw))
    distil = plan.stream_settings(stream(plan, "other"))["train"]["distil"]
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


@pytest.fixture
def adapted(raw):
    """A benchmark on other recordings whose streams begin from demo_xsub's."""
    raw["benchmarks"]["adapted"] = {
        "like": "demo_xsub",
        "dataset": "demo_target",
        "zero_shot": {"targets": {}},
        "train": {"epochs": 3, "steps": [2], "init": {"from": "demo_xsub", "what": "stream"}},
    }
    return raw


def test_a_stream_begins_from_the_same_network_of_another_data_set(adapted):
    plan = Plan(Config(adapted))
    for name in ("ctrgcn-natural-joint", "ctrgcn-hd21-bone"):
        model = plan.folder_of("demo_xsub", Member(**parts(name)), 4) + "/model.pt"
        assert plan.initial_model(stream(plan, "adapted", 4, member=name)) == [model]
        # a fit run, too: another data set has none of its held-out subjects
        assert plan.initial_model(stream(plan, "adapted", 4, True, member=name)) == [model]
    where = stream(plan, "adapted")
    before = plan.training_upstream(where)
    adapted["benchmarks"]["demo_xsub"]["train"]["learning_rate"] = 0.01
    other = Plan(Config(adapted))
    assert stream(other, "adapted").settings != where.settings  # which takes over demo_xsub's settings
    adapted["benchmarks"]["adapted"]["train"]["learning_rate"] = 0.05
    other = Plan(Config(adapted))
    assert stream(other, "adapted").settings == where.settings
    assert other.training_upstream(stream(other, "adapted")) != before
    adapted["benchmarks"]["adapted"]["train"]["init"]["modality"] = "bone"
    other = Plan(Config(adapted))
    assert "/ctrgcn-natural-bone/" in other.initial_model(stream(other, "adapted"))[0]


def parts(name):
    return dict(zip(("backbone", "graph", "stream"), name.split("-"), strict=True))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"model": {"width": 0.5}}, "stream of demo_xsub has streams with width 0.125, this stream has 0.5"),
        (
            {"model": {"backbone": "ctrs"}, "ensemble": {"members": [{"stream": "joint"}]}},
            "demo_xsub trains no ctrs-natural-joint for stream joint; it trains: ctrgcn-natural-joint, ctrgcn-",
        ),
        (
            {"train": {"init": {"modality": "acceleration"}}},
            "demo_xsub trains no ctrgcn-natural-acceleration for stream joint",
        ),
    ],
)
def test_streams_that_will_not_fit_are_told_when_planning(adapted, own, said):
    adapted["benchmarks"]["adapted"] = merge(adapted["benchmarks"]["adapted"], own)
    plan = Plan(Config(adapted))
    member = plan.config.benchmark("adapted").members[0].name
    with pytest.raises(UserError, match=rf"benchmarks\.adapted\.train\.init: {said}"):
        plan.initial_model(stream(plan, "adapted", member=member))


def test_a_stream_of_the_same_data_set_is_refused(adapted):
    adapted["benchmarks"]["adapted"] |= {"dataset": "demo"}
    with pytest.raises(
        UserError, match=r"adapted\.train\.init\.from: demo_xsub trains on demo, too; a stream"
    ):
        Config(adapted)


def test_streams_do_not_wait_for_each_other(adapted):
    adapted["benchmarks"]["demo_xsub"]["train"]["init"] = {"from": "adapted", "what": "stream"}
    with pytest.raises(UserError, match=r"init\.from: goes in a circle: \w+ → \w+ → \w+"):
        Config(adapted)


def test_a_stream_learns_from_raw_scores(raw):
    raw["benchmarks"]["demo_xsub"]["ensemble"]["normalise"] = True
    with pytest.raises(UserError, match=r"demo_distilled\.train\.distil\.from: demo_xsub normalises scores"):
        Config(raw)
