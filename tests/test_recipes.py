"""`recipe`: what it changes, what takes precedence over it, and what results report of it."""

import copy
from types import SimpleNamespace

import pytest
from planned import stream

from mmcl import recipes
from mmcl.config import Config
from mmcl.plan import Plan
from mmcl.recipes import names, open_recipe
from mmcl.settings.explain import ConfigError
from mmcl.settings.merging import flat, merge


def planned(raw, benchmark, dataset):
    """Params of the rules that lead to a benchmark's ensemble."""
    plan, of = Plan(Config(raw)), SimpleNamespace(dataset=dataset)
    config = plan.config
    cnn, vlm = config.benchmark(benchmark).model.fam.cnn, config.benchmark(benchmark).vlm
    return {
        "index": plan.index_settings(of),
        "prepare": plan.prepare_settings(of),
        "crop": plan.crop_settings(of),
        "montage": plan.montage_settings(of),
        "encode": plan.cnn_settings(SimpleNamespace(cnn=cnn.name)),
        "answer": plan.vlm_settings(SimpleNamespace(vlm=vlm.name)),
        "train": plan.stream_settings(stream(plan, benchmark)),
        "fit": plan.stream_settings(stream(plan, benchmark, fit=True)),
        "ensemble": plan.ensemble_settings(SimpleNamespace(benchmark=benchmark)),
    }


@pytest.mark.parametrize(("benchmark", "dataset"), [("demo_xsub", "demo"), ("ntu120_xsub", "ntu120")])
def test_keys_that_a_recipe_may_change_are_only_documented_in_the_config(raw, benchmark, dataset):
    """Written out, as they were before there were recipes, they give the same params."""
    written = merge(
        raw,
        {
            "recipe": "none",
            "datasets": {"ntu120": {"options": {"person2": "absent"}}},
            "video": {"frames": "chosen"},
            "model": {"frm": {"input": "hidden"}},
            "ensemble": {"weights": "fitted"},
        },
    )
    assert "recipe" not in planned(raw, benchmark, dataset)["ensemble"]
    assert planned(raw, benchmark, dataset) == planned(written, benchmark, dataset)
    rows = flat(open_recipe("reference").settings_for(raw["datasets"], "ntu120_xsub"))
    explicit = {row for row in rows if row in flat(raw)}
    # what config.yaml spells out is what the recipe says too
    assert all(flat(raw)[row] == rows[row] for row in explicit), explicit


def test_at_the_top_level_it_holds_for_stores_and_benchmarks(raw):
    raw["recipe"] = "reference"
    config = Config(raw)
    ntu120, ntu60 = config.benchmark("ntu120_xsub"), config.benchmark("ntu60_xsub")
    assert ntu120.model.frm.input == ntu60.model.frm.input == "answer_ids"
    assert ntu120.model.fam.chunk == 100
    assert (ntu120.train.same_augmentation, ntu120.train.evaluate_every) == (True, 1)
    assert (ntu120.ensemble.weights, ntu60.ensemble.weights) == ("preset", "fitted")
    assert config.benchmark("ntu120_xset").ensemble.weights == "fitted"
    assert {config.dataset(name).video.frames for name in ("demo", "ntu60", "ntu120")} == {"all"}
    assert config.dataset("ntu120").options.dump() == {"person2": "duplicated", "gaps": "packed"}
    assert config.dataset("ntu60").options.person2 == "absent"
    assert config.dataset("ntu60").options.gaps == "packed"
    assert not {"person2", "gaps"} & set(config.dataset("demo").options.dump())
    # what the demo writes stays
    assert config.benchmark("demo_xsub").model.fam.cnn.frozen


def test_published_fusion_weights_serve_a_part_of_the_members(raw):
    raw["benchmarks"]["joint"] = {
        "like": "ntu120_xsub",
        "recipe": "reference",
        "ensemble": {"members": [{"stream": "joint"}]},
    }
    fused = Config(raw).benchmark("joint")
    assert fused.ensemble.weights == "preset"
    assert fused.ensemble.preset_weights(fused.members) == pytest.approx([2.361693262])


def test_in_a_benchmark_it_leaves_the_shared_stores_alone(raw):
    raw["benchmarks"]["released"] = {"like": "ntu120_xsub", "recipe": "reference"}
    config = Config(raw)
    assert config.benchmark("released").model.frm.input == "answer_ids"
    assert config.benchmark("released").ensemble.weights == "preset"
    assert config.benchmark("ntu120_xsub").model.frm.input == "hidden"
    assert config.dataset("ntu120").options.person2 == "absent"
    reported = Plan(config).ensemble_settings(SimpleNamespace(benchmark="released"))["recipe"]
    options = ["datasets.ntu120.options.gaps", "datasets.ntu120.options.person2"]
    assert reported["overridden"] == [*options, "video.frames"]


def test_a_benchmark_may_leave_the_recipe_out_and_hands_its_own_on(raw):
    raw["recipe"] = "reference"
    raw["benchmarks"]["ours"] = {"like": "ntu120_xsub", "recipe": "none"}
    raw["benchmarks"]["ours_too"] = {"like": "ours"}
    config = Config(raw)
    for name in ("ours", "ours_too"):
        assert config.benchmark(name).model.frm.input == "hidden"
        settings = Plan(config).ensemble_settings(SimpleNamespace(benchmark=name))
        assert "recipe" not in settings


def test_what_is_written_wins(raw):
    raw["recipe"] = "reference"
    raw["model"]["fam"]["chunk"] = 50
    raw["benchmarks"]["ntu120_xsub"]["train"] = {"same_augmentation": False}
    benchmark = Config(raw).benchmark("ntu120_xsub")
    assert benchmark.model.fam.chunk == 50
    assert benchmark.train.same_augmentation is False
    assert benchmark.train.evaluate_every == 1


def test_results_tell_what_became_of_it(raw):
    raw["recipe"] = "reference"
    raw["benchmarks"]["ntu120_xsub"]["model"] = {"frm": {"input": "p_yes"}}
    plan = Plan(Config(raw))
    reported = plan.ensemble_settings(SimpleNamespace(benchmark="ntu120_xsub"))["recipe"]
    changed = [f"datasets.ntu120.options.{option}" for option in ("gaps", "person2")]
    assert reported == {
        "name": "reference",
        "changed": [
            *changed,
            "ensemble.weights",
            "model.fam.chunk",
            "train.accumulate",
            "train.evaluate_every",
            "train.same_augmentation",
            "video.frames",
        ],
        "overridden": ["model.frm.input"],
        "quirks": [
            *changed,
            "ensemble.weights",
            "model.fam.chunk",
            "train.accumulate",
            "train.evaluate_every",
            "train.same_augmentation",
        ],
        "kept": [
            "model.hd_graph",
            "train.settings",
            "video.montage",
            "video.nobody",
            "vlm.answer",
        ],
    }
    other = plan.ensemble_settings(SimpleNamespace(benchmark="ntu120_xset"))["recipe"]
    assert "ensemble.weights" in other["kept"]
    plain = plan.ensemble_settings(SimpleNamespace(benchmark="ntu120_xsub_plain"))["recipe"]
    assert not any(row.startswith(("video", "vlm")) for part in plain.values() for row in part)


def test_fusion_alone_trains_nothing_again(raw):
    raw["recipe"] = "reference"
    other = copy.deepcopy(raw)
    other["benchmarks"]["ntu120_xsub"]["ensemble"] = {"weights": "equal"}
    first, second = (Plan(Config(config)) for config in (raw, other))
    of = SimpleNamespace(benchmark="ntu120_xsub")
    assert stream(first, "ntu120_xsub") == stream(second, "ntu120_xsub")
    assert first.ensemble_settings(of) != second.ensemble_settings(of)


def test_every_recipe_is_a_piece_of_the_config_and_explains_its_rows(raw):
    assert names() == ["none", "reference"]
    for name in names()[1:]:
        recipe = open_recipe(name)
        rows = set(flat(recipe.settings))
        for protocol in recipe.settings["benchmarks"].values():
            rows |= set(flat({key: value for key, value in protocol.items() if key != "protocol"}))
        assert set(recipe.quirks) <= rows
        assert all(isinstance(why, str) for why in [*recipe.quirks.values(), *recipe.kept.values()])
        Config({**raw, "recipe": name})  # validates its rows


def test_a_mistake_in_a_recipe_names_its_file(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    monkeypatch.setattr(recipes.names, "__defaults__", (tmp_path,))
    (tmp_path / "mine.yaml").write_text("{settings: {train: {epoch: 3}}, quirks: {}, kept: {}}")
    for where in (raw, raw["benchmarks"]["demo_xsub"]):
        where["recipe"] = "mine"
        with pytest.raises(
            ConfigError, match=r"mine.yaml: settings.train.epoch: unknown key; did you mean 'epochs'"
        ):
            Config(raw)
        where["recipe"] = "none"
