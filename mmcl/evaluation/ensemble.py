"""Fusion of several streams' scores."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from mmcl.errors import UserError
from mmcl.evaluation.metrics import hits, per_class, summary
from mmcl.files import write_json
from mmcl.store import Shards

SCHEMA = "mmcl.scores/1"
PACKAGES = ("mmcl", "torch", "torchvision", "transformers", "numpy", "scipy", "h5py", "snakemake")


def fuse(logits: np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """S = Σ_k w_k · z_k on raw logits.

    Args:
        logits: (K, N, C), one matrix a member.
        weights: K numbers.

    Returns:
        (N, C).
    """
    return np.tensordot(np.asarray(weights, np.float64), logits.astype(np.float64), axes=1)


def fit_weights(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fusion weights with the least cross-entropy: min_w CE(Σ_k w_k z_k, y), w ≥ 0, Σ w = 1.

    The problem is convex, so the answer does not depend on where the search starts.

    Args:
        logits: (K, N, C) of clips that no member was trained on.
        labels: (N,).

    Returns:
        (K,) weights.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    members, clips, _ = logits.shape
    logits = logits.astype(np.float64)
    rows = np.arange(clips)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        fused = fuse(logits, weights)
        error = softmax(fused, axis=1)
        error[rows, labels] -= 1.0
        gradient = (logits * error).sum(axis=(1, 2)) / clips
        return -log_softmax(fused, axis=1)[rows, labels].mean(), gradient

    found = minimize(
        loss,
        np.full(members, 1.0 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    weights = np.clip(found.x, 0.0, None)
    return weights / weights.sum()


def read_scores(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores of several members over the same clips, joined by name.

    Returns:
        logits (K, N, C), labels (N,), names (N) sorted.

    Raises:
        UserError: two members scored different clips.
    """
    stores = [Shards([path], SCHEMA) for path in paths]
    names = sorted(stores[0].names)
    for path, store in zip(paths, stores, strict=True):
        odd = sorted(set(store.names) ^ set(names))
        if odd:
            raise UserError(f"{path} and {paths[0]} scored different clips, {odd[0]} for one")
    logits = np.stack([store.read("logits", names) for store in stores])
    return logits, stores[0].read("labels", names), names


def write_ensemble(
    output: Path, *, scores: Sequence[Path], metrics: Sequence[Path], fit: Sequence[Path], settings: dict
) -> None:
    """Fuse the members within each seed and write `ensemble.json` (DESIGN, section 3).

    Args:
        output: the JSON file.
        scores: scores.h5 of every member, seed by seed.
        metrics: metrics.json of the first seed's members.
        fit: scores.h5 of the first seed's fit runs, on training subjects they have not seen; empty unless
            the weights are fitted.
        settings: benchmark, question, seeds, ensemble {members, weights, preset} and what the members
            were made with.
    """
    ensemble, seeds = settings["ensemble"], settings["seeds"]
    members = ensemble["members"]
    held_out = None
    match ensemble["weights"]:
        case "fitted":
            logits, labels, names = read_scores(fit)
            weights = fit_weights(logits, labels)
            held_out = len(names)
        case "equal":
            weights = np.full(len(members), 1.0 / len(members))
        case "preset":
            weights = np.asarray(ensemble["preset"], float)
    results = []
    for number, seed in enumerate(seeds):
        logits, labels, names = read_scores(scores[number * len(members) : (number + 1) * len(members)])
        results.append({"seed": seed, **summary(fuse(logits, weights), labels)})
    # the last loop's variables belong to the last seed; members and classes are reported for the first
    logits, labels, names = read_scores(scores[: len(members)])
    fused = fuse(logits, weights)
    with h5py.File(scores[0], "r") as h5:
        ids, class_names = (h5[f"classes/{key}"].asstr()[:].tolist() for key in ("id", "name"))
    table = per_class(hits(fused, labels), labels, len(ids))
    keys = ("top1", "top5", "mean_class_accuracy")
    result = {
        "benchmark": settings["benchmark"],
        "question": settings["question"],
        "classes": len(ids),
        "clips": len(names),
        "left_out": json.loads(Path(metrics[0]).read_text())["left_out"],
        "members": [
            {**member, "weight": round(float(weight), 6), **_short(summary(own, labels))}
            for member, weight, own in zip(members, weights, logits, strict=True)
        ],
        "weights_from": ensemble["weights"],
        **({"weights_fitted_on_clips": held_out} if held_out else {}),
        **results[0],
        "per_class": [
            {"id": i, "name": name, "clips": clips, "top1": accuracy}
            for i, name, (clips, accuracy) in zip(ids, class_names, table, strict=True)
        ],
        "seeds": results,
        "mean": {key: _rounded(np.mean([r[key] for r in results])) for key in keys},
        "sd": {
            key: _rounded(np.std([r[key] for r in results], ddof=1)) if len(seeds) > 1 else None
            for key in keys
        },
        "settings": settings,
        "versions": {package: version(package) for package in PACKAGES},
    }
    del result["seed"]
    write_json(output, result)


def _short(values: dict) -> dict:
    return {key: values[key] for key in ("top1", "top5")}


def _rounded(value: float) -> float:
    return round(float(value), 2)
