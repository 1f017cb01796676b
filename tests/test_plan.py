"""What rules need and are told, without Snakemake."""

from pathlib import Path
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
def plan(project):
    return Plan(Config(yaml.safe_load((project / "config.yaml").read_text())))


def at(**wildcards):
    return SimpleNamespace(**wildcards)


def test_members_are_listed_seed_by_seed(plan):
    joint = f"results/demo_xsub/{QUESTION}/ctrgcn-natural/joint"
    scores = plan.member_files("scores.h5", "seeds")(at(benchmark="demo_xsub"))
    assert len(scores) == 6
    assert scores[0] == f"{joint}/seed-1/scores.h5"
    assert (
        plan.member_files("scores.h5", "fit")(at(benchmark="demo_xsub"))[0] == f"{joint}/seed-1/fit/scores.h5"
    )
    assert plan.member_files("model.pt", "first")(at(benchmark="demo_xsub_plain"))[5] == (
        "results/demo_xsub_plain/no-question/ctrgcn-hd21/bone/seed-1/model.pt"
    )


def test_a_fit_run_moves_the_steps_along(project):
    raw = yaml.safe_load((project / "config.yaml").read_text())
    train, ensemble = {"epochs": 16, "steps": [11, 14]}, {"fit_epochs": 8}
    raw["benchmarks"]["small"] = {"like": "demo_xsub", "train": train, "ensemble": ensemble}
    plan = Plan(Config(raw))
    where = {"benchmark": "small", "backbone": "ctrgcn", "graph": "hd21", "stream": "bone"}
    whole = plan.stream_settings(at(run="seed-7", **where))
    fit = plan.stream_settings(at(run="seed-7/fit", **where))
    assert (whole["seed"], whole["fit"], fit["seed"], fit["fit"]) == (7, False, 7, True)
    assert (whole["train"]["epochs"], whole["train"]["steps"]) == (16, [11, 14])
    assert (fit["train"]["epochs"], fit["train"]["steps"]) == (8, [6, 7])
    assert whole["model"]["graph"] == "hd21"
    assert whole["version"] == VERSIONS["train_stream"]


def test_gpus_are_asked_for_and_are_no_setting(project, monkeypatch):
    monkeypatch.setattr("mmcl.plan.GPU", 1)
    raw = yaml.safe_load((project / "config.yaml").read_text())
    run = at(benchmark="ntu60_xsub", stream="joint", backbone="ctrgcn", graph="natural", run="seed-1")
    settings = Plan(Config(raw)).stream_settings(run)
    raw["benchmarks"]["ntu60_xsub"]["gpus"] = 4
    plan = Plan(Config(raw))
    assert plan.training_gpus(run) == plan.training_processes(run) == 4
    assert plan.stream_settings(run) == settings
    assert plan.training_gpus(at(benchmark="demo_xsub")) == 1
    monkeypatch.setattr("mmcl.plan.GPU", 0)
    assert (plan.training_gpus(run), plan.training_processes(run)) == (0, 4)


def test_frozen_features_or_pictures_or_nothing(plan):
    def pictures(benchmark):
        return plan.training_pictures(at(benchmark=benchmark))

    assert pictures("demo_xsub") == [f"results/rgb/demo/demo-shufflenet/00{i}-of-002.h5" for i in (0, 1)]
    assert pictures("demo_xsub_no_fam") == []
    with pytest.raises(UserError, match=r"datasets.ntu60.videos: no folder is given"):
        pictures("ntu60_xsub")
    plan.config.values["datasets"]["ntu60"]["videos"] = "videos"
    assert pictures("ntu60_xsub")[15] == "results/montages/ntu60/015-of-016.h5"


def test_a_cnn_is_trained_here_only_where_asked_for(project):
    raw = yaml.safe_load((project / "config.yaml").read_text())
    cnn = {"name": "own", "weights": None, "frozen": True, "pretrain": {"protocol": "odd_subjects"}}
    raw["benchmarks"]["own"] = {"like": "demo_xsub", "model": {"fam": {"cnn": cnn}}}
    plan = Plan(Config(raw))
    own, demo = at(dataset="demo", cnn="own"), at(dataset="demo", cnn="demo-shufflenet")
    assert plan.pretrained_weights(own)[0] == "results/rgb/demo/own/weights.safetensors"
    assert plan.pretrained_weights(demo) == []
    assert plan.montages(own) == [f"results/montages/demo/00{i}-of-002.h5" for i in (0, 1)]
    settings = plan.pretrain_settings(own)
    assert settings["version"] == VERSIONS["pretrain_cnn"]
    assert (settings["architecture"], settings["protocol"]) == ("shufflenet_v2_x0_5", "odd_subjects")
    assert "feature" not in settings  # another feature needs no other weights
    with pytest.raises(UserError, match="'demo-shufflenet' is not trained here"):
        plan.pretrain_settings(demo)


def test_params_tell_which_clips_train_and_test(project, tmp_path, monkeypatch):
    raw = yaml.safe_load((project / "config.yaml").read_text())
    cnn = {"name": "own", "weights": None, "frozen": True, "pretrain": {"protocol": "half/2"}}
    raw["protocols"] = {"half": {"source": "me", "random": {"of": "subjects", "folds": 2}}}
    raw["benchmarks"]["demo_half"] = {
        "like": "demo_xsub",
        "protocol": "half/2",
        "model": {"fam": {"cnn": cnn}},
    }
    raw["benchmarks"]["demo_clean"] = {"like": "demo_half", "exclude": "clips.txt"}
    raw["benchmarks"]["demo_clean"]["model"] = {"fam": {"cnn": {"name": "own-clean"}}}
    plan = Plan(Config(raw))
    monkeypatch.chdir(tmp_path)
    Path("clips.txt").write_text("a\n")

    def params(benchmark):
        run = at(benchmark=benchmark, backbone="ctrgcn", graph="natural", stream="joint", run="seed-1")
        cnn = plan.benchmark(run)["model"]["fam"]["cnn"]["name"]
        return [
            plan.stream_settings(run),
            plan.score_settings(run),
            plan.ensemble_settings(run),
            plan.pretrain_settings(at(dataset="demo", cnn=cnn)),
        ]

    for settings in params("demo_half"):
        assert (settings["protocol"], settings["rule"]) == (
            "half/2",
            {"random": {"folds": 2, "of": "subjects"}},
        )
        assert "exclude" not in settings
    before = params("demo_clean")
    assert [settings["exclude"]["file"] for settings in before] == ["clips.txt"] * 4
    Path("clips.txt").write_text("a\nb\n")
    for new, old in zip(params("demo_clean"), before, strict=True):
        assert new["exclude"]["sha256"] != old["exclude"]["sha256"]
    Path("clips.txt").unlink()
    with pytest.raises(UserError, match=r"benchmarks.demo_clean.exclude: no file clips.txt in"):
        params("demo_clean")


def test_answers_follow_the_question(plan):
    def answers(question):
        return plan.training_answers(at(benchmark="demo_xsub", question=question))

    assert answers(QUESTION)[0] == f"results/answers/demo/demo-blip/{QUESTION}/000-of-002.h5"
    assert answers("no-question") == []
    assert plan.target_answers(at(benchmark="demo_xsub", target="demo_target"))
    assert plan.target_answers(at(benchmark="demo_xsub_no_frm", target="demo_target")) == []


def test_params_are_plain_values_with_sorted_keys(plan):
    settings = plan.crop_settings(at(dataset="demo"))
    assert list(settings) == sorted(settings)
    assert "montage" not in settings["video"]
    assert plan.folder("videos")(at(dataset="demo")) == Path("results/demo/raw/demo/videos")
    assert plan.folder("videos")(at(dataset="ntu60")) is None


def test_wrong_targets_are_named(plan):
    with pytest.raises(UserError, match="it has: demo_target"):
        plan.zero_shot_settings(at(benchmark="demo_xsub", target="sysu"))
    with pytest.raises(UserError, match="there are: blip-vqa-capfilt-large, demo-blip"):
        plan.vlm_settings(at(vlm="llava"))
    with pytest.raises(UserError, match="is not drawn by the project"):
        plan.drawn_settings(at(dataset="ntu60"))
    with pytest.raises(UserError, match="set `instruction` to the text"):
        plan.question_text(at(question="other-12345678"))


# ------------------------------------------------------------------------------------------------ own data


def own_plan(project, **dataset):
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["datasets"]["mine"] = {"reader": "own", "shards": 2, **dataset}
    return Plan(Config(config))


def test_the_table_of_your_own_data_is_an_input(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = own_plan(project, skeletons=str(tmp_path), options={"layout": "ntu25", "clips": "list.csv"})
    with pytest.raises(UserError, match=r"datasets\.mine\.options\.clips: no file .*list\.csv"):
        plan.recordings(at(dataset="mine"))
    (tmp_path / "list.csv").touch()
    assert plan.recordings(at(dataset="mine")) == [str(tmp_path / "list.csv")]
    assert plan.poses(at(dataset="mine")) == []
    with pytest.raises(UserError, match=r"datasets\.mine: has no section `poses`"):
        plan.pose_settings(at(dataset="mine"))


def test_the_layout_of_your_own_data_is_an_input(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = own_plan(project, skeletons=str(tmp_path), options={"layout": "hand.json"})
    with pytest.raises(UserError, match=r"datasets\.mine\.options\.layout: no file hand\.json"):
        plan.layout_file(at(dataset="mine"))
    (tmp_path / "hand.json").touch()
    assert plan.layout_file(at(dataset="mine")) == ["hand.json"]
    plan = own_plan(project, skeletons=str(tmp_path), options={"layout": "ntu25"})
    assert plan.layout_file(at(dataset="mine")) == []
    assert plan.layout_file(at(dataset="utd_mhad")) == []


def test_poses_come_before_skeletons_and_what_they_follow_from(project):
    weights = "resources/demo/pose.safetensors"
    plan = own_plan(project, videos="videos", poses={"weights": weights, "joint_confidence": 0.4})
    assert plan.poses(at(dataset="mine")) == [f"results/poses/mine/00{i}-of-002.h5" for i in (0, 1)]
    assert plan.prepare_settings(at(dataset="mine"))["joint_confidence"] == 0.4
    poses = plan.pose_settings(at(dataset="mine"))["poses"]
    assert (poses["architecture"], poses["weights"], poses["every"]) == ("yolov8n-pose", weights, 1)
    # another threshold for joints does not run the network again
    assert "joint_confidence" not in poses
    with pytest.raises(UserError, match=r"datasets\.mine\.videos: no folder videos"):
        plan.recordings(at(dataset="mine"))


def test_poses_go_with_listed_clips_and_without_skeletons(project):
    poses = {"weights": "x.pt"}
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: makes the skeletons, so set"):
        own_plan(project, skeletons="somewhere", videos="videos", poses=poses)
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: goes with reader own"):
        own_plan(project, reader="ntu", videos="videos", poses=poses)
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: the key 'weights' is missing"):
        own_plan(project, videos="videos", poses={})
