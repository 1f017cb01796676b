"""Labels that the movements contradict."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mmcl.audit.copies import Copies
from mmcl.audit.finding import Finding

NEIGHBOURS = 10
AGREED = 8
"""So many of the NEIGHBOURS with one other label, and none with its own, make a clip's label doubtful."""

DIMENSIONS = 10
"""Principal components in which neighbours are searched: in many more a tree is no faster than all pairs."""


def find_conflicts(copies: Copies, names: Sequence[str], action: np.ndarray) -> list[Finding]:
    """Copies, excerpts and near-identical clips under different labels: at least one of these labels is wrong."""
    found = []
    for group in copies.groups:
        if len(set(action[group])) > 1:
            detail = ", ".join(f"{names[i]} is {action[i]}" for i in group[:6])
            found.append(
                Finding("conflicting_labels", tuple(names[i] for i in group), f"identical: {detail}")
            )
    for pair in copies.pairs:
        if pair.kind != "overlap" and action[pair.a] != action[pair.b]:
            detail = f"{pair.kind}: {action[pair.a]} and {action[pair.b]}; {pair.detail}"
            found.append(Finding("conflicting_labels", (names[pair.a], names[pair.b]), detail))
    return found


def find_doubts(near: np.ndarray, names: Sequence[str], action: np.ndarray) -> list[Finding]:
    """Clips whose nearest neighbours agree on another label, most doubtful first: a hint, not a proof.

    Args:
        near: (N, K) movements, NaN where there is none, see `Copies.near`.
        names, action: (N,) clips and labels.
    """
    from scipy.spatial import cKDTree

    near = near[:, :DIMENSIONS]
    rows = np.flatnonzero(np.isfinite(near).all(1)) if near.shape[1] else np.array([], int)
    if len(rows) <= NEIGHBOURS:
        return []
    distances, found = cKDTree(near[rows]).query(near[rows], k=NEIGHBOURS + 1)
    doubts = []
    for row, places, away in zip(rows, found, distances, strict=True):
        # the clip itself is among its neighbours, though not always the first of them
        kept = [k for k, place in enumerate(places) if rows[place] != row][:NEIGHBOURS]
        votes = Counter(action[rows[places[k]]] for k in kept)
        label, count = votes.most_common(1)[0]
        if count >= AGREED and not votes[action[row]]:
            detail = (
                f"is {action[row]}; {count} of its {NEIGHBOURS} nearest clips are {label},"
                f" the nearest {away[kept[0]]:.2f} m away"
            )
            doubts.append((-count, float(away[kept[0]]), Finding("label_doubt", (names[row],), detail)))
    return [finding for _, _, finding in sorted(doubts)]
