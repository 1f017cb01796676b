"""What a report says, as plain values: every number of it is here, and nothing is drawn or written."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl import __version__, paths
from mmcl.datasets.prepare import SkeletonStore
from mmcl.evaluation.compare import compare
from mmcl.evaluation.finished import FinishedBenchmark
from mmcl.evaluation.metrics import FIGURES, percent, wilson
from mmcl.files import read_json
from mmcl.report.paper import beside
from mmcl.report.sources import Sources
from mmcl.store import Shards

PAIRS = 30
"""Most confused pairs of classes that are listed."""

CURVES = ("loss", "accuracy", "test_top1")
"""Columns of history.csv that are shown; the last is there with `train.evaluate_every`."""

Part = dict[str, Any]


def collect(sources: Sources, only: Collection[str] | None = None) -> Part:
    """All parts of a report; a part that does not apply is absent.

    Args:
        sources: the files.
        only: these parts alone.

    Returns:
        benchmark, mmcl (version) and, as far as there is something to say: setting, accuracy, confusion, classes, gain,
        training, transfer, probes, pretraining, answers, cost, times, left_out, paper. Percentages have two decimals;
        an `interval` is of 95 % by Wilson, over the clips of the first seed.

    Raises:
        UserError: a file is not what it should be, or the baseline has other clips.
    """
    makers: dict[str, Callable[[], Any]] = {}
    if sources.ikem:
        probed = read_json(sources.ikem)
        makers |= {
            "probes": lambda: probes(probed),
            "pretraining": lambda: training(_encoders(sources, probed["seeds"])),
            "left_out": lambda: _as_left_out(probes(probed)["left_out"]),
        }
    if finished := sources.finished:
        result = finished.result
        makers |= {
            "setting": lambda: setting(result, sources),
            "accuracy": lambda: accuracy(result),
            "confusion": lambda: confused(result),
            "classes": lambda: classes(result),
            "training": lambda: training(members_of(finished)),
            "left_out": lambda: left_out(result, sources),
            "gain": lambda: gain(finished.path, sources.baseline) if sources.baseline else {},
            "transfer": lambda: transfer([read_json(path) for path in sources.zero_shot]),
            "paper": lambda: beside(result, [read_json(path) for path in sources.zero_shot]),
            "times": lambda: times(sources),
        }
    makers |= {
        "answers": lambda: read_json(sources.answers) if sources.answers else {},
        "cost": lambda: read_json(sources.cost) if sources.cost else {},
    }
    found = {part: make() for part, make in makers.items() if only is None or part in only}
    return {"benchmark": sources.benchmark, "mmcl": __version__} | {
        part: it for part, it in found.items() if it
    }


def setting(result: Part, sources: Sources) -> Part:
    """How the benchmark was made, as its reader wants to know it."""
    made = result["settings"]
    model, train = made["model"], made["train"]
    terms = {name: model[name]["weight"] for name in ("fam", "frm") if model[name]["enabled"]}
    questions = sources.questions
    return {
        "dataset": made["dataset"],
        "protocol": made["protocol"],
        "classes": result["classes"],
        "clips": result["clips"],
        "seeds": [one["seed"] for one in result["seeds"]],
        "width": model["width"],
        "terms": terms | {name: term.get("weight") for name, term in model.get("terms", {}).items()},
        **({"cnn": model["fam"]["cnn"]["name"]} if "fam" in terms else {}),
        **({"vlm": made["vlm"]["name"]} if "vlm" in made else {}),
        **({"question": question_text(questions.asked[0].stores)} if questions else {}),
        "train": {key: train[key] for key in ("epochs", "batch", "window", "learning_rate", "precision")},
        **({"recipe": made["recipe"]["name"]} if "recipe" in made else {}),
        "versions": result["versions"],
    }


def question_text(stores: Sequence[Path]) -> str:
    """The question that stores of answers answer."""
    return str(Shards(stores[:1], "mmcl.answers/1").attribute("question") or stores[0].parent.name)


def accuracy(result: Part) -> Part:
    """Members and ensemble.

    Returns:
        clips, seeds (how many), weights_from, weights_fitted_on_clips (if they were), members [{name, weight, share
        (of all weights), top1, interval, top5, mean, sd}] and ensemble, the same with `seeds` [top1] and figures {name:
        {first, mean, sd}}. mean and sd are of top1 over the seeds, sd is null with one. best_on_test beside them,
        if training evaluated the test clips.
    """
    clips, total = result["clips"], sum(member["weight"] for member in result["members"]) or 1.0
    rows = [
        {
            "name": f"{one['backbone']}-{one['graph']}-{one['stream']}",
            "share": round(one["weight"] / total, 4),
            "interval": interval(one["top1"], clips),
            **{key: one[key] for key in ("weight", "top1", "top5", "mean", "sd")},
            **({"best_on_test": one["best_on_test"]["top1"]} if "best_on_test" in one else {}),
        }
        for one in result["members"]
    ]
    ensemble = {
        "top1": result["top1"],
        "interval": wilson(int(np.trace(result["confusion"])), clips),
        "top5": result["top5"],
        "mean": result["mean"]["top1"],
        "sd": result["sd"]["top1"],
        "seeds": [one["top1"] for one in result["seeds"]],
        "figures": {
            key: {"first": result[key], "mean": result["mean"][key], "sd": result["sd"][key]}
            for key in FIGURES
        },
        **({"best_on_test": result["best_on_test"][0]["top1"]} if "best_on_test" in result else {}),
    }
    fitted = {key: result[key] for key in ("weights_fitted_on_clips",) if key in result}
    return {
        "clips": clips,
        "seeds": len(result["seeds"]),
        "weights_from": result["weights_from"],
        **fitted,
        "members": rows,
        "ensemble": ensemble,
    }


def interval(top1: float, clips: int) -> list[float] | None:
    """The interval of an accuracy in percent, which has two decimals."""
    return wilson(round(top1 * clips / 100), clips)


def confused(result: Part) -> Part:
    """The classes that the first seed's ensemble takes for each other, the most frequent pairs first.

    Returns:
        matrix (C, C), rows are the true classes, names, wrong (clips), and pairs [{class, taken_for, clips, of,
        share}]: `clips` of the `of` clips of a class were taken for another one.
    """
    counts = np.array(result["confusion"])
    named = [f"{one['id']} {one['name']}" for one in result["per_class"]]
    wrong = counts - np.diag(np.diag(counts))
    rows, columns = np.nonzero(wrong)
    order = sorted(
        zip(rows.tolist(), columns.tolist(), strict=True),
        key=lambda at: (-wrong[at], -wrong[at] / counts[at[0]].sum(), at),
    )
    pairs = [
        {
            "class": named[row],
            "taken_for": named[column],
            "clips": int(wrong[row, column]),
            "of": int(counts[row].sum()),
            "share": percent(wrong[row, column], counts[row].sum()),
        }
        for row, column in order[:PAIRS]
    ]
    return {"matrix": counts.tolist(), "names": named, "wrong": int(wrong.sum()), "pairs": pairs}


def classes(result: Part) -> list[Part]:
    """Accuracy of each class by the first seed's ensemble, the lowest first; classes without clips last."""
    rows = [
        {**one, "interval": interval(one["top1"], one["clips"]) if one["clips"] else None}
        for one in result["per_class"]
    ]
    return sorted(rows, key=lambda one: (one["top1"] is None, one["top1"]))


def gain(ensemble: Path, baseline: Path) -> Part:
    """Against a baseline, over all and class by class; see `compare`."""
    found = compare([baseline, ensemble])
    [pair] = found["pairs"]
    keys = (
        "baseline",
        "candidate",
        "seeds",
        "mean",
        "sd",
        "interval_over_seeds",
        "interval_over_clips",
        "per_class",
    )
    return {"clips": found["clips"], "notes": found["notes"], **{key: pair[key] for key in keys}}


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


def transfer(results: Sequence[Part]) -> list[Part]:
    """Zero-shot transfer.

    Returns:
        [{target, subset, clips, classes, left_out (clips), models [{member, refined, top1, interval, top5}], absent
        (why no scores are refined)}], the `mapped` subset where it has other clips than the paper's.
    """
    found = []
    for result in results:
        subsets = result["subsets"]
        for name, subset in subsets.items():
            if not subset["clips"] or (name == "mapped" and subset["clips"] == subsets["paper"]["clips"]):
                continue
            found.append(
                {
                    "target": result["target"],
                    "subset": name,
                    "clips": subset["clips"],
                    "classes": len({one["source"] for one in subset["classes"]}),
                    "source_classes": result["source_classes"],
                    "left_out": subset["left_out"],
                    "absent": result["refinement"].get("absent"),
                    "models": [
                        {key: one[key] for key in ("member", "refined", "top1", "interval", "top5")}
                        for one in subset["models"]
                    ],
                }
            )
    return found


def probes(result: Part) -> Part:
    """Linear probes and nearest neighbours on encoders that saw no label.

    Returns:
        clips, train_clips, seeds, left_out and rows [{encoder, what, linear, linear_sd, first, interval, knn {k: {mean,
        sd}}}]; `what` is random, pretrain or student; first is that of the first seed, interval its over the clips.
    """
    rows = []
    for what, part in result["probes"].items():
        together = {"top1": part["together"]["trained"]["top1"], "knn": part["together"]["knn"]}
        for name, one in {**part["encoders"], "together": together}.items():
            rows.append(
                {
                    "encoder": name,
                    "what": what,
                    "linear": one["top1"]["mean"],
                    "linear_sd": one["top1"]["sd"],
                    "first": one["top1"]["seeds"][0],
                    "interval": interval(one["top1"]["seeds"][0], part["clips"]),
                    "knn": {
                        k: {key: value[key] for key in ("mean", "sd")} for k, value in one["knn"].items()
                    },
                }
            )
    about = {key: next(iter(result["probes"].values()))[key] for key in ("clips", "train_clips", "left_out")}
    return {**about, "seeds": result["seeds"], "rows": rows}


def _encoders(sources: Sources, seeds: Sequence[int]) -> dict[str, list[Path]]:
    """Pre-training and distillation → the folders of all seeds."""
    stages = {"pre-training": paths.PRETRAIN, "distillation": paths.STUDENT}
    return {
        stage: [sources.root / paths.at(pattern, benchmark=sources.benchmark, seed=seed) for seed in seeds]
        for stage, pattern in stages.items()
    }


def left_out(result: Part, sources: Sources) -> list[Part]:
    """Clips that take no part, or not with everything: [{what, clips [{name, reason}]}]."""
    test = {one["name"] for one in result["left_out"]}
    found = _as_left_out(result["left_out"])
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


def _as_left_out(clips: list[Part]) -> list[Part]:
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
            found.append({"stage": stage, "jobs": len(files), "seconds": round(sum(map(_job, files)), 1)})
    return found


def _epochs(history: Path) -> float | None:
    """Seconds of all epochs; None where they were not recorded."""
    import pandas as pd

    if not history.is_file():
        return None
    read = pd.read_csv(history)
    return float(read["seconds"].sum()) if "seconds" in read else None


def _job(times: Path) -> float:
    """Seconds of a job, from the file that Snakemake's `benchmark` writes."""
    return float(times.read_text().splitlines()[-1].split("\t")[0])
