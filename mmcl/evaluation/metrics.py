"""Accuracy and its interval. Accuracy is in percent with two decimals wherever it is written down."""

import numpy as np


def hits(logits: np.ndarray, labels: np.ndarray, k: int = 1) -> np.ndarray:
    """Whether each clip's class is among the k highest scores.

    Args:
        logits: (N, C).
        labels: (N,) integers below C.
        k: with fewer than k classes every clip is a hit.

    Returns:
        (N,) bool. A class counts as higher only if its score is strictly higher, or equal with a lower
        index, so that ties are broken the same way everywhere.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1])[None, :] < labels[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return rank < k


def percent(part: float, whole: float) -> float | None:
    """100 · part / whole with two decimals; None of nothing."""
    return round(100.0 * float(part) / float(whole), 2) if whole else None


def per_class(hit: np.ndarray, labels: np.ndarray, classes: int) -> list[tuple[int, float | None]]:
    """(clips, accuracy in percent) of every class; accuracy is None for a class without clips."""
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=hit.astype(float), minlength=classes)
    return [(int(count), percent(good, count)) for count, good in zip(counts, right, strict=True)]


def mean_class_accuracy(hit: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean over the classes present of each class's accuracy, in percent."""
    if not len(labels):
        return None
    return round(100.0 * float(np.mean([hit[labels == c].mean() for c in np.unique(labels)])), 2)


def summary(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """top1, top5 and mean_class_accuracy of (N, C) scores, in percent."""
    first = hits(logits, labels, 1)
    return {
        "top1": percent(first.sum(), len(labels)),
        "top5": percent(hits(logits, labels, 5).sum(), len(labels)),
        "mean_class_accuracy": mean_class_accuracy(first, labels),
    }


def wilson(right: int, clips: int) -> list[float] | None:
    """95 % Wilson score interval of right / clips, in percent: [lower, upper]; None of nothing."""
    from scipy.stats import binomtest

    if not clips:
        return None
    interval = binomtest(int(right), int(clips)).proportion_ci(0.95, method="wilson")
    return [round(100.0 * interval.low, 2), round(100.0 * interval.high, 2)]
