"""What the runs of a benchmark left behind: curves, times, and clips left out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmcl import paths
from mmcl.datasets.prepare import SkeletonStore
from mmcl.evaluation.finished import FinishedBenchmark
from mmcl.job_times import seconds_of
from mmcl.report.results import Part
from mmcl.report.sources import Sources
from mmcl.store import Shards

CURVES = ("loss", "accuracy", "test_top1")
"""Columns of history.csv that are shown; the last is there with `train.evaluate_every`."""


def training(runs: Mapping[str, Sequence[Path]]) -> Part:
    """What the epochs of trainings came to.

    Args:
        runs: label → the folders of its seeds; those without a history are left out.

    Returns:
        columns (of loss, accuracy and test_top1 those that a history has) and histories {label: [one per seed {epoch,
        loss, accuracy, test_top1}]}: lists over the epochs, null where an epoch has no value.
    """
    found = {
        label: [read for folder in folders if (read := _history(folder))] for label, folders in runs.items()
    }
    found = {label: histories for label, histories in found.items() if histories}
    columns = [c for c in CURVES if any(c in one for histories in found.values() for one in histories)]
    return {"columns": columns, "histories": found} if found else {}


def members_of(finished: FinishedBenchmark) -> dict[str, list[Path]]:
    """Member → the folders of all seeds."""
    return {one.name: [paths.of_seed(one.run, seed) for seed in finished.seeds] for one in finished.members}


def _history(folder: Path) -> dict[str, list[float | None]]:
    import pandas as pd

    file = folder / "history.csv"
    if not file.is_file():
        return {}
    read = pd.read_csv(file)
    there = [column for column in ("epoch", *CURVES) if column in read]
    return {c: [None if np.isnan(v) else v for v in read[c].tolist()] for c in there}


def left_out(result: Part, sources: Sources) -> list[Part]:
    """Clips that take no part, or not with everything: [{what, clips [{name, reason}]}]."""
    test = {one["name"] for one in result["left_out"]}
    found = as_left_out(result["left_out"])
    if sources.skeletons:
        failed = SkeletonStore(sources.skeletons).failed
        found.append(
            {"what": "other clips of the data set without a usable skeleton", "clips": _clips(failed, test)}
        )
    if any(term["enabled"] for term in (result["settings"]["model"][name] for name in ("fam", "frm"))):
        failed = Shards(sources.stores(paths.CROPS), "mmcl.crops/1").failed
        found.append(
            {"what": "clips without a picture, trained on the skeleton alone", "clips": _clips(failed)}
        )
    return [one for one in found if one["clips"]]


def as_left_out(clips: list[Part]) -> list[Part]:
    """Test clips without a result, in the form of `left_out`."""
    return [{"what": "test clips without a result", "clips": clips}] if clips else []


def _clips(failed: Mapping[str, str], without: Collection[str] = ()) -> list[Part]:
    return [{"name": name, "reason": failed[name]} for name in sorted(failed) if name not in without]


def times(sources: Sources) -> list[Part]:
    """How long the trainings and what came before them took, as far as it was recorded.

    Returns:
        [{stage, jobs, seconds}]: seconds of all jobs together, one after another. Of trainings the sum of their epochs,
        of other stages the time of their jobs.
    """
    assert sources.finished
    finished, found = sources.finished, []
    runs = [folder for folders in members_of(finished).values() for folder in folders]
    seconds = [taken for folder in runs if (taken := _epochs(folder / "history.csv")) is not None]
    if seconds:
        found.append(
            {"stage": "training of the members", "jobs": len(seconds), "seconds": round(sum(seconds), 1)}
        )
    settings = finished.result["settings"]
    names = {"dataset": settings["dataset"], "shard": "*", "cnn": settings["model"]["fam"]["cnn"]["name"]}
    names |= {"vlm": settings.get("vlm", {}).get("name", ""), "question": finished.result["question"]}
    for stage, rule, pattern in (
        ("skeletons read", "prepare_skeletons", paths.SKELETONS),
        ("people found and cut out", "crop_people", paths.CROPS),
        ("questions answered", "answer_question", paths.ANSWERS),
        ("pictures encoded", "encode_montages", paths.RGB),
    ):
        files = sorted(sources.root.glob(paths.at(paths.times(pattern, rule), **names)))
        if files:
            found.append(
                {"stage": stage, "jobs": len(files), "seconds": round(sum(map(seconds_of, files)), 1)}
            )
    return found


def _epochs(history: Path) -> float | None:
    """Seconds of all epochs; None where they were not recorded."""
    import pandas as pd

    if not history.is_file():
        return None
    read = pd.read_csv(history)
    return float(read["seconds"].sum()) if "seconds" in read else None
