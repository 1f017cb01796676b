"""Stores of skeletons with clips that a test states."""

from pathlib import Path

import h5py
import numpy as np

from mmcl import store


def write_skeletons(
    path: Path, clips: dict[str, np.ndarray], layout: str, failed: dict[str, str] | None = None
) -> Path:
    """A store `mmcl.skeletons/1` of one class, `a1 wave <hand>`.

    Args:
        path: of the store.
        clips: name → (T, M, V, 3).
        layout: of their joints.
        failed: name → why a clip has no row.
    """
    failed = failed or {}

    def finish(file: h5py.File) -> None:
        sizes = file["frames"][:].astype(np.int64) * file["persons"][:]
        file["offset"][:] = np.cumsum(sizes) - sizes
        for key, text in (("id", "a1"), ("name", "wave <hand>")):
            file.create_dataset(f"classes/{key}", data=np.array([text], dtype=object), dtype=store.TEXT)
        for key in ("subject", "camera", "setup"):
            file.create_dataset(f"failed/{key}", data=np.ones(len(failed), np.int16))
        for key in ("action", "split"):
            texts = np.array([""] * len(failed), dtype=object)
            file.create_dataset(f"failed/{key}", data=texts, dtype=store.TEXT)

    def work(names: list[str]) -> store.Batch:
        here = [clips[name] for name in names if name in clips]
        ones = np.ones(len(here))
        columns = {
            "joints": np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in here]),
            "frames": [len(clip) for clip in here],
            "persons": [clip.shape[1] for clip in here],
            "labels": 0 * ones,
            "split": [""] * len(here),
            **dict.fromkeys(("offset", "subject", "camera", "setup"), ones),
        }
        lost = {name: failed[name] for name in names if name in failed}
        return store.Batch([name for name in names if name in clips], columns, lost)

    path.parent.mkdir(parents=True, exist_ok=True)
    joints = next(iter(clips.values())).shape[2:]
    store.write(
        path,
        schema="mmcl.skeletons/1",
        settings={},
        names=[*clips, *failed],
        columns=store.columns("mmcl.skeletons/1", joints=joints),
        batch_size=40,
        work=work,
        finish=finish,
        attributes={"layout": layout},
    )
    return path
