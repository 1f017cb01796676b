"""What the files of results say, as a report shows it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.evaluation.compare import compare
from mmcl.evaluation.metrics import FIGURES, percent, wilson
from mmcl.naming import member_name

PAIRS = 30
"""Most confused pairs of classes that are listed."""

Part = dict[str, Any]


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
            "name": member_name(one["backbone"], one["graph"], one["stream"]),
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
