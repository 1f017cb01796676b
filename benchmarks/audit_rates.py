"""How much injected damage `mmcl audit` detects in real recordings, and how often it reports any without.

python benchmarks/audit_rates.py --nw-ucla FOLDER --utd-mhad FOLDER

Each kind of damage is put, one at a time, into every clip in which its detector reported nothing.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmcl.audit import open_folder
from mmcl.audit.copies import find_copies, fingerprint
from mmcl.audit.labels import find_doubts
from mmcl.audit.sides import find_swaps
from mmcl.datasets import reader_settings
from mmcl.layouts import Layout, get_layout
from mmcl.settings.base import narrowed
from mmcl.settings.dataset import RecordingsSettings

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nw-ucla", type=Path)
    parser.add_argument("--utd-mhad", type=Path)
    folders = vars(parser.parse_args())
    if not any(folders.values()):
        print("audit_rates: needs real recordings, --nw-ucla FOLDER or --utd-mhad FOLDER; skipped")
    for reader, folder in folders.items():
        if folder:
            measure(reader, folder)


def measure(reader: str, folder: Path) -> None:
    settings = reader_settings(reader, {})
    source = open_folder(narrowed(RecordingsSettings, settings, skeletons=str(folder)))
    clips = [source.read(i) for i in range(len(source.clips.names))]
    joints = get_layout(source.layout)
    print(f"\n{reader}: {len(clips)} clips")
    for kind, damages in side_damage(joints).items():
        clean = [clip for clip in clips if kind not in kinds(clip, joints)]
        print(f"{kind}: reports {len(clips) - len(clean)} clips as they are")
        for name, damage in damages.items():
            rng = np.random.default_rng(1)
            hits = [kind in kinds(damage(clip, rng), joints) for clip in clean if len(clip) >= 8]
            print(f"  {name:50} detected in {sum(hits)} of {len(hits)} ({100 * np.mean(hits):.1f} %)")
    for name, damage in copy_damage(joints).items():
        print(f"copies, {name:42} {copies_found(clips, damage, joints)}")
    doubts(clips, source.clips.action, joints)


def kinds(clip: np.ndarray, joints: Layout) -> set[str]:
    return {kind for kind, _ in find_swaps(clip, joints)}


def side_damage(joints: Layout) -> dict[str, dict[str, Damage]]:
    legs = [
        p for p in joints.left_right if joints.joints[p[0]].split("_")[0] in ("hip", "knee", "ankle", "foot")
    ]
    arms = [p for p in joints.left_right if p not in legs]

    def within(pairs: list[tuple[int, int]]) -> Damage:
        def damage(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            begin = int(rng.integers(1, len(clip) - 4))
            return exchanged(clip, pairs, slice(begin, begin + int(rng.integers(3, len(clip) - begin))))

        return damage

    def whole(pairs: list[tuple[int, int]]) -> Damage:
        return lambda clip, rng: exchanged(clip, pairs, slice(None))

    return {
        "swap": {"legs exchanged in a stretch": within(legs), "arms exchanged in a stretch": within(arms)},
        "sides": {
            "all left and right exchanged in the whole clip": whole([*legs, *arms]),
            "legs exchanged in the whole clip": whole(legs),
        },
    }


def exchanged(clip: np.ndarray, pairs: list[tuple[int, int]], frames: slice) -> np.ndarray:
    order = np.arange(clip.shape[2])
    for left, right in pairs:
        order[[left, right]] = right, left
    clip = clip.copy()
    clip[frames] = clip[frames][:, :, order]
    return clip


def copy_damage(joints: Layout) -> dict[str, Damage]:
    turn = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])

    def slower(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        at = np.linspace(0, len(clip) - 1, int(len(clip) * 1.25))
        low = np.minimum(at.astype(int), len(clip) - 2)
        part = (at - low)[:, None, None, None]
        return clip[low] * (1 - part) + clip[low + 1] * part

    return {
        "moved by 1 m": lambda clip, rng: clip + 1,
        "turned by 37° about the vertical": lambda clip, rng: clip @ turn,
        "mirrored": lambda clip, rng: exchanged(clip, list(joints.left_right), slice(None)) * (-1, 1, 1),
        "the middle 60 % of its frames": lambda clip, rng: clip[len(clip) // 5 : -(len(clip) // 5)],
        "every second frame": lambda clip, rng: clip[::2],
        "backwards": lambda clip, rng: clip[::-1],
        "a quarter slower, interpolated": slower,
        "noise of 2 mm": lambda clip, rng: clip + rng.normal(0, 0.002, clip.shape),
        "noise of 5 mm": lambda clip, rng: clip + rng.normal(0, 0.005, clip.shape),
        "noise of 10 mm": lambda clip, rng: clip + rng.normal(0, 0.01, clip.shape),
        "rounded to 5 mm": lambda clip, rng: np.rint(clip / 0.005) * 0.005,
    }


def copies_found(clips: list[np.ndarray], damage: Damage, joints: Layout) -> str:
    """Every tenth clip is added a second time, changed."""
    rng = np.random.default_rng(1)
    chosen = [i for i in range(0, len(clips), 10) if len(clips[i]) >= 8]
    together = [*clips, *(damage(clips[i], rng) for i in chosen)]
    prints = [fingerprint(clip, joints) for clip in together]
    found = find_copies(prints, joints, lambda i: together[i], 0.01)
    kinds_of = {(pair.a, pair.b): pair.kind for pair in found.pairs}
    kinds_of |= {(a, b): "identical" for group in found.groups for a in group for b in group}
    first = {number: group[0] for group in found.groups for number in group}
    hits = [kinds_of.get((first.get(i, i), len(clips) + k)) for k, i in enumerate(chosen)]
    by_kind = ", ".join(f"{hits.count(kind)} {kind}" for kind in sorted({hit for hit in hits if hit}))
    return f"found {sum(hit is not None for hit in hits)} of {len(hits)} ({by_kind})"


def doubts(clips: list[np.ndarray], action: np.ndarray, joints: Layout) -> None:
    prints = [fingerprint(clip, joints) for clip in clips]
    near = find_copies(prints, joints, lambda i: clips[i], 0.01).near
    names = [str(i) for i in range(len(clips))]
    rng = np.random.default_rng(1)
    wrong = rng.choice(len(clips), len(clips) // 20, replace=False)
    labels, classes = action.copy(), sorted(set(action))
    for i in wrong:
        labels[i] = rng.choice([label for label in classes if label != action[i]])
    doubted = {int(finding.clips[0]) for finding in find_doubts(near, names, labels)}
    hits = len(doubted & set(wrong.tolist()))
    print(
        f"label_doubt: of {len(wrong)} labels made wrong {hits} detected ({100 * hits / len(wrong):.1f} %);"
        f" {len(doubted) - hits} of the other {len(clips) - len(wrong)} clips doubted"
    )


if __name__ == "__main__":
    main()
