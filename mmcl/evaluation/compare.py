"""Whether one benchmark is better than another: paired over seeds, and paired over test clips.

Two sources of chance are kept apart. Other seeds train other networks: the t-interval over seeds measures how far the
mean difference depends on them, on these test clips. Other test clips would give other accuracies: the bootstrap over
clips and McNemar's test measure how far the difference depends on the clips, for these networks. Both treat clips as
independent, which clips of one subject are not quite.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.errors import UserError
from mmcl.evaluation.ensemble import fuse, read_classes, read_scores
from mmcl.evaluation.finished import FinishedBenchmark, find_benchmark, scores_of_seed
from mmcl.evaluation.metrics import figures, hits, rounded
from mmcl.evaluation.paired import bootstrap, mcnemar, t_interval

HITS = {"top1": 1, "top5": 5}
"""Metrics that are a share of the clips: k of the k highest scores."""
CLASS_MEANS = ("mean_class_accuracy", "macro_recall")
"""Metrics that are a mean over classes of a share of their clips."""


@dataclass(frozen=True)
class Outcome:
    """What one seed came to.

    Attributes:
        figures: all figures, not rounded.
        hits: k → (N,) bool, which clips are right at k.
        predicted: (N,), the class with the highest score.
        sure: (N,), the probability of the right class.
        labels: (N,).
        names: the N clips, sorted.
        classes: ids of the classes.
        class_names: their names.
    """

    figures: dict[str, float | None]
    hits: dict[int, np.ndarray]
    predicted: np.ndarray
    sure: np.ndarray
    labels: np.ndarray
    names: list[str]
    classes: list[str]
    class_names: list[str]


@dataclass
class Runs:
    """A finished benchmark, or one stream of it.

    Attributes:
        path: where it lies.
        scores: seed → scores.h5 of its members.
        weights: of the members.
        top1: seed → the accuracy recorded in ensemble.json, as far as there is one.
        normalise: see `fuse`.
        name: what it is called in the result.
    """

    path: Path
    scores: dict[int, list[Path]]
    weights: list[float]
    top1: dict[int, float]
    normalise: bool = False
    name: str = ""

    def outcome(self, seed: int) -> Outcome:
        """The scores of a seed.

        Raises:
            UserError: they are not there, or are not those that were written down.
        """
        from scipy.special import softmax

        logits, labels, names = read_scores(self.scores[seed])
        fused = fuse(logits, self.weights, self.normalise)
        total = sum(self.weights)
        outcome = Outcome(
            figures(fused, labels, total),
            {k: hits(fused, labels, k) for k in HITS.values()},
            fused.argmax(axis=1),
            softmax(fused / total, axis=1)[np.arange(len(labels)), labels],
            labels,
            names,
            *read_classes(self.scores[seed][0]),
        )
        now = rounded(outcome.figures["top1"])
        if self.top1.get(seed, now) != now:
            raise UserError(
                f"{self.path}: records top1 {self.top1[seed]} for seed {seed}, but its scores.h5 now give {now}; "
                "run snakemake for it again"
            )
        return outcome


def find_runs(path: Path, member: str | None = None) -> Runs:
    """The scores that a path names.

    Args:
        path: a benchmark (its name, folder or ensemble.json), or a trained stream's folder: of its settings, with
            seed-<n>/scores.h5 in it, or of one seed.
        member: such as ctrgcn-natural-joint: this member of the ensemble alone.

    Raises:
        UserError: it is none of these, or has no such member.
    """
    if benchmark := find_benchmark(path):
        return _of_ensemble(benchmark, member)
    files = [path / "scores.h5"] if _is_seed(path / "scores.h5") else sorted(path.glob("seed-*/scores.h5"))
    found = {int(file.parent.name[5:]): [file] for file in files if _is_seed(file) and file.exists()}
    if not found:
        raise UserError(
            f"{path}: neither a finished benchmark (its name, folder or ensemble.json) nor a trained stream's "
            f"folder with "
            "seed-<n>/scores.h5"
        )
    if member:
        raise UserError(f"{path}: is one stream already; --member {member} chooses from a benchmark")
    return Runs(path, dict(sorted(found.items())), [1.0], {})


def _is_seed(scores: Path) -> bool:
    return re.fullmatch(r"seed-\d+", scores.parent.name) is not None


def _of_ensemble(benchmark: FinishedBenchmark, member: str | None) -> Runs:
    members, top1 = benchmark.chosen(member), benchmark.seeds
    weights = [one.weight for one in members]
    if member:
        weights, top1 = [1.0], {next(iter(benchmark.seeds)): members[0].top1}
    scores = {seed: scores_of_seed(members, seed) for seed in benchmark.seeds}
    return Runs(benchmark.path, scores, weights, top1, benchmark.normalise and member is None)


def compare(paths: Sequence[Path], member: str | None = None, metric: str = "top1") -> dict[str, Any]:
    """Compare finished benchmarks with the first of them, over the seeds that both have.

    Args:
        paths: at least two; see `find_runs`.
        member: compare this member of the ensembles, such as ctrgcn-natural-joint, and not the ensembles.
        metric: one of `mmcl.evaluation.metrics.FIGURES`.

    Returns:
        metric, member, clips, runs [{name, path, seeds [{seed, value}], mean, sd}], notes, and pairs
        [{baseline, candidate, seeds [{seed, baseline, candidate, difference, mcnemar}], mean {baseline, candidate,
        difference}, sd, interval_over_seeds, interval_over_clips, per_class, hard}]. Differences are candidate less
        baseline, in percentage points (nll: nats). sd is that of the seeds' differences. Intervals are [lower, upper]
        of 95 %, null where there is none: over seeds with one seed, over clips for a metric that is no mean over clips
        or classes. mcnemar {only_baseline, only_candidate, p} counts the clips that only one of the two has right; it
        is given for top1 and top5, seed by seed: a clip's hits under several seeds are no independent trials and are
        not added up. per_class and hard are of top1 whatever the metric, see `_per_class` and `_hard`.

    Raises:
        UserError: scores are missing, the clips or classes differ, or there is no common seed.
    """
    found = [find_runs(path, member) for path in paths]
    _name(found)
    outcomes = [{seed: runs.outcome(seed) for seed in runs.scores} for runs in found]
    notes: list[str] = []
    first = next(iter(outcomes[0].values()))
    for runs, seeds in zip(found, outcomes, strict=True):
        for seed, outcome in seeds.items():
            _same_clips(found[0].name, first, f"{runs.name} seed {seed}", outcome)
    pairs = []
    for runs, seeds in zip(found[1:], outcomes[1:], strict=True):
        common = [seed for seed in outcomes[0] if seed in seeds]
        if not common:
            raise UserError(
                f"{found[0].path} ({_seeds(found[0])}) and {runs.path} ({_seeds(runs)}): no common seed"
            )
        if len(common) < max(len(seeds), len(outcomes[0])):
            notes.append(
                f"{found[0].name} has {_seeds(found[0])}, {runs.name} {_seeds(runs)}: compared over "
                f"{', '.join(map(str, common))}"
            )
        if len(common) == 1:
            notes.append(f"{runs.name} against {found[0].name}: one seed, so no interval over seeds")
        sides = [outcomes[0][seed] for seed in common], [seeds[seed] for seed in common]
        pair = _pair(*sides, common, metric) | {"per_class": _per_class(*sides), "hard": _hard(*sides)}
        pairs.append({"baseline": found[0].name, "candidate": runs.name, **pair})
    if metric not in HITS and metric not in CLASS_MEANS:
        notes.append(f"{metric} is no mean over clips or classes: no interval over clips")
    if len(pairs) > 1:
        notes.append(
            f"{len(pairs)} pairs: intervals and p are of each by itself, not corrected for their number"
        )
    return {
        "metric": metric,
        "member": member,
        "clips": len(first.names),
        "runs": [_run(runs, seeds, metric) for runs, seeds in zip(found, outcomes, strict=True)],
        "pairs": pairs,
        "notes": notes,
    }


def _name(found: Sequence[Runs]) -> None:
    """Name each by the part of its path that the others do not share."""
    folders = [(runs.path.parent if runs.path.is_file() else runs.path).resolve() for runs in found]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise UserError(f"{found[number].path}: given twice")
    above = Path(os.path.commonpath(folders))
    above = above.parent if above in folders else above
    for runs, folder in zip(found, folders, strict=True):
        runs.name = str(folder.relative_to(above))


def _same_clips(name: str, outcome: Outcome, other_name: str, other: Outcome) -> None:
    odd = sorted(set(outcome.names) ^ set(other.names))
    if odd:
        counts = f"{len(outcome.names)} and {len(other.names)} clips, {len(odd)} in one alone"
        raise UserError(f"{name} and {other_name} scored different clips ({counts}), {odd[0]} for one")
    if outcome.classes != other.classes or (outcome.labels != other.labels).any():
        raise UserError(f"{name} and {other_name} scored clips of different classes")


def _seeds(runs: Runs) -> str:
    return f"seeds {', '.join(map(str, runs.scores))}"


def _run(runs: Runs, outcomes: dict[int, Outcome], metric: str) -> dict[str, Any]:
    values = np.array([outcome.figures[metric] for outcome in outcomes.values()], float)
    return {
        "name": runs.name,
        "path": str(runs.path),
        "seeds": [
            {"seed": seed, "value": rounded(value, metric)}
            for seed, value in zip(outcomes, values, strict=True)
        ],
        "mean": rounded(values.mean(), metric),
        "sd": rounded(values.std(ddof=1), metric) if len(values) > 1 else None,
    }


def _pair(
    baseline: Sequence[Outcome], candidate: Sequence[Outcome], seeds: Sequence[int], metric: str
) -> dict[str, Any]:
    before, after = (np.array([o.figures[metric] for o in side], float) for side in (baseline, candidate))
    difference = after - before
    tests: list[dict[str, Any] | None] = [None] * len(seeds)
    over_clips = None
    if metric in HITS or metric in CLASS_MEANS:
        k = HITS.get(metric, 1)
        was, now = (np.stack([o.hits[k] for o in side]) for side in (baseline, candidate))
        if metric in HITS:
            tests = [mcnemar(a, b) for a, b in zip(was, now, strict=True)]
        labels = baseline[0].labels
        groups = labels if metric in CLASS_MEANS else np.zeros_like(labels)
        over_clips = bootstrap(100.0 * (now.mean(axis=0) - was.mean(axis=0)), groups)

    def written(values: np.ndarray | Sequence[float]) -> list[float | None]:
        return [rounded(value, metric) for value in values]

    over_seeds = t_interval(difference)
    columns = zip(seeds, written(before), written(after), written(difference), tests, strict=True)
    return {
        "seeds": [
            dict(zip(("seed", "baseline", "candidate", "difference", "mcnemar"), row, strict=True))
            for row in columns
        ],
        "mean": {
            "baseline": rounded(before.mean(), metric),
            "candidate": rounded(after.mean(), metric),
            "difference": rounded(difference.mean(), metric),
        },
        "sd": rounded(difference.std(ddof=1), metric) if len(seeds) > 1 else None,
        "interval_over_seeds": written(over_seeds) if over_seeds else None,
        "interval_over_clips": written(over_clips) if over_clips else None,
    }


def _per_class(baseline: Sequence[Outcome], candidate: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Accuracy class by class, in percent over the common seeds; the largest gain first.

    Returns:
        id, name, clips, baseline, candidate, difference, and interval_over_clips: the 95 % bootstrap interval of the
        paired difference, of each class by itself.
    """
    first = baseline[0]
    was, now = (np.stack([o.hits[1] for o in side]).mean(axis=0) for side in (baseline, candidate))
    found = []
    for label in np.unique(first.labels):
        own = first.labels == label
        differences = 100.0 * (now - was)[own]
        row = {
            "id": first.classes[label],
            "name": first.class_names[label],
            "clips": int(own.sum()),
            "baseline": rounded(100.0 * was[own].mean()),
            "candidate": rounded(100.0 * now[own].mean()),
            "difference": rounded(differences.mean()),
            "interval_over_clips": [
                rounded(end) for end in bootstrap(differences, np.zeros_like(differences))
            ],
        }
        found.append((-differences.mean(), row))
    return [
        row for _, row in sorted(found, key=lambda one: one[0])
    ]  # stable: equal ones in the order of classes


def _hard(baseline: Sequence[Outcome], candidate: Sequence[Outcome]) -> dict[str, list[dict[str, Any]]]:
    """Clips that one has right with every common seed, and the other with none.

    Returns:
        only_candidate and only_baseline [{name, class, class_name, taken_for, taken_for_name, probability}]: what the
        other took the clip for, with the first common seed, and the probability of the right class by the one that has
        it right, in the mean over the seeds; the highest first.
    """

    def alone(right: Sequence[Outcome], wrong: Sequence[Outcome]) -> list[dict[str, Any]]:
        first, other = right[0], wrong[0]
        always = np.all([o.hits[1] for o in right], axis=0) & ~np.any([o.hits[1] for o in wrong], axis=0)
        sure = np.mean([o.sure for o in right], axis=0)
        rows = np.flatnonzero(always)
        return [
            {
                "name": first.names[row],
                "class": first.classes[first.labels[row]],
                "class_name": first.class_names[first.labels[row]],
                "taken_for": first.classes[other.predicted[row]],
                "taken_for_name": first.class_names[other.predicted[row]],
                "probability": round(float(sure[row]), 4),
            }
            for row in rows[np.argsort(-sure[rows], kind="stable")]
        ]

    return {"only_candidate": alone(candidate, baseline), "only_baseline": alone(baseline, candidate)}
