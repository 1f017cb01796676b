import json

import pytest

from mmcl.watch import ending
from mmcl.watch.jobs import Failed, Jobs


@pytest.fixture
def jobs(tmp_path, monkeypatch) -> Jobs:
    monkeypatch.chdir(tmp_path)
    jobs = Jobs({"a": 3})
    jobs.done = 3
    jobs.begun_at -= 125
    return jobs


def test_at_the_end_it_is_said_where_everything_lies(jobs, tmp_path):
    result = tmp_path / "results/demo_xsub/ensemble.json"
    (result.parent / "report").mkdir(parents=True)
    result.write_text(json.dumps({"top1": 87.5, "clips": 96}))
    (result.parent / "report/answers.png").touch()
    folds = {"folds": [{}, {}, {}], "mean": {"top1": 90.25}, "interval": {"top1": [80.5, 100.0]}}
    (result.parent / "folds.json").write_text(json.dumps(folds))
    targets = [
        "results/demo_xsub/ensemble.json",
        "results/demo_xsub/folds.json",
        "results/skeletons/demo.h5",
    ]
    assert ending.finished(jobs, targets, {"demo_xsub"}).splitlines() == [
        "3 jobs finished in 2 min. Results:",
        "  results/demo_xsub/ensemble.json (top-1 87.50 % of 96 test clips)",
        "  results/demo_xsub/folds.json (top-1 90.25 %, 95 % interval [80.50, 100.00], over 3 folds)",
        "  results/skeletons/demo.h5",
        "Report: mmcl report demo_xsub",
        "Pictures: results/demo_xsub/report",
        "Logs: results/logs",
    ]


def test_many_targets_are_not_all_listed(jobs):
    said = ending.finished(jobs, [f"results/crops/a/{i}.h5" for i in range(30)], set())
    assert said.count(".h5") == ending.TARGETS
    assert "… and 20 more" in said
    assert "Report" not in said


def test_a_failure_is_said_with_its_log_and_how_to_go_on(jobs, tmp_path):
    jobs.done, jobs.total = 1, 3
    (tmp_path / "long.log").write_text("".join(f"line {i}\n" for i in range(20)))
    (tmp_path / "empty.log").touch()
    jobs.failed = {
        1: Failed("train_stream", ["long.log"], ["model.pt", "settings.json", "history.csv"]),
        2: Failed("crop_people", ["empty.log"], ["crops.h5"]),
        3: Failed("zero_shot", ["none.log"], ["zero.json"]),
        4: Failed("score_stream", ["four.log"], ["scores.h5"]),
    }
    said = ending.failed(jobs, ["--cores", "2", "--config", "instruction=what is it?", "--", "x y"])
    assert said.splitlines() == [
        "4 jobs failed after 2 min; 1 of 3 jobs are done.",
        "",
        "train_stream, for model.pt, …:",
        "  long.log ends with",
        *(f"  | line {i}" for i in range(12, 20)),
        "",
        "crop_people, for crops.h5:",
        "  empty.log: empty",
        "",
        "zero_shot, for zero.json:",
        "  none.log: no log was written",
        "and 1 more: four.log",
        "",
        "When that is mended, the same command goes on where it stopped: snakemake --cores 2 --config "
        "'instruction=what is it?' -- 'x y'",
    ]


def test_a_run_that_was_stopped(jobs):
    jobs.done = 1
    assert ending.failed(jobs, ["--cores", "2"]).splitlines() == [
        "stopped after 2 min; 1 of 3 jobs are done.",
        "",
        "The same command goes on where it stopped: snakemake --cores 2",
    ]
