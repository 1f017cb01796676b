"""Which weights a run's jobs need, looked for before the first one starts: a cluster would queue it for a GPU first."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mmcl.errors import UserError
from mmcl.naming import find
from mmcl.settings import jobs
from mmcl.settings.model import CnnSettings
from mmcl.settings.tables import ADAPTERS, DETECTORS, ESTIMATORS

Params = Mapping[str, Any]


def _own(table: Mapping[str, Any], name: str) -> bool:
    """Whether a name of a table is the package's own; one that a user added may need no weights."""
    return str(table.get(name, "")).startswith("mmcl.")


def _crop_people(params: Params) -> str | None:
    video = jobs.Cropping.model_validate(params).video
    used = video.boxes == "detector" and _own(DETECTORS, video.detector.architecture)
    return video.detector.weights if used else None


def _estimate_poses(params: Params) -> str | None:
    poses = jobs.PoseEstimation.model_validate(params).poses
    return poses.weights if _own(ESTIMATORS, poses.architecture) else None


def _of_vlm(params: Params) -> str | None:
    return params["weights"] if _own(ADAPTERS, params["adapter"]) else None


def _encode_montages(params: Params) -> str | None:
    return CnnSettings.model_validate({key: params[key] for key in params if key != "version"}).weights


def _train_stream(params: Params) -> str | None:
    fam = jobs.StreamTraining.model_validate(params).model.fam
    return fam.cnn.weights if fam.enabled and not fam.cnn.frozen else None


NEEDED: dict[str, Callable[[Params], str | None]] = {
    "crop_people": _crop_people,
    "estimate_poses": _estimate_poses,
    "embed_pictures": _of_vlm,
    "answer_question": _of_vlm,
    "encode_montages": _encode_montages,
    "train_stream": _train_stream,
}
"""Rule → the weights of a job with these params; None if it needs none."""


def check_weights(planned: Iterable[tuple[str, Params]]) -> None:
    """Whether the weights of all jobs are there; not their sha256, which each job compares itself.

    Args:
        planned: rule and params `settings` of the jobs that are to run.

    Raises:
        UserError: names all that are missing.
    """
    missing: dict[str, str] = {}
    for rule, params in planned:
        weights = NEEDED[rule](params) if rule in NEEDED else None
        if weights and not find(weights).exists():
            missing.setdefault(weights, rule)
    if missing:
        in_order = sorted(missing.items(), key=lambda one: (list(NEEDED).index(one[1]), one[0]))
        named = ", ".join(f"{weights} ({rule})" for weights, rule in in_order)
        raise UserError(
            f"weights not found: {named}; `mmcl fetch` gets published ones, docs/weights.md tells what belongs there"
        )
