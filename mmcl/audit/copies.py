"""Clips that are copies of each other: found by hashes and one tree, without comparing all pairs.

Of each clip are kept a hash of the whole, a hash of each frame, and its movement at 16 moments. A frame's hash is made
from distances within the body, in millimetres: it stays the same however the body was moved, turned or mirrored, and
and whatever the order and number of frames. 114,480 clips of NTU RGB+D 120 need some 1 GB.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mmcl.datasets.clip import hold_positions
from mmcl.layouts import Layout
from mmcl.progress import tracked

STEP = 1e-3
"""Metres. Distances are rounded to it before hashing."""

MOMENTS = 16
"""Frames to which a movement is resampled before movements are compared."""

WHOLE, PART = 0.95, 0.5
"""Part of the frames in common that makes a copy (of the longer clip), and an excerpt (of the shorter one)."""

CROWD = 50
"""A pose in more clips than this (copies counted once) is a default of a program, not a measurement."""

SAME = 2e-3
"""Metres. Greatest difference of two frames that count as the same: hashing allows for twice the step."""

COMPONENTS = 20
"""Principal components in which near movements are searched. Distances there never exceed the true ones."""

SAMPLE = 4096
"""Movements that the principal components are taken from."""


class Fingerprint(NamedTuple):
    """What is compared of a clip.

    Attributes:
        whole: hash of all numbers of its usable frames.
        frames: (P,) uint64 hashes, one for each person in each usable frame.
        movement: (MOMENTS · V · 3) float32, person 1 about its mean place; Euclidean distance between two of them
            is the root mean square distance of their joints in metres.
    """

    whole: bytes
    frames: np.ndarray
    movement: np.ndarray


class Pair(NamedTuple):
    """Two clips with frames in common, or nearly the same movement.

    Attributes:
        kind: copy, excerpt, overlap or near_identical.
        a, b: numbers of the clips, a < b.
        detail: how far they agree.
    """

    kind: str
    a: int
    b: int
    detail: str


class Copies(NamedTuple):
    """All copies among N clips.

    Attributes:
        groups: clips that are bit for bit the same, each group ascending, two or more.
        pairs: of the others, and of each group's first.
        common: poses that more than CROWD clips share: for each the clips.
        near: (N, at most COMPONENTS) movements in principal components, NaN for clips without fingerprint.
    """

    groups: list[list[int]]
    pairs: list[Pair]
    common: list[list[int]]
    near: np.ndarray


def usable_poses(clip: np.ndarray) -> np.ndarray:
    """(P, V, 3) float32: every person in every frame that holds positions, in order of person and frame.

    Args:
        clip: (T, M, V, 3).
    """
    people = clip.swapaxes(0, 1).reshape(-1, *clip.shape[2:])
    poses: np.ndarray = people[hold_positions(people)].astype(np.float32)
    return poses


def fingerprint(clip: np.ndarray, layout: Layout) -> Fingerprint | None:
    """Fingerprint of (T, M, V, 3) metres; None if no frame holds positions."""
    poses = usable_poses(clip)
    if not len(poses):
        return None
    # + 0.0 makes -0.0 and 0.0 the same bytes
    whole = hashlib.blake2b((poses + 0.0).tobytes(), digest_size=16).digest()
    first = next(p for p in clip.swapaxes(0, 1) if hold_positions(p).any())
    return Fingerprint(whole, hash_poses(poses, layout), _movement(first[hold_positions(first)]))


def hash_poses(poses: np.ndarray, layout: Layout) -> np.ndarray:
    """(P,) uint64 of (P, V, 3): hash of each joint's distance to its parent and to the body's centre.

    Of left and right the shorter comes first, so that a mirrored body has the same hash.
    """
    poses = poses.astype(np.float64)
    to_parent = np.linalg.norm(poses - poses[:, list(layout.parents)], axis=-1)
    to_centre = np.linalg.norm(poses - poses[:, layout.centre, None], axis=-1)
    for distances in (to_parent, to_centre):
        for left, right in layout.left_right:
            distances[:, [left, right]] = np.sort(distances[:, [left, right]], axis=1)
    steps = np.rint(np.concatenate([to_parent, to_centre], axis=1) / STEP).astype(np.int64)
    factors = np.random.default_rng(0).integers(0, 2**63, steps.shape[1], np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    hashes: np.ndarray = (steps.astype(np.uint64) * factors).sum(1, dtype=np.uint64)
    return hashes


def _movement(joints: np.ndarray) -> np.ndarray:
    """MOMENTS frames of (F, V, 3) at equal distances in time, linearly interpolated, as `Fingerprint.movement`."""
    at = np.linspace(0, len(joints) - 1, MOMENTS)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(joints) - 1)
    part = (at - low)[:, None, None]
    moments = joints[low] * (1 - part) + joints[high] * part
    moments = moments - moments.mean((0, 1))
    scaled: np.ndarray = moments / np.sqrt(MOMENTS * joints.shape[1])
    return scaled.ravel().astype(np.float32)


def find_copies(
    prints: Sequence[Fingerprint | None],
    layout: Layout,
    read: Callable[[int], np.ndarray],
    tolerance: float,
) -> Copies:
    """All copies among N clips.

    Args:
        prints: a fingerprint for each clip, None for those that have none.
        layout: of the joints.
        read: clip number → (T, M, V, 3); the clips of a candidate pair are read again and compared.
        tolerance: metres, root mean square over joints and moments, below which movements are near-identical.
    """
    same: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, made in enumerate(prints):
        if made:
            same[made.whole].append(number)
    groups = [group for group in same.values() if len(group) > 1]
    known = {group[0]: made for group in same.values() if (made := prints[group[0]])}
    codes, common = _shared_frames(known)
    pairs = {}
    for a, b in tracked(codes, "comparing", "pairs"):
        pair = _compare(a, b, read(a), read(b), layout)
        if pair:
            pairs[a, b] = pair
    near, close = _near(prints, known, tolerance)
    for a, b, distance in close:
        # a slower copy has a few frames in common, which is weaker evidence
        if (a, b) not in pairs or pairs[a, b].kind == "overlap":
            detail = (
                f"joints {distance * 1000:.1f} mm apart (root mean square, clips resampled to one length)"
            )
            pairs[a, b] = Pair("near_identical", a, b, detail)
    return Copies(groups, [pairs[key] for key in sorted(pairs)], common, near)


def _shared_frames(known: dict[int, Fingerprint]) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """Pairs of clips that have a frame's hash in common, and the groups of more than CROWD clips that share a pose."""
    if not known:
        return [], []
    hashes = [np.unique(made.frames) for made in known.values()]
    owners = np.repeat(np.fromiter(known, np.int64), [len(part) for part in hashes])
    joined = np.concatenate(hashes)
    order = np.argsort(joined, kind="stable")
    joined, owners = joined[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], joined[1:] != joined[:-1]]))
    ends = np.append(starts[1:], len(joined))
    pairs: set[tuple[int, int]] = set()
    crowds: set[tuple[int, ...]] = set()
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        clips = sorted(owners[start:end].tolist())
        if len(clips) > CROWD:
            crowds.add(tuple(clips))
        else:
            pairs.update((a, b) for i, a in enumerate(clips) for b in clips[i + 1 :])
    return sorted(pairs), [list(crowd) for crowd in sorted(crowds)]


def _compare(a: int, b: int, clip_a: np.ndarray, clip_b: np.ndarray, layout: Layout) -> Pair | None:
    """Compare the clips' common frames themselves; None if only their hashes agree."""
    poses_a, poses_b = usable_poses(clip_a), usable_poses(clip_b)
    hashes_a, hashes_b = hash_poses(poses_a, layout), hash_poses(poses_b, layout)
    _, first_a, first_b = np.intersect1d(hashes_a, hashes_b, return_indices=True)
    how = _motion_between(poses_a[first_a], poses_b[first_b], layout)
    if how is None:
        return None
    shares = [np.isin(x, y).mean() for x, y in ((hashes_a, hashes_b), (hashes_b, hashes_a))]
    shorter = max(range(2), key=lambda i: (shares[i], -i))
    count = round(shares[shorter] * len((hashes_a, hashes_b)[shorter]))
    kind = "copy" if min(shares) >= WHOLE else "excerpt" if shares[shorter] >= PART else "overlap"
    return Pair(kind, a, b, f"poses in common: {count}, of {len(poses_a)} and {len(poses_b)}{how}")


def _motion_between(a: np.ndarray, b: np.ndarray, layout: Layout) -> str | None:
    """What turns poses a into poses b (K, V, 3), in words; None if nothing does."""
    offset = (b - a).mean((0, 1))
    if np.abs(a + offset - b).max() < SAME:
        moved = float(np.linalg.norm(offset))
        return f", moved by {moved:.2f} m" if moved > SAME else ""
    exchanged = list(range(len(layout)))
    for left, right in layout.left_right:
        exchanged[left], exchanged[right] = right, left
    # a mirrored body is the same body with its sides exchanged
    ways = (
        (a, False, ""),
        (a[:, exchanged], True, ", mirrored"),
        (a, True, ", mirrored with left joints left"),
        (a[:, exchanged], False, ", left and right exchanged"),
    )
    for poses, mirrored, words in ways:
        angle = _turn_between(poses, b, mirrored)
        if angle is not None:
            return words + (f", turned by {angle:.0f}°" if angle > 0.5 else "")
    for poses, words in ((a, ""), (a[:, exchanged], ", sides exchanged")):
        if np.abs(_distances(poses) - _distances(b)).max() < 2 * SAME:
            return f"{words}, each frame moved by itself"
    return None


def _distances(poses: np.ndarray) -> np.ndarray:
    """(K, V, V) metres between the joints of (K, V, 3)."""
    distances: np.ndarray = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
    return distances


def _turn_between(a: np.ndarray, b: np.ndarray, mirrored: bool) -> float | None:
    """Degrees of the rotation that takes (K, V, 3) a to b about their means (Kabsch 1976); None if none does.

    `mirrored` takes a with its first axis reversed.
    """
    a = (a - a.mean((0, 1))).reshape(-1, 3).astype(np.float64) * ((-1, 1, 1) if mirrored else (1, 1, 1))
    b = (b - b.mean((0, 1))).reshape(-1, 3).astype(np.float64)
    left, _, right = np.linalg.svd(a.T @ b)
    sign = np.sign(np.linalg.det(left @ right))
    rotation = left @ np.diag([1, 1, sign]) @ right
    if np.abs(a @ rotation - b).max() >= SAME:
        return None
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def _near(
    prints: Sequence[Fingerprint | None], known: dict[int, Fingerprint], tolerance: float
) -> tuple[np.ndarray, Iterator[tuple[int, int, float]]]:
    """Movements of all clips in principal components, and the pairs of `known` nearer than `tolerance`."""
    from scipy.spatial import cKDTree

    numbers = np.fromiter(known, np.int64)
    rows = [number for number, made in enumerate(prints) if made]
    if not rows:
        return np.full((len(prints), 0), np.nan, np.float32), iter(())
    axes = _principal_axes(prints, rows)
    near = np.full((len(prints), axes.shape[1]), np.nan, np.float32)
    for number in rows:
        near[number] = _print(prints, number).movement @ axes
    tree = cKDTree(near[numbers])

    def pairs() -> Iterator[tuple[int, int, float]]:
        for i, j in tree.query_pairs(tolerance, output_type="ndarray"):
            a, b = sorted((int(numbers[i]), int(numbers[j])))
            distance = float(np.linalg.norm(known[a].movement - known[b].movement))
            if distance < tolerance:
                yield a, b, distance

    return near, pairs()


def _principal_axes(prints: Sequence[Fingerprint | None], rows: Sequence[int]) -> np.ndarray:
    """(D, at most COMPONENTS) orthonormal, from SAMPLE movements spread over all."""
    chosen = rows[:: max(1, len(rows) // SAMPLE)]
    sample = np.stack([_print(prints, number).movement for number in chosen]).astype(np.float64)
    sample -= sample.mean(0)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)


def _print(prints: Sequence[Fingerprint | None], number: int) -> Fingerprint:
    made = prints[number]
    assert made is not None
    return made
