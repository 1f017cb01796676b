"""A store of skeletons as an annotation pickle of PYSKL and MMAction2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import protocols
from mmcl.errors import UserError
from mmcl.exchange.names import are_ntu, label_order, stored_clips
from mmcl.exchange.order import both_sides
from mmcl.exchange.padding import clips_of, whole
from mmcl.exchange.write_pickle import dump

SIDES = {"train": "train", "test": "val"}
"""Side of a protocol → ending of the split's name."""


def write_pyskl(store: str | Path, output: str | Path, protocol: str | None = None) -> dict[str, int]:
    """Write all clips of a store, with the splits of the protocols that apply to them.

    Splits are called as PYSKL does: `xsub_train`, `xsub_val`, `xview_…`, `xset_…` for NTU RGB+D, `<protocol>_train`,
    `<protocol>_val` for others. Beside the usual keys the pickle holds `layout` and `classes` (id → name, in the order
    of labels), and each annotation `subject`, `camera`, `setup`; other tools ignore them. Clips go through one at a
    time.

    Args:
        store: schema `mmcl.skeletons/1`.
        output: the pickle.
        protocol: only this one's splits.

    Returns:
        Clips of each split, and of all as `annotations`.

    Raises:
        UserError: no such protocol, or a side of it has no clip.
    """
    skeletons, entries = SkeletonStore(store), stored_clips(store)
    by_name = {entry.name: entry for entry in entries}
    classes = label_order(entries)
    named = dict(zip(skeletons.class_ids, skeletons.class_names, strict=True))
    splits = _splits(entries, protocol)
    with whole(Path(output)) as new, open(new, "wb") as file, clips_of(skeletons) as read:

        def annotations() -> Iterator[dict[str, Any]]:
            for row, name in enumerate(skeletons.names):
                clip, entry = read(row), by_name[name]
                yield {
                    "frame_dir": name,
                    "label": classes.index(entry.action),
                    "total_frames": len(clip),
                    "keypoint": clip.transpose(1, 0, 2, 3),
                    "subject": entry.subject,
                    "camera": entry.camera,
                    "setup": entry.setup,
                }

        dump(
            file,
            {
                "split": splits,
                "annotations": annotations(),
                "classes": {key: named.get(key, key) for key in classes},
                "layout": skeletons.layout,
            },
        )
    return {key: len(names) for key, names in splits.items()} | {"annotations": len(skeletons)}


def _splits(entries: list[ClipEntry], protocol: str | None) -> dict[str, list[str]]:
    ntu = are_ntu(entry.name for entry in entries)
    if protocol:
        sides = both_sides(entries, protocol)
        return _named(protocol, sides, ntu)
    known = [name for name, rule in protocols().items() if rule.by is not None]
    if ntu:
        set_name = "ntu60_" if len(label_order(entries)) == 60 else "ntu120_"
        known = [name for name in known if name.startswith(set_name)]
    else:
        known = [name for name in known if not name.startswith("ntu")]
    splits: dict[str, list[str]] = {}
    for name in known:
        try:
            splits |= _named(name, both_sides(entries, name), ntu)
        except UserError:  # it does not apply to these clips
            continue
    return splits


def _named(protocol: str, sides: dict[str, list[ClipEntry]], ntu: bool) -> dict[str, list[str]]:
    stem = protocol.partition("_")[2] if ntu and protocol.startswith("ntu") else protocol
    return {f"{stem}_{SIDES[side]}": [clip.name for clip in clips] for side, clips in sides.items()}
