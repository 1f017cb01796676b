"""Trained models evaluated as they are on the clips of another data set (MMCL, section 4.3 and Table 10)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.datasets.class_maps import Counterpart, read_class_map
from mmcl.datasets.prepare import SkeletonStore
from mmcl.device import pick_device
from mmcl.errors import WITHOUT_GPU, UserError, memory_reported
from mmcl.evaluation.ensemble import fuse
from mmcl.evaluation.finished import find_benchmark
from mmcl.evaluation.metrics import hits, percent, wilson
from mmcl.files import write_json
from mmcl.progress import tracked
from mmcl.settings.jobs import ZeroShot
from mmcl.skeleton.mapping import map_joints
from mmcl.store import Shards

SUBSETS = ("paper", "mapped")


@memory_reported(WITHOUT_GPU)
def write_zero_shot(
    output: Path,
    *,
    models: Sequence[Path],
    ensemble: Path,
    skeletons: Path,
    answers: Sequence[Path],
    settings: ZeroShot,
    threads: int,
) -> None:
    """Evaluate every member and their ensemble on a target data set; write `zero-shot/<target>.json`.

    Joints the target lacks are interpolated (paper, Fig. 4). All classes of the source are candidates. With
    answers of the same vision-language model to the same question, scores refined by FRM (S_R, Eq. 8) are given
    beside the plain ones.

    Args:
        output: the JSON file.
        models: the first seed's model.pt of every member.
        ensemble: ensemble.json, whose fusion weights are used.
        skeletons: the target's store.
        answers: the target's answer stores; empty where FRM is off or the target has no video.
        settings: the benchmark's members, the target and its class map.
        threads: CPU threads.

    Raises:
        UserError: no target clip has a class of the models.
    """
    import torch

    from mmcl.evaluation.score import predict, refine
    from mmcl.training.trained import load_model

    torch.set_num_threads(max(1, threads))
    source = SkeletonStore(skeletons)
    class_map = {entry.target: entry for entry in read_class_map(settings.class_map)}
    members = [member.name for member in settings.members]
    weights, normalise = _weights(Path(ensemble), members)
    trained = [load_model(path, pick_device()) for path in models]
    classes = trained[0].classes

    actions = [source.class_ids[label] for label in source.labels]
    rows = [row for row, action in enumerate(actions) if _known(class_map, action, classes)]
    if not rows:
        raise UserError(f"{skeletons}: no clip of a class of the models of {settings.benchmark}")
    names = [source.names[row] for row in rows]
    labels = np.array([classes.index(class_map[actions[row]].source) for row in rows])
    clips = [map_joints(source.clip(row), source.layout, trained[0].layout) for row in rows]

    plain = np.stack([predict(model, clips) for model in tracked(trained, "zero-shot", "models")])
    scores = {(member, False): logits for member, logits in zip(members, plain, strict=True)}
    scores["ensemble", False] = fuse(plain, weights, normalise)
    refinement: dict[str, Any] = {"clips_with_answer": 0}
    if answers and all(model.model.refinement is not None for model in trained):
        table = Shards(answers, "mmcl.answers/1")
        refined, answered = zip(
            *(refine(model, logits, table, names) for model, logits in zip(trained, plain, strict=True)),
            strict=True,
        )
        scores |= {(member, True): logits for member, logits in zip(members, refined, strict=True)}
        scores["ensemble", True] = fuse(np.stack(refined), weights, normalise)
        refinement["clips_with_answer"] = int(answered[0].sum())
    else:
        refinement["absent"] = (
            "the target has no videos" if trained[0].model.refinement is not None else "FRM is off"
        )

    subset_of = np.array([class_map[actions[row]].subset for row in rows])
    result: dict[str, Any] = {
        "benchmark": settings.benchmark,
        "target": settings.target,
        "class_map": settings.class_map,
        "source_classes": len(classes),
        "refinement": refinement,
        "subsets": {},
        "settings": settings.dump(),
    }
    for subset in SUBSETS:
        # every class with an honest counterpart includes the paper's
        inside = (subset_of == subset) | (subset == "mapped")
        result["subsets"][subset] = {
            "clips": int(inside.sum()),
            "classes": _classes(
                [actions[row] for row, keep in zip(rows, inside, strict=True) if keep], class_map
            ),
            "left_out": _left_out(source, actions, class_map, classes, subset),
            "models": [
                _row(member, refined, logits[inside], labels[inside])
                for (member, refined), logits in scores.items()
            ],
        }
    write_json(output, result)


def _weights(ensemble: Path, members: Sequence[str]) -> tuple[list[float], bool]:
    """The fusion weight of each member, by its name; and `normalise` of `fuse`."""
    found = find_benchmark(ensemble)
    stated = {one.name: one.weight for one in found.members} if found else {}
    if lacking := [member for member in members if member not in stated]:
        raise UserError(f"{ensemble}: has no fusion weight of member {lacking[0]}")
    return [stated[member] for member in members], bool(found and found.normalise)


def _known(class_map: dict[str, Counterpart], action: str, classes: Sequence[str]) -> bool:
    return action in class_map and class_map[action].source in classes


def _classes(actions: Sequence[str], class_map: dict[str, Counterpart]) -> list[dict[str, Any]]:
    counts = sorted(Counter(actions).items())
    return [{"id": action, "source": class_map[action].source, "clips": count} for action, count in counts]


def _left_out(
    source: SkeletonStore,
    actions: Sequence[str],
    class_map: dict[str, Counterpart],
    classes: Sequence[str],
    subset: str,
) -> list[dict[str, Any]]:
    """What of the target takes no part: classes the models lack, with their clips, and unusable clips."""
    lacking = Counter(
        action
        for action in actions
        if action in class_map
        and (subset == "mapped" or class_map[action].subset == subset)
        and class_map[action].source not in classes
    )
    found = [
        {
            "class": action,
            "clips": count,
            "reason": f"the models were not trained on {class_map[action].source}",
        }
        for action, count in sorted(lacking.items())
    ]
    if subset == "mapped":
        unmapped = Counter(action for action in actions if action not in class_map)
        found += [
            {"class": action, "clips": count, "reason": "no counterpart among the source's classes"}
            for action, count in sorted(unmapped.items())
        ]
    return found + [
        {"name": name, "clips": 1, "reason": reason} for name, reason in sorted(source.failed.items())
    ]


def _row(member: str, refined: bool, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    first, fifth = int(hits(logits, labels, 1).sum()), int(hits(logits, labels, 5).sum())
    return {
        "member": member,
        "refined": refined,
        "top1_hits": first,
        "top5_hits": fifth,
        "top1": percent(first, len(labels)),
        "top5": percent(fifth, len(labels)),
        "interval": wilson(first, len(labels)),
    }
