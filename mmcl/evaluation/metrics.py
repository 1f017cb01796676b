"""What scores come to: accuracy, precision, recall, F1, calibration, and the interval of a share.

Whatever is a share is in percent, with two decimals wherever it is written down. A class without clips has no
accuracy, precision or F1 (None) and no part in a mean over classes; clips wrongly taken for it count against
their own class. A class that has clips but was never predicted has precision and F1 zero.
"""

from collections.abc import Sequence

import numpy as np

FIGURES = (
    "top1",
    "top5",
    "mean_class_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "ece",
    "nll",
)
BINS = 15
"""Confidence bins of the expected calibration error, as in Guo et al. (ICML 2017)."""


def hits(logits: np.ndarray, labels: np.ndarray, k: int = 1) -> np.ndarray:
    """Whether each clip's class is among the k highest scores.

    Args:
        logits: (N, C), finite.
        labels: (N,) integers below C.
        k: with fewer than k classes every clip is a hit.

    Returns:
        (N,) bool. A class counts as higher only if its score is strictly higher, or equal with a lower
        index, so that ties are broken the same way everywhere.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1])[None, :] < labels[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    hit: np.ndarray = rank < k
    return hit


def percent(part: float, whole: float) -> float | None:
    """100 · part / whole with two decimals; None of nothing."""
    return round(100.0 * float(part) / float(whole), 2) if whole else None


def rounded(value: float | None, key: str = "top1") -> float | None:
    """A figure with the decimals it is written down with: two of a percentage, four of nats. None for NaN."""
    if value is None or np.isnan(value):
        return None
    return round(float(value), 4 if key == "nll" else 2)


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Clips by class, (C, C) int64: rows are the true classes, columns the predicted ones."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(axis=1)  # argmax takes the lower index of a tie, as `hits` does
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def precision_recall_f1(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of every class, (3, C) as shares of one; NaN for a class without clips.

    A class's recall is its accuracy. Scikit-learn's `zero_division` is 0.
    """
    from sklearn.metrics import precision_recall_fscore_support

    classes = logits.shape[1]
    if not len(labels):
        return np.full((3, classes), np.nan)
    *shares, clips = precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=np.arange(classes), zero_division=0
    )
    return np.where(clips > 0, np.stack(shares), np.nan)


def per_class(
    logits: np.ndarray, labels: np.ndarray, ids: Sequence[str], names: Sequence[str]
) -> list[dict[str, str | int | float | None]]:
    """One entry a class: id, name, clips, and top1 (its recall), precision and f1 in percent."""
    clips = np.bincount(labels, minlength=len(ids))
    return [
        {
            "id": i,
            "name": name,
            "clips": int(count),
            "top1": rounded(100.0 * recall),
            "precision": rounded(100.0 * precision),
            "f1": rounded(100.0 * f1),
        }
        for i, name, count, (precision, recall, f1) in zip(
            ids, names, clips, precision_recall_f1(logits, labels).T, strict=True
        )
    ]


def calibration(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> tuple[float, float]:
    """How far softmax(z / T) can be taken at its word.

    Args:
        logits: z, (N, C).
        labels: y, (N,).
        temperature: T.

    Returns:
        Expected calibration error in percent, Σ_m |B_m| / N · |acc(B_m) − conf(B_m)| over 15 bins of equal
        width, ((m − 1) / 15, m / 15], of the highest probability (Guo et al., On Calibration of Modern Neural
        Networks, ICML 2017, Eq. 2–3); and the mean negative log-likelihood −log p(y) in nats (there Eq. 4,
        a sum).
    """
    from scipy.special import log_softmax

    log_p = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    confidence = np.exp(log_p.max(axis=1))
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gap = np.bincount(bins, hits(logits, labels) - confidence, minlength=BINS)
    return 100.0 * float(np.abs(gap).sum()) / len(labels), float(
        -np.take_along_axis(log_p, labels[:, None], 1).mean()
    )


def figures(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> dict[str, float | None]:
    """All `FIGURES` of (N, C) scores, not rounded; None without clips.

    top1, top5, mean_class_accuracy, macro_precision, macro_recall, macro_f1 and ece are in percent, nll is in
    nats. mean_class_accuracy and macro_recall are two names of one figure. `temperature` touches ece and nll.
    """
    if not len(labels):
        return dict.fromkeys(FIGURES)
    precision, recall, f1 = 100.0 * np.nanmean(precision_recall_f1(logits, labels), axis=1)
    ece, nll = calibration(logits, labels, temperature)
    top1, top5 = (100.0 * hits(logits, labels, k).sum() / len(labels) for k in (1, 5))
    values = (top1, top5, recall, precision, recall, f1, ece, nll)
    return {key: float(value) for key, value in zip(FIGURES, values, strict=True)}


def summary(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> dict[str, float | None]:
    """`figures` as they are written down."""
    return {key: rounded(value, key) for key, value in figures(logits, labels, temperature).items()}


def wilson(right: int, clips: int) -> list[float] | None:
    """95 % Wilson score interval of right / clips, in percent: [lower, upper]; None of nothing."""
    from scipy.stats import binomtest

    if not clips:
        return None
    interval = binomtest(int(right), int(clips)).proportion_ci(0.95, method="wilson")
    return [round(100.0 * interval.low, 2), round(100.0 * interval.high, 2)]
