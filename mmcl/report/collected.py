"""What a report says, as plain values: every number of it is here, and nothing is drawn or written."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from mmcl import __version__, paths
from mmcl.files import read_json
from mmcl.report.paper import beside
from mmcl.report.records import as_left_out, left_out, members_of, times, training
from mmcl.report.results import Part, accuracy, classes, confused, gain, probes, transfer
from mmcl.report.sources import Sources


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
            "left_out": lambda: as_left_out(probes(probed)["left_out"]),
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
    question = sources.root / paths.at(paths.QUESTION, question=result["question"])
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
        **({"question": question.read_text(encoding="utf-8").strip()} if question.is_file() else {}),
        "train": {key: train[key] for key in ("epochs", "batch", "window", "learning_rate", "precision")},
        **({"recipe": made["recipe"]["name"]} if "recipe" in made else {}),
        "versions": result["versions"],
    }


def _encoders(sources: Sources, seeds: Sequence[int]) -> dict[str, list[Path]]:
    """Pre-training and distillation → the folders of all seeds."""
    stages = {"pre-training": paths.PRETRAIN, "distillation": paths.STUDENT}
    return {
        stage: [sources.root / paths.at(pattern, benchmark=sources.benchmark, seed=seed) for seed in seeds]
        for stage, pattern in stages.items()
    }
