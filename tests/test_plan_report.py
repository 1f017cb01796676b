"""What a report is planned from: what there is of a finished benchmark, or all that is configured for it."""

from pathlib import Path

import pytest
from planned import at

from mmcl import paths
from mmcl.config import Config, ConfigError
from mmcl.errors import UserError
from mmcl.plan import Plan


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Plans look at results/ of the working directory: these tests have an empty one."""
    monkeypatch.chdir(tmp_path)


def touch(*files: str) -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()


def names(files: list[str]) -> list[str]:
    return [Path(file).name for file in files]


DEMO = at(benchmark="demo_xsub")
ENSEMBLE = paths.at(paths.ENSEMBLE, benchmark="demo_xsub")
TARGET = paths.at(paths.ZERO_SHOT, benchmark="demo_xsub", target="demo_target")


def test_a_fresh_benchmark_gets_all_that_is_configured(raw):
    raw["benchmarks"]["demo_xsub"]["report"] = {"baseline": "demo_xsub_plain"}
    plan = Plan(Config(raw))
    assert plan.reported(DEMO) == {
        "ensemble": [ENSEMBLE],
        "zero_shot": [TARGET],
        "answers": [paths.at(paths.ANSWER_REPORT, benchmark="demo_xsub")],
        "baseline": [paths.at(paths.ENSEMBLE, benchmark="demo_xsub_plain")],
    }
    drawn = ["accuracy", "confusion", "classes", "transfer", "gain", "training"]
    assert names(plan.plots(DEMO)) == [f"{part}.png" for part in drawn]
    assert names(plan.sheets(DEMO)) == ["crops.jpg", "gallery.jpg"]
    assert plan.cost(DEMO) == [paths.at(paths.COST, benchmark="demo_xsub")]
    assert plan.sheets(at(benchmark="demo_xsub_plain")) == []
    # what is its own baseline, by inheritance, has none
    assert plan.reported(at(benchmark="demo_xsub_plain"))["baseline"] == []


def test_a_finished_benchmark_gets_what_there_is(raw):
    raw["benchmarks"]["demo_xsub"]["report"] = {"baseline": "demo_xsub_plain"}
    plan = Plan(Config(raw))
    touch(ENSEMBLE)
    assert plan.reported(DEMO) == {"ensemble": [ENSEMBLE], "zero_shot": [], "answers": [], "baseline": []}
    assert names(plan.plots(DEMO)) == ["accuracy.png", "confusion.png", "classes.png"]
    assert plan.sheets(DEMO) == []
    accuracy = at(benchmark="demo_xsub", part="accuracy")
    before, drawn = plan.report_upstream(DEMO), (plan.plot_upstream(accuracy), plan.sheet_upstream(DEMO))
    crops = plan.pictured("crops")(DEMO)
    touch(
        TARGET, *crops, *plan.pictured("montages")(DEMO), *plan.member_files("history.csv", "seeds")(DEMO)[:1]
    )
    assert plan.reported(DEMO)["zero_shot"] == [TARGET]
    assert names(plan.plots(DEMO))[3:] == ["transfer.png", "training.png"]
    assert names(plan.sheets(DEMO)) == ["crops.jpg", "gallery.jpg"]
    assert plan.report_upstream(DEMO) != before
    # what is new makes the page anew, and not the pictures of other parts
    assert (plan.plot_upstream(accuracy), plan.sheet_upstream(DEMO)) == drawn
    # without FRM there is no gallery of answers
    touch(paths.at(paths.ENSEMBLE, benchmark="demo_xsub_plain"))
    assert names(plan.sheets(at(benchmark="demo_xsub_plain"))) == ["crops.jpg"]


def test_encoders_alone_are_reported_alone(raw):
    plan, ikem = Plan(Config(raw)), paths.at(paths.IKEM_RESULT, benchmark="demo_ikem")
    touch(ikem)
    own = at(benchmark="demo_ikem")
    assert plan.reported(own) == {"ikem": [ikem]}
    assert names(plan.plots(own)) == ["probes.png"]
    assert (plan.cost(own), plan.sheets(own)) == ([], [])
    touch(paths.in_folder(paths.at(paths.PRETRAIN, benchmark="demo_ikem", seed=1), "history.csv"))
    assert names(plan.plots(own)) == ["probes.png", "pretraining.png"]
    touch(paths.at(paths.ENSEMBLE, benchmark="demo_ikem"))
    assert set(plan.reported(own)) >= {"ikem", "ensemble"}


def test_a_picture_is_drawn_from_its_part(raw):
    plan = Plan(Config(raw))
    assert plan.plotted(at(benchmark="demo_xsub", part="classes")) == {"ensemble": [ENSEMBLE]}
    transfer = plan.plotted(at(benchmark="demo_xsub", part="transfer"))
    assert transfer == {"ensemble": [ENSEMBLE], "zero_shot": [TARGET]}
    with pytest.raises(UserError, match="demo_xsub: has no baseline, so no picture gain"):
        plan.plotted(at(benchmark="demo_xsub", part="gain"))


def test_the_baseline_is_a_benchmark_of_the_same_clips(raw):
    for baseline, said in (
        ("demo_xsu", "no benchmark 'demo_xsu'"),
        ("utd_mhad", r"utd_mhad tests other clips \(utd_mhad, odd_subjects\)"),
    ):
        raw["benchmarks"]["demo_xsub"]["report"] = {"baseline": baseline}
        with pytest.raises(ConfigError, match=f"benchmarks.demo_xsub.report.baseline: {said}"):
            Config(raw)


def test_the_baseline_makes_no_result_anew(raw):
    before = Plan(Config(raw)).ensemble_settings(DEMO)
    raw["benchmarks"]["demo_xsub"]["report"] = {"baseline": "demo_xsub_plain"}
    assert Plan(Config(raw)).ensemble_settings(DEMO) == before
