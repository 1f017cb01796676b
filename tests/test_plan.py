"""What rules need and are given, without Snakemake."""

from pathlib import Path

import pytest
import yaml
from planned import at, stream

from mmcl.config import Config
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.index import write_index
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.plan import Plan, run_digest
from mmcl.settings import tables
from mmcl.settings.jobs import StreamTraining
from mmcl.stages import VERSIONS

QUESTION = slug("whether the people are holding objects?")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Plans look at results/ of the working directory: these tests have an empty one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plan(raw):
    return Plan(Config(raw))


def test_members_are_listed_seed_by_seed(plan):
    scores = plan.member_files("scores.h5", "seeds")(at(benchmark="demo_xsub"))
    assert len(scores) == 6
    where = stream(plan, "demo_xsub")
    joint = f"results/streams/demo/odd_subjects/ctrgcn-natural-joint/{where.settings}"
    assert scores[0] == f"{joint}/seed-1/scores.h5"
    fit = plan.member_files("scores.h5", "fit")(at(benchmark="demo_xsub"))[0]
    assert (
        fit
        == f"{joint.replace(where.settings, stream(plan, 'demo_xsub', fit=True).settings)}/seed-1/fit/scores.h5"
    )
    assert plan.member_files("model.pt", "first")(at(benchmark="demo_xsub_plain"))[5].startswith(
        "results/streams/demo/odd_subjects/ctrgcn-hd21-bone/"
    )


def test_a_fit_run_moves_the_steps_along(plan):
    whole = plan.stream_settings(stream(plan, "demo_xsub", 7, member="ctrgcn-hd21-bone"))
    fit = plan.stream_settings(stream(plan, "demo_xsub", 7, True, member="ctrgcn-hd21-bone"))
    assert (whole["seed"], whole["fit"], fit["seed"], fit["fit"]) == (7, False, 7, True)
    epochs, steps = whole["train"]["epochs"], whole["train"]["steps"]
    half = plan.config.benchmark("demo_xsub").ensemble.fit_epochs
    assert fit["train"]["epochs"] == half
    assert fit["train"]["steps"] == [max(1, round(step * half / epochs)) for step in steps]
    assert whole["model"]["graph"] == "hd21"
    assert whole["version"] == VERSIONS["train_stream"]


def test_equal_members_of_two_benchmarks_are_one_run(raw):
    raw["benchmarks"]["few"] = {
        "like": "demo_xsub",
        "ensemble": {"members": [{"stream": "bone"}, {"stream": "acceleration"}], "weights": "equal"},
        "zero_shot": {"targets": {}},
    }
    raw["benchmarks"]["wider"] = {"like": "few", "model": {"width": 0.5}}
    raw["benchmarks"]["other_cnn_unused"] = {
        "like": "demo_xsub_plain",
        "model": {"fam": {"temperature": 0.9}, "frm": {"n": 5}},
    }
    plan = Plan(Config(raw))

    def runs(benchmark):
        return set(plan.member_files("model.pt", "seeds")(at(benchmark=benchmark)))

    assert len(runs("few") - runs("demo_xsub")) == 1
    assert len(runs("few") & runs("demo_xsub")) == 1
    assert not runs("wider") & runs("few")
    # settings of terms that are switched off are no settings of the run
    assert runs("other_cnn_unused") == runs("demo_xsub_plain")
    assert not runs("demo_xsub_plain") & runs("demo_xsub")


def test_a_run_is_found_by_its_settings_and_not_by_others(plan):
    where = stream(plan, "demo_xsub", 4)
    training = StreamTraining.model_validate(plan.stream_settings(where))
    assert run_digest(training) == where.settings
    assert (training.seed, training.stream, training.question) == (
        4,
        "joint",
        "whether the people are holding objects?",
    )
    with pytest.raises(
        UserError, match="no benchmark in the configuration trains a stream with these settings"
    ):
        plan.stream_settings(at(**{**vars(where), "settings": "00000000"}))


@pytest.mark.parametrize(
    ("part", "written", "message"),
    [
        ("dataset", "deno", "data set 'deno'; did you mean 'demo'?"),
        (
            "protocol",
            "odd_subject",
            "protocol 'odd_subject'; did you mean 'odd_subjects'?; known: odd_subjects",
        ),
        (
            "member",
            "ctrgcn-natural-jiont",
            "member 'ctrgcn-natural-jiont'; did you mean 'ctrgcn-natural-joint'?",
        ),
        (
            "member",
            "ctrgnc-natural-joint",
            "member 'ctrgnc-natural-joint'; did you mean 'ctrgcn-natural-joint'?",
        ),
        ("dataset", "nw_ucla", "no benchmark trains a stream of protocol 'odd_subjects'; known: nw_ucla"),
        ("run", "seed-4/fit", "no benchmark in the configuration trains a stream with these settings"),
    ],
)
def test_every_part_of_a_streams_path_is_held_to_what_is_trained(plan, part, written, message):
    where = at(**{**vars(stream(plan, "demo_xsub", 4)), part: written})
    for function in (
        plan.training_inputs,
        plan.stream_settings,
        plan.score_settings,
        plan.training_processes,
    ):
        with pytest.raises(UserError) as caught:
            function(where)
        assert message in str(caught.value)


def test_equal_settings_on_two_data_sets_are_two_runs(raw):
    raw["benchmarks"]["target"] = {"like": "demo_xsub_plain", "dataset": "demo_target", "threads": 3}
    plan = Plan(Config(raw))
    demo, target = stream(plan, "demo_xsub_plain"), stream(plan, "target")
    assert demo.settings == target.settings
    assert (plan.run(demo).benchmark, plan.run(target).benchmark) == ("demo_xsub_plain", "target")


def test_a_shard_is_one_of_the_data_sets(plan):
    for name in ("002-of-002", "000-of-001", "0-of-2", "first"):
        with pytest.raises(
            UserError, match=f"no shard '{name}' of data set demo; there are 000-of-002 to 001-"
        ):
            plan.shard_upstream(at(dataset="demo", shard=name))


def test_a_benchmark_has_its_own_question(raw):
    raw["benchmarks"]["cup"] = {"like": "demo_xsub", "instruction": "is it a cup?"}
    raw["benchmarks"]["cup_plain"] = {"like": "demo_xsub_plain", "instruction": "is it a cup?"}
    plan = Plan(Config(raw))
    cup, base = (plan.training_inputs(stream(plan, name)) for name in ("cup", "demo_xsub"))
    assert cup["answer"][0] == f"results/answers/demo/demo-blip/{slug('is it a cup?')}/000-of-002.h5"
    assert base["answer"][0] == f"results/answers/demo/demo-blip/{QUESTION}/000-of-002.h5"
    assert plan.question_text(at(question=slug("is it a cup?"))) == "is it a cup?"
    # without FRM the question is no setting
    assert stream(plan, "cup_plain") == stream(plan, "demo_xsub_plain")


def test_further_questions_are_answered_in_the_same_pass(raw):
    raw["benchmarks"]["demo_xsub"]["vlm"]["also_ask"] = ["is it red?"]
    plan = Plan(Config(raw))
    where = at(vlm="demo-blip", question=QUESTION)
    assert plan.further_questions(where).value == ["is it red?"]
    assert plan.further_questions(at(vlm="demo-blip", question=slug("is it red?"))).value == []
    assert plan.question_text(at(question=slug("is it red?"))) == "is it red?"
    del raw["benchmarks"]["demo_xsub"]["vlm"]["also_ask"]
    before = Plan(Config(raw))
    assert plan.vlm_settings(where) == before.vlm_settings(where)
    assert stream(plan, "demo_xsub") == stream(before, "demo_xsub")


def test_a_model_that_sees_videos_is_given_crops(raw):
    def planned():
        plan = Plan(Config(raw))
        shard = at(dataset="demo", shard="000-of-002", vlm="demo-blip")
        run = stream(plan, "demo_xsub")
        return plan.asked_about(shard), plan.answers_upstream(shard), plan.training_upstream(run)

    assert planned()[0] == "results/montages/demo/000-of-002.h5"
    for name in list(raw["benchmarks"]):
        vlm = raw["benchmarks"][name].get("vlm", {})
        if vlm.get("name") == "demo-blip":
            vlm |= {"adapter": "image_text", "options": {"frames_as_video": True}}
    crops, *before = planned()
    assert crops == "results/crops/demo/000-of-002.h5"
    # montages are not in between: their size makes no answer anew, the boxes do
    raw["datasets"]["demo"]["video"].setdefault("montage", {})["size"] = 400
    assert planned()[1] == before[0]
    raw["datasets"]["demo"]["video"]["detector"]["confidence"] = 0.3
    assert planned()[1] != before[0]
    assert planned()[2] != before[1]


def test_memory_follows_weights_and_pictures_and_the_attempt(raw, plan, tmp_path):
    assert plan.crop_memory(at(dataset="demo"), 1) == 4500 + 5 * 300
    assert plan.crop_memory(at(dataset="demo"), 3) == 3 * plan.crop_memory(at(dataset="demo"), 1)
    (tmp_path / "model.safetensors").write_bytes(bytes(3 << 20))
    raw["benchmarks"]["demo_xsub"]["vlm"] = {"name": "large", "weights": str(tmp_path)}
    plan = Plan(Config(raw))
    assert plan.vlm_memory(at(vlm="large"), 1) == 4006
    assert plan.vlm_memory(at(vlm="large"), 2) == 8012
    # processes decode the pictures of a CNN that is trained along
    kinds = ("ntu60_xsub", "demo_xsub", "ntu120_xsub_plain")
    assert [plan.picture_memory(stream(plan, name)) for name in kinds] == [800, 0, 0]


def test_gpus_are_asked_for_and_are_no_setting(raw):
    plan = Plan(Config(raw))
    run = stream(plan, "ntu60_xsub")
    settings = plan.stream_settings(run)
    raw["benchmarks"]["ntu60_xsub"]["gpus"] = 4
    plan = Plan(Config(raw))
    assert plan.training_processes(run) == 4
    assert plan.stream_settings(run) == settings
    assert plan.training_processes(stream(plan, "demo_xsub")) == 1
    assert plan.training_processes(at(benchmark="ntu60_xsub")) == 4


def test_frozen_features_or_pictures_or_nothing(raw, plan):
    def pictures(plan, benchmark):
        return plan.training_inputs(stream(plan, benchmark)).get("picture")

    features = [f"results/rgb/demo/demo-shufflenet/00{i}-of-002.h5" for i in (0, 1)]
    assert pictures(plan, "demo_xsub") == features
    assert pictures(plan, "demo_xsub_no_fam") is None
    with pytest.raises(UserError, match=r"datasets.ntu60.videos: no folder is given"):
        pictures(plan, "ntu60_xsub")
    raw["datasets"]["ntu60"]["videos"] = "videos"
    assert pictures(Plan(Config(raw)), "ntu60_xsub")[15] == "results/montages/ntu60/015-of-016.h5"


def test_a_cnn_is_trained_here_only_where_asked_for(raw):
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
    assert "strips" not in settings
    raw["datasets"]["demo"]["video"]["count"] = 7
    assert Plan(Config(raw)).pretrain_settings(own) == settings | {"strips": 7}
    with pytest.raises(UserError, match="'demo-shufflenet' is not trained here"):
        plan.pretrain_settings(demo)


def test_params_state_which_clips_train_and_test(raw):
    cnn = {"name": "own", "weights": None, "frozen": True, "pretrain": {"protocol": "half/2"}}
    raw["protocols"] = {"half": {"source": "me", "random": {"of": "subjects", "folds": 2}}}
    raw["benchmarks"]["demo_half"] = {
        "like": "demo_xsub",
        "protocol": "half/2",
        "model": {"fam": {"cnn": cnn}},
    }
    raw["benchmarks"]["demo_clean"] = {"like": "demo_half", "exclude": "clips.txt"}
    raw["benchmarks"]["demo_clean"]["model"] = {"fam": {"cnn": {"name": "own-clean"}}}
    Path("clips.txt").write_text("a\n")

    def params(benchmark):
        plan = Plan(Config(raw))
        run = stream(plan, benchmark)
        cnn = plan.config.benchmark(benchmark).model.fam.cnn.name
        return [
            plan.stream_settings(run),
            plan.score_settings(run),
            plan.ensemble_settings(at(benchmark=benchmark)),
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
    def answers(benchmark):
        return plan.training_inputs(stream(plan, benchmark)).get("answer")

    assert answers("demo_xsub")[0] == f"results/answers/demo/demo-blip/{QUESTION}/000-of-002.h5"
    assert answers("demo_xsub_no_frm") is None
    assert plan.target_answers(at(benchmark="demo_xsub", target="demo_target"))
    assert plan.target_answers(at(benchmark="demo_xsub_no_frm", target="demo_target")) == []


def test_questions_are_answered_from_embeddings_where_they_are_kept(raw, monkeypatch):
    shard = at(dataset="demo", shard="000-of-002", vlm="demo-blip", question=QUESTION)
    plain = Plan(Config(raw))
    assert plain.asked_about(shard) == "results/montages/demo/000-of-002.h5"
    assert plain.answers_upstream(shard) == plain.pictures_upstream(shard)
    for benchmark in raw["benchmarks"].values():
        if "vlm" in benchmark:
            benchmark["vlm"]["cache_images"] = True
    kept = Plan(Config(raw))
    assert kept.asked_about(shard) == "results/embeddings/demo/demo-blip/000-of-002.h5"
    assert kept.embedding_settings(shard) == plain.embedding_settings(shard)
    # other numbers, so other settings, and another training
    assert kept.vlm_settings(shard) != plain.vlm_settings(shard)
    assert kept.training_upstream(stream(kept, "demo_xsub")) != plain.training_upstream(
        stream(plain, "demo_xsub")
    )
    before = kept.answers_upstream(shard)
    monkeypatch.setitem(VERSIONS, "embed_pictures", 99)
    assert kept.answers_upstream(shard) != before
    assert plain.answers_upstream(shard) == plain.pictures_upstream(shard)


def test_embeddings_are_kept_by_adapters_that_can(raw, monkeypatch):
    class Other:
        """An adapter without `embed`."""

    monkeypatch.setattr("mmcl.vlm.blip.Other", Other, raising=False)
    monkeypatch.setitem(tables.ADAPTERS, "other", "mmcl.vlm.blip:Other")
    raw["benchmarks"]["demo_xsub"]["vlm"] |= {"adapter": "other", "cache_images": True}
    with pytest.raises(UserError, match=r"vlm\.cache_images: .*adapter 'other' keeps no embeddings"):
        Config(raw)


@pytest.mark.parametrize(
    ("read", "asked", "said"),
    [
        (
            "p_yes",
            {"instruction": "what are they holding?"},
            "needs a question that is answered with yes or no",
        ),
        ("shuffled_p_yes", {"instruction": "what are they holding?"}, "shuffled_p_yes needs a question"),
        (
            "answer_ids",
            {"vlm": {"name": "short", "max_new_tokens": 1}},
            "set vlm.max_new_tokens to 2 or more",
        ),
    ],
)
def test_what_no_answer_can_have_is_told_when_planning(raw, read, asked, said):
    def inputs(**more):
        raw["benchmarks"]["mine"] = {"like": "demo_xsub", "model": {"frm": {"input": read}}, **more}
        plan = Plan(Config(raw))
        return plan.training_inputs(stream(plan, "mine"))["answer"]

    assert inputs()
    with pytest.raises(UserError, match=rf"^model\.frm\.input .*{said}"):
        inputs(**asked)


def test_the_number_of_frames_decides_the_crops_and_their_memory(raw):
    before = Plan(Config(raw)).crop_settings(at(dataset="demo"))
    assert before["video"]["count"] == 5
    assert Plan(Config(raw)).crop_memory(at(dataset="demo"), 1) == 6000
    raw["datasets"]["demo"]["video"]["count"] = 16
    plan = Plan(Config(raw))
    assert plan.crop_settings(at(dataset="demo")) == {**before, "video": {**before["video"], "count": 16}}
    assert plan.crop_memory(at(dataset="demo"), 1) == 9300
    assert plan.crop_memory(at(dataset="utd_mhad"), 1) == 6000


def test_memory_for_answers_goes_by_the_tokens_that_are_kept(raw):
    wanted = at(benchmark="demo_xsub")
    assert Plan(Config(raw)).answer_memory(wanted) == 2
    raw["benchmarks"]["demo_xsub"]["vlm"]["max_new_tokens"] = 60
    plan = Plan(Config(raw))
    assert plan.answer_memory(wanted) == plan.answer_memory(stream(plan, "demo_xsub")) == 0.1


def test_what_frm_reads_is_another_run_on_the_same_answers(raw):
    for kind in ("mean", "last", "text"):
        raw["benchmarks"][f"demo_{kind}"] = {"like": "demo_xsub", "model": {"frm": {"input": kind}}}
    plan = Plan(Config(raw))
    runs = {name: stream(plan, name) for name in ("demo_xsub", "demo_mean", "demo_last", "demo_text")}
    assert len({run.settings for run in runs.values()}) == 4
    assert plan.stream_settings(runs["demo_mean"])["model"]["frm"]["input"] == "mean"
    answers = [plan.training_inputs(run)["answer"] for run in runs.values()]
    assert answers[1:] == answers[:1] * 3


def test_what_comes_before_enters_a_stages_params(raw):
    """A setting or version of an earlier stage changes `upstream` of every later one, and of no other."""

    def upstream(raw):
        plan = Plan(Config(raw))
        run = stream(plan, "demo_xsub")
        shard = at(dataset="demo", shard="000-of-002", vlm="demo-blip", cnn="demo-shufflenet")
        return {
            "index": plan.index_upstream(at(dataset="demo")),
            "prepare": plan.prepare_upstream(at(dataset="demo")),
            "crop": plan.shard_upstream(shard),
            "montage": plan.montage_upstream(shard),
            "answer": plan.answers_upstream(shard),
            "rgb": plan.rgb_upstream(shard),
            "train": plan.training_upstream(run),
            "score": plan.score_upstream(run),
            "ensemble": plan.ensemble_upstream(at(benchmark="demo_xsub")),
            "zero_shot": plan.zero_shot_upstream(at(benchmark="demo_xsub", target="demo_target")),
            "plain": plan.ensemble_upstream(at(benchmark="demo_xsub_plain")),
            "ikem": plan.ikem_upstream(at(benchmark="demo_ikem")),
        }

    def changed(change):
        other = yaml.safe_load(yaml.safe_dump(raw))
        change(other)
        now = upstream(other)
        return {stage for stage, digest in upstream(raw).items() if now[stage] != digest}

    later = {"train", "score", "ensemble", "zero_shot"}
    assert changed(lambda r: r["datasets"]["demo"]["video"]["detector"].update(confidence=0.3)) == {
        "montage",
        "answer",
        "rgb",
        *later,
    }
    # frames per clip are a setting of the crops
    assert changed(lambda r: r["datasets"]["demo"]["video"].update(count=3)) == {
        "montage",
        "answer",
        "rgb",
        *later,
    }
    assert changed(lambda r: r["datasets"]["demo"]["drawn"].update(seed=1)) >= {
        "index",
        "ikem",
        "plain",
        *later,
    }
    assert changed(lambda r: r["datasets"]["demo"]["options"].update(gaps="packed")) == {
        "prepare",
        "crop",
        "montage",
        "answer",
        "rgb",
        *later,
        "plain",
        "ikem",
    }
    assert changed(lambda r: r["benchmarks"]["demo_xsub"]["vlm"].update(max_new_tokens=2)) == later - {
        "train"
    } | {"train"}
    assert changed(lambda r: r["benchmarks"]["demo_ikem"]["selfsup"].update(epochs=7)) == {"ikem"}


def test_params_are_plain_values_with_sorted_keys(plan):
    settings = plan.crop_settings(at(dataset="demo"))
    assert list(settings) == sorted(settings)
    assert "montage" not in settings["video"]
    assert plan.folder("videos")(at(dataset="demo")) == Path("results/demo/raw/demo/videos")
    assert plan.folder("videos")(at(dataset="ntu60")) is None


def test_wrong_targets_are_named(plan):
    with pytest.raises(UserError, match="no zero-shot target of demo_xsub; known: demo_target"):
        plan.zero_shot_settings(at(benchmark="demo_xsub", target="sysu"))
    with pytest.raises(UserError, match="known: blip-vqa-capfilt-large, demo-blip"):
        plan.vlm_settings(at(vlm="llava"))
    with pytest.raises(UserError, match="is not drawn by the project"):
        plan.drawn_settings(at(dataset="ntu60"))
    with pytest.raises(UserError, match="set `instruction` to the text"):
        plan.question_text(at(question="other-12345678"))


# ------------------------------------------------------------------------------------------------ own data


def own_plan(raw, **dataset):
    mine = {"reader": "own", "shards": 2, **dataset}
    return Plan(Config({**raw, "datasets": {**raw["datasets"], "mine": mine}}))


def test_the_table_of_your_own_data_is_an_input(raw, tmp_path):
    plan = own_plan(raw, skeletons=str(tmp_path), options={"layout": "ntu25", "clips": "list.csv"})
    with pytest.raises(UserError, match=r"datasets\.mine\.options\.clips: no file .*list\.csv"):
        plan.recordings(at(dataset="mine"))
    (tmp_path / "list.csv").touch()
    assert plan.recordings(at(dataset="mine")) == [str(tmp_path / "list.csv")]
    assert plan.poses(at(dataset="mine")) == []
    with pytest.raises(UserError, match=r"datasets\.mine: has no section `poses`"):
        plan.pose_settings(at(dataset="mine"))


def own_benchmark(raw, folder, rows, **benchmark) -> Plan:
    """A plan for a table of clips: name, label, subject, split."""
    lines = ["name,label,subject,split", *(",".join(map(str, row)) for row in rows)]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    for row in rows:
        (folder / f"{row[0]}.npz").touch()
    plain = {"fam": {"enabled": False}, "frm": {"enabled": False}}
    raw["benchmarks"]["mine"] = {
        "dataset": "mine",
        "protocol": "given",
        "model": plain,
        "ensemble": {"members": [{"stream": "joint"}], "weights": "equal"},
        **benchmark,
    }
    return own_plan(raw, skeletons=str(folder), options={"layout": "ntu25"})


ROWS = [("a1", "wave", 1, "train"), ("b1", "sit", 1, "train"), ("a2", "wave", 2, "test")]


@pytest.mark.parametrize(
    ("rows", "benchmark", "message"),
    [
        (ROWS[:2], {}, "benchmarks.mine: protocol given has no test clip among 2 usable ones"),
        (ROWS[2:], {}, "benchmarks.mine: protocol given has no training clip among 1 usable ones"),
        (
            [ROWS[0], ROWS[2]],
            {},
            "benchmarks.mine: all 1 training clips of protocol given are of one class, 'wave'",
        ),
        (
            ROWS,
            {"ensemble": {"members": [{"stream": "joint"}]}},
            "benchmarks.mine: fitted fusion weights need at least two training subjects, found 1; set ensemble",
        ),
        (
            ROWS,
            {"zero_shot": {"targets": {"mine": "utd_mhad"}}},
            "zero_shot.targets.mine: by class map utd_mhad no clip",
        ),
    ],
)
def test_clips_that_are_not_enough_are_told_when_planning(raw, tmp_path, rows, benchmark, message):
    plan = own_benchmark(raw, tmp_path, rows, **benchmark)

    def planned():
        plan.member_files("scores.h5", "seeds")(at(benchmark="mine"))
        plan.target_skeletons(at(benchmark="mine", target="mine"))

    with pytest.raises(UserError) as told:
        planned()
    assert message in str(told.value)


def test_a_table_that_was_put_right_is_planned_although_its_index_is_old(raw, tmp_path):
    plan = own_benchmark(raw, tmp_path, ROWS)
    write_index("results/index/mine.tsv", [ClipEntry("a1", "wave", 1, 1, 1, None, "a1.npz", "", "", "train")])
    assert plan.member_files("scores.h5", "seeds")(at(benchmark="mine"))
    other = own_benchmark(raw, tmp_path, ROWS[:2])
    # a model can be trained without test clips, but not scored
    assert other.training_inputs(stream(other, "mine")) == {}
    with pytest.raises(UserError, match="no test clip"):
        other.probed_model(at(benchmark="mine", what="pretrain", seed="1"))


def test_an_index_is_believed_where_nothing_can_make_it_anew(raw, tmp_path):
    one = [ClipEntry(name, "A001", 1, 1, 1, None, f"{name}.skeleton", "", "", "") for name in ("a", "b")]
    for name in ("demo", "nw_ucla"):
        write_index(f"results/index/{name}.tsv", one)
    plan = Plan(Config(raw))
    # the demo's recordings may be drawn anew, with other actions
    assert plan.member_files("scores.h5", "seeds")(at(benchmark="demo_xsub"))
    # those of NW-UCLA are gone, and its index is used as it is
    with pytest.raises(
        UserError, match=r"benchmarks\.nw_ucla: all 2 training clips of protocol nw_ucla are of one class"
    ):
        plan.member_files("scores.h5", "seeds")(at(benchmark="nw_ucla"))


def test_classes_without_training_clips_are_named_when_planning(raw, tmp_path, caplog):
    plan = own_benchmark(raw, tmp_path, [*ROWS, ("c1", "Wave", 2, "test")])
    for _ in range(2):
        plan.member_files("scores.h5", "seeds")(at(benchmark="mine"))
    assert [record.getMessage() for record in caplog.records] == [
        "benchmarks.mine: 1 test clips of protocol given are of 1 classes that no training clip has ('Wave'); they "
        "count as wrong"
    ]


def test_the_layout_of_your_own_data_is_an_input(raw, tmp_path):
    plan = own_plan(raw, skeletons=str(tmp_path), options={"layout": "hand.json"})
    with pytest.raises(UserError, match=r"datasets\.mine\.options\.layout: no file hand\.json"):
        plan.layout_file(at(dataset="mine"))
    (tmp_path / "hand.json").touch()
    assert plan.layout_file(at(dataset="mine")) == ["hand.json"]
    plan = own_plan(raw, skeletons=str(tmp_path), options={"layout": "ntu25"})
    assert plan.layout_file(at(dataset="mine")) == []
    assert plan.layout_file(at(dataset="utd_mhad")) == []


def test_poses_come_before_skeletons_and_what_they_follow_from(raw):
    weights = "resources/demo/pose.safetensors"
    plan = own_plan(raw, videos="videos", poses={"weights": weights, "joint_confidence": 0.4})
    assert plan.poses(at(dataset="mine")) == [f"results/poses/mine/00{i}-of-002.h5" for i in (0, 1)]
    assert plan.prepare_settings(at(dataset="mine"))["joint_confidence"] == 0.4
    poses = plan.pose_settings(at(dataset="mine"))["poses"]
    assert (poses["architecture"], poses["weights"], poses["every"]) == ("yolov8n-pose", weights, 1)
    # another threshold for joints does not run the network again
    assert "joint_confidence" not in poses
    with pytest.raises(UserError, match=r"datasets\.mine\.videos: no folder videos"):
        plan.recordings(at(dataset="mine"))


def test_poses_go_with_listed_clips_and_without_skeletons(raw):
    poses = {"weights": "x.pt"}
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: makes the skeletons, so set"):
        own_plan(raw, skeletons="somewhere", videos="videos", poses=poses)
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: goes with reader own"):
        own_plan(raw, reader="ntu", videos="videos", poses=poses)
    with pytest.raises(UserError, match=r"datasets\.mine\.poses: the key 'weights' is missing"):
        own_plan(raw, videos="videos", poses={})


def test_answers_are_examined_with_frm_off_too(plan):
    for name in ("demo_xsub", "demo_xsub_no_frm"):
        needed = plan.examined(at(benchmark=name))
        assert needed["skeletons"] == ["results/skeletons/demo.h5"]
        assert needed["answers"][1] == f"results/answers/demo/demo-blip/{QUESTION}/001-of-002.h5"
        assert set(needed) == {"skeletons", "answers"}
    settings = plan.examination_settings(at(benchmark="demo_xsub"))
    assert settings == {
        "version": VERSIONS["examine_answers"],
        "protocol": "odd_subjects",
        "benchmark": "demo_xsub",
        "dataset": "demo",
        "vlm": "demo-blip",
        "question": QUESTION,
        "input": "hidden",
    }
    with pytest.raises(UserError, match=r"datasets\.utd_mhad"):
        plan.examined(at(benchmark="utd_mhad"))


def test_an_examination_follows_from_what_answers_follow_from(plan, raw):
    before = plan.examination_upstream(at(benchmark="demo_xsub"))
    raw["datasets"]["demo"]["video"] = {**raw["datasets"]["demo"]["video"], "jpeg_quality": 50}
    assert Plan(Config(raw)).examination_upstream(at(benchmark="demo_xsub")) != before


# -------------------------------------------------------------------------------------------- k folds


def folded(raw, folder, protocol="folds5", subjects=6, **benchmark):
    rows = [(f"{n}{label}", label, n, "") for n in range(1, subjects + 1) for label in ("wave", "sit")]
    return own_benchmark(raw, folder, rows, protocol=protocol, **benchmark)


def test_every_fold_is_planned_as_a_protocol_of_its_own(raw, tmp_path):
    plan = folded(raw, tmp_path)
    raw["benchmarks"]["third"] = {"like": "mine", "protocol": "folds5/3"}
    plan = folded(raw, tmp_path)
    ensembles = plan.fold_ensembles(at(benchmark="mine"))
    assert ensembles == [f"results/mine/folds/{fold}/ensemble.json" for fold in range(1, 6)]
    scores = plan.member_files("scores.h5", "seeds")
    third = scores(at(benchmark="mine", fold="3"))
    assert third[0].startswith("results/streams/mine/folds5-3/ctrgcn-natural-joint/")
    assert third == scores(at(benchmark="third"))  # shared with a benchmark of this fold
    dataset, protocol, member, settings, *run = third[0].split("/")[2:-1]
    wildcards = at(dataset=dataset, protocol=protocol, member=member, settings=settings, run="/".join(run))
    assert plan.run(wildcards).training.protocol == "folds5/3"
    assert plan.ensemble_settings(at(benchmark="mine", fold="3"))["protocol"] == "folds5/3"
    assert scores(at(benchmark="mine")) == scores(at(benchmark="mine", fold="1"))


def test_a_fold_is_found_although_no_benchmark_names_it(raw, tmp_path):
    plan = folded(raw, tmp_path)
    path = plan.member_files("scores.h5", "seeds")(at(benchmark="mine", fold="4"))[0]
    dataset, protocol, member, settings, run = path.split("/")[2:-1]
    place = {"dataset": dataset, "member": member, "settings": settings, "run": run}
    assert plan.run(at(protocol=protocol, **place)).benchmark == "mine/4"
    with pytest.raises(UserError, match="no benchmark trains a stream of protocol 'folds5-9'"):
        plan.run(at(protocol="folds5-9", **place))


def test_one_fold_for_each_subject(raw, tmp_path):
    plan = folded(raw, tmp_path, "leave_one_subject_out", subjects=4)
    assert len(plan.fold_ensembles(at(benchmark="mine"))) == 4
    plan.member_files("scores.h5", "seeds")(at(benchmark="mine", fold="4"))


@pytest.mark.parametrize(
    ("protocol", "benchmark", "message"),
    [
        ("given", {}, "benchmarks.mine.protocol: given has no folds; name one that has"),
        ("folds5/2", {}, "benchmarks.mine.protocol: folds5/2 is one fold; name folds5 for all"),
        ("folds10", {}, "protocol folds10: 10 folds need as many subjects, and the data set names 6"),
        (
            "folds5",
            {"train": {"distil": {"from": "source"}}},
            "benchmarks.mine.train.distil: is trained on one split",
        ),
    ],
)
def test_what_has_no_folds_is_told_when_planning(raw, tmp_path, protocol, benchmark, message):
    raw["benchmarks"]["source"] = {"dataset": "mine", "protocol": "folds5"}
    plan = folded(raw, tmp_path, protocol, **benchmark)
    scores = plan.member_files("scores.h5", "seeds")
    with pytest.raises(UserError) as told:
        [
            scores(at(benchmark="mine", fold=path.split("/")[3]))
            for path in plan.fold_ensembles(at(benchmark="mine"))
        ]
    assert str(told.value).startswith(message)
