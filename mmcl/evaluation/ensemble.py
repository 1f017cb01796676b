"""Fusion of several streams' scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.errors import UserError
from mmcl.evaluation.metrics import FIGURES, confusion, figures, hits, per_class, percent, rounded, summary
from mmcl.files import read_json, write_json
from mmcl.paths import BEST_SCORES
from mmcl.settings.jobs import Fusion
from mmcl.store import Shards, opened
from mmcl.versions import versions

SCHEMA = "mmcl.scores/1"
PACKAGES = (
    "mmcl",
    "torch",
    "torchvision",
    "transformers",
    "numpy",
    "scipy",
    "scikit-learn",
    "h5py",
    "snakemake",
)


def fuse(logits: np.ndarray, weights: Sequence[float] | np.ndarray, normalise: bool = False) -> np.ndarray:
    """S = Σ_k w_k · z_k on raw logits.

    Args:
        logits: (K, N, C), one matrix a member.
        weights: K numbers.
        normalise: whether every z_k of a clip is divided by its L2 norm first, as HD-GCN's ensemble does.

    Returns:
        (N, C).
    """
    logits = normalised(logits) if normalise else logits.astype(np.float64)
    fused: np.ndarray = np.tensordot(np.asarray(weights, np.float64), logits, axes=1)
    return fused


def normalised(logits: np.ndarray) -> np.ndarray:
    """(…, C) of length one each, float64; zeros stay zeros."""
    logits = logits.astype(np.float64)
    norms = np.linalg.norm(logits, axis=-1, keepdims=True)
    return logits / np.where(norms > 0, norms, 1.0)


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
    weights: np.ndarray = np.clip(found.x, 0.0, None)
    weights /= weights.sum()
    return weights


def read_scores(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores of several members over the same clips, joined by name.

    Returns:
        logits (K, N, C), labels (N,), names (N) sorted.

    Raises:
        UserError: two members scored different clips, or clips of other classes.
    """
    stores = [Shards([path], SCHEMA) for path in paths]
    names = sorted(stores[0].names)
    labels, classes = stores[0].read("labels", names), read_classes(paths[0])
    for path, store in zip(paths, stores, strict=True):
        odd = sorted(set(store.names) ^ set(names))
        if odd:
            raise UserError(f"{path} and {paths[0]} scored different clips, {odd[0]} for one")
        if read_classes(path) != classes or (store.read("labels", names) != labels).any():
            raise UserError(f"{path} and {paths[0]} scored clips of different classes")
    return np.stack([store.read("logits", names) for store in stores]), labels, names


def read_classes(path: Path) -> tuple[list[str], list[str]]:
    """Ids and names of the classes of scores."""
    with opened(path, SCHEMA) as h5:
        return h5["classes/id"].asstr()[:].tolist(), h5["classes/name"].asstr()[:].tolist()


def write_ensemble(
    output: Path, *, scores: Sequence[Path], metrics: Sequence[Path], fit: Sequence[Path], settings: Fusion
) -> None:
    """Fuse the members within each seed and write `ensemble.json`.

    All figures of `mmcl.evaluation.metrics` are of the fused scores: top1 and so on, per_class and confusion of
    the first seed, and every seed's with their mean and standard deviation. With `train.evaluate_every`,
    `best_on_test` has the figures of every seed's members at the epochs that were best on the test clips, by the same
    weights: what the reference reports. A sum of logits is no log-probability
    on its own scale: weights that sum to 10 scale it by ten. So calibration (ece, nll) is that of the members' weighted
    mean, softmax(Σ w z / Σ w), which is the same for weights 1:1 and 5:5. Fitted weights sum to one, and were fitted as
    this softmax.

    Args:
        output: the JSON file.
        scores: scores.h5 of every member, seed by seed.
        metrics: metrics.json of the first seed's members.
        fit: scores.h5 of the first seed's fit runs, on training subjects they have not seen; empty unless
            the weights are fitted.
        settings: how the members are fused, and what they were made with.

    Raises:
        UserError: members scored different clips, or all weights are zero.
    """
    seeds, members = settings.seeds, settings.members
    normalise = settings.ensemble.normalise and len(members) > 1  # one member keeps its scores as they are
    held_out = None
    match settings.ensemble.weights:
        case "fitted":
            logits, labels, names = read_scores(fit)
            weights = fit_weights(normalised(logits) if normalise else logits, labels)
            held_out = len(names)
        case "equal":
            weights = np.full(len(members), 1.0 / len(members))
        case "preset":
            weights = np.asarray(settings.ensemble.preset_weights(members), float)
    if len(members) == 1:
        weights = np.ones(1)  # whatever it is, it changes nothing
    # what is written down is what was used, so that others can add the members up again
    weights = weights.round(6)
    total = float(weights.sum())
    if not total:
        raise UserError(f"{output}: all fusion weights are zero")
    results, own = [], []
    for number in range(len(seeds)):
        logits, labels, names = read_scores(scores[number * len(members) : (number + 1) * len(members)])
        results.append(figures(fuse(logits, weights, normalise), labels, total))
        own.append([100.0 * hits(member, labels).mean() for member in logits])
    best = []
    if settings.train.evaluate_every:
        for number, seed in enumerate(seeds):
            own_scores = scores[number * len(members) : (number + 1) * len(members)]
            logits, labels, _ = read_scores([path.with_name(BEST_SCORES) for path in own_scores])
            best.append({"seed": seed, **summary(fuse(logits, weights, normalise), labels, total)})
    # the last loop's variables belong to the last seed; members and classes are reported for the first
    logits, labels, names = read_scores(scores[: len(members)])
    fused = fuse(logits, weights, normalise)
    ids, class_names = read_classes(scores[0])
    read = [read_json(path) for path in metrics]
    written: dict[str, Any] = {
        "benchmark": settings.benchmark,
        "question": settings.question,
        "classes": len(ids),
        "clips": len(names),
        "left_out": read[0]["left_out"],
        "members": [
            {
                **member.dump(),
                "run": run,
                "weight": float(weight),
                "top1": percent(hits(scored, labels).sum(), len(labels)),
                "top5": percent(hits(scored, labels, 5).sum(), len(labels)),
                "mean": _mean(values),
                "sd": _sd(values),
                **{key: value for key, value in about.items() if key == "best_on_test"},
            }
            for member, run, weight, scored, values, about in zip(
                members, settings.runs, weights, logits, zip(*own, strict=True), read, strict=True
            )
        ],
        "weights_from": settings.ensemble.weights,
        **({"weights_fitted_on_clips": held_out} if held_out else {}),
        **summary(fused, labels, total),
        "per_class": per_class(fused, labels, ids, class_names),
        "confusion": confusion(fused, labels).tolist(),
        "seeds": [
            {"seed": seed, **{key: rounded(value, key) for key, value in result.items()}}
            for seed, result in zip(seeds, results, strict=True)
        ],
        "mean": {key: _mean([r[key] for r in results], key) for key in FIGURES},
        "sd": {key: _sd([r[key] for r in results], key) for key in FIGURES},
        **({"best_on_test": best} if best else {}),
        "settings": settings.dump(),
        "versions": versions(*PACKAGES),
    }
    write_json(output, written)


def _mean(values: Sequence[float | None], key: str = "top1") -> float | None:
    return rounded(float(np.mean(np.array(values, float))), key)


def _sd(values: Sequence[float | None], key: str = "top1") -> float | None:
    """Standard deviation over seeds; None with one seed."""
    return rounded(float(np.std(np.array(values, float), ddof=1)), key) if len(values) > 1 else None
