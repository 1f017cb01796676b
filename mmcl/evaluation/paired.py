"""Statistics of paired differences: of seeds that two methods share, and of clips that both have scored."""

import numpy as np

DRAWS = 10_000
"""Bootstrap draws: the ends of an interval then vary by about a hundredth of its width."""


def t_interval(differences: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the mean of paired differences, d̄ ± t(0.975, n − 1) · s / √n; None for n = 1."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    half = t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return float(differences.mean() - half), float(differences.mean() + half)


def mcnemar(baseline: np.ndarray, candidate: np.ndarray) -> dict[str, float]:
    """McNemar's test, exact: of the clips that one of the two alone has right, does either have more than half?

    Args:
        baseline, candidate: (N,) bool, which clips are right.

    Returns:
        only_baseline, only_candidate (clips) and the two-sided binomial p, 1 without such a clip.
    """
    from scipy.stats import binomtest

    lost, won = int((baseline & ~candidate).sum()), int((candidate & ~baseline).sum())
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return {"only_baseline": lost, "only_candidate": won, "p": float(f"{p:.4g}")}


def bootstrap(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of a mean over groups of the groups' means, by drawing the clips of each again.

    Args:
        values: (N,) of the clips, with few distinct values, as differences of hits have.
        groups: (N,) integers: classes for a mean over classes, all alike for a mean over clips.
        seed: of the draws.

    Returns:
        2.5 and 97.5 % points of 10,000 draws.
    """
    generator = np.random.default_rng(seed)
    present = np.unique(groups)
    means = np.zeros(DRAWS)
    for group in present:
        # to draw n clips is to draw how often each distinct value comes up
        distinct, counts = np.unique(values[groups == group], return_counts=True)
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)
        means += drawn @ distinct / counts.sum() / len(present)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
