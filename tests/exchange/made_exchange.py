"""Files of other tools, made as those tools make them, and stores for tests."""

import pickle
from pathlib import Path

import numpy as np
from datasets.made_recordings import joints, write_ntu
from made_readers import prepared

NAMES = sorted(
    f"S001C00{c}P00{p}R001A0{a:02d}" for a in (1, 9, 23, 60) for p in (1, 2, 3, 4) for c in (1, 2, 3)
)
"""48 clips; subjects 1, 2, 4 train and 3 tests under X-Sub."""

TRAIN_SUBJECTS, TEST_SUBJECTS = (1, 2, 4), (3,)
TRAIN_CAMERAS, TEST_CAMERAS = (2, 3), (1,)


def subject(name: str) -> int:
    return int(name[9:12])


def camera(name: str) -> int:
    return int(name[5:8])


def action(name: str) -> int:
    return int(name[17:20])


def people(name: str) -> np.ndarray:
    """(T, M, 25, 3): the clip that stands for a name, centred; two people in every third, the first moves more."""
    i = NAMES.index(name)
    body = joints(12 + i, i)
    clip = (body - body[0, 1])[:, None]
    if i % 3 == 0:
        clip = np.concatenate([clip, 0.9 * clip + 1], axis=1)
        clip[:3, 1] = 0
    return clip.astype(np.float32)


def in_rows(names: list[str], key, ids) -> list[str]:
    """Names as CTR-GCN's scripts order them, written from their description."""
    return [name for wanted in sorted(ids) for name in sorted(names) if key(name) == wanted]


def save_ctr_npz(
    path: Path, train: list[str], test: list[str], duplicated: bool = False, save=np.savez
) -> None:
    """An npz as CTR-GCN's seq_transformation makes it."""
    arrays = {}
    for side, names in (("train", train), ("test", test)):
        x = np.zeros((len(names), 300, 150), np.float32)
        for row, name in zip(x, names, strict=True):
            clip = people(name)
            row[: len(clip), : clip.shape[1] * 75] = clip.reshape(len(clip), -1)
            if duplicated and clip.shape[1] == 1:
                row[:, 75:] = row[:, :75]
        one_hot = np.zeros((len(names), 60))
        one_hot[np.arange(len(names)), [action(name) - 1 for name in names]] = 1
        arrays |= {f"x_{side}": x, f"y_{side}": one_hot}
    save(path, **arrays)


def save_xsub(path: Path, **options) -> tuple[list[str], list[str]]:
    """X-Sub of all NAMES; gives the names of its rows."""
    rows = in_rows(NAMES, subject, TRAIN_SUBJECTS), in_rows(NAMES, subject, TEST_SUBJECTS)
    save_ctr_npz(path, *rows, **options)
    return rows


def save_names(path: Path, names: list[str] = NAMES) -> Path:
    path.write_text("\n".join(names) + "\n")
    return path


def annotation(name: str, dtype: str = "f2") -> dict:
    clip = people(name).transpose(1, 0, 2, 3)
    clip = np.where(clip.any((2, 3), keepdims=True), clip + 3, 0)
    return {
        "frame_dir": name,
        "label": action(name) - 1,
        "keypoint": clip.astype(dtype),
        "total_frames": clip.shape[1],
    }


def save_pyskl(path: Path, protocol: int = 4, **changes) -> dict:
    """A 3-D annotation pickle."""
    content = {
        "split": {
            "xsub_train": [n for n in NAMES if subject(n) in TRAIN_SUBJECTS],
            "xsub_val": [n for n in NAMES if subject(n) in TEST_SUBJECTS],
            "xview_train": [n for n in NAMES if camera(n) in TRAIN_CAMERAS],
            "xview_val": [n for n in NAMES if camera(n) in TEST_CAMERAS],
        },
        "annotations": [annotation(name) for name in NAMES],
    } | changes
    path.write_bytes(pickle.dumps(content, protocol))
    return content


def make_store(folder: Path, names: list[str] = NAMES[:24]) -> Path:
    """A store of NTU clips read from `.skeleton` files; every third has two people."""
    for i, name in enumerate(names):
        write_ntu(folder / "raw", name, frames=14 + i, seed=i)
    return prepared(folder / "store.h5", "ntu", folder / "raw")
