"""From a folder of recordings to one store of skeletons that serves every protocol and every stream."""

import logging
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from mmcl import store
from mmcl.datasets import ClipEntry, EstimatedPoses, Reader, open_reader
from mmcl.datasets.clip import MOST, MOST_PEOPLE, slice_clip
from mmcl.datasets.index import read_index, write_index
from mmcl.datasets.listing import list_clips, read_recording, reason_of
from mmcl.datasets.protocols import Clips
from mmcl.datasets.stamps import record
from mmcl.datasets.stored_layout import write_layout
from mmcl.errors import Damaged, UserError, shown
from mmcl.helpers import end_with_parent
from mmcl.layouts import get_layout
from mmcl.schemas import require_finite
from mmcl.settings.jobs import Indexing, Preparation

log = logging.getLogger(__name__)

SCHEMA = "mmcl.skeletons/1"
BATCH = 1024
"""Clips that are in memory at a time: some 30 MB."""

BLOCK = 256
"""Clips of a store that are read at a time."""

Result = tuple[np.ndarray | None, str]
"""A clip's joints (T, M, V, 3), or None and why there are none."""


def index_clips(
    settings: Indexing,
    output: str | Path,
    skeletons: str | Path | None,
    videos: str | Path | None = None,
    stamp: str | None = None,
) -> None:
    """List a data set's clips as a TSV file; opens no recording, but for its stamp.

    Args:
        settings: the reader and its options.
        output: the index to write.
        skeletons, videos: the folders, see `mmcl.datasets.open_reader`.
        stamp: of the folders' content as the job was planned, see `mmcl.datasets.stamps`; with it, the files' content
            is recorded beside the index.

    Raises:
        UserError: a folder is missing or holds no clip.
    """
    entries = list_clips(open_reader(settings, skeletons, videos))
    write_index(output, entries)
    if stamp is not None:
        record(output, settings, skeletons, videos, stamp)
    for reason, count in Counter(entry.left_out for entry in entries).items():
        log.info("%s: %d clips%s", output, count, f" left out: {reason}" if reason else "")


def prepare_skeletons(
    index: str | Path,
    output: str | Path,
    settings: Preparation,
    skeletons: str | Path | None,
    videos: str | Path | None = None,
    pose_stores: Sequence[str | Path] = (),
    processes: int = 1,
) -> None:
    """Read, clean and centre every clip of an index into a store of schema `mmcl.skeletons/1`.

    Clips that the index leaves out, and those that cannot be used, are rows of `failed` with the reason. The
    store does not depend on the number of processes.

    Args:
        index: from `index_clips`.
        output: the store.
        settings: kept in the store, which is written from the beginning if they changed.
        skeletons, videos: the folders, see `mmcl.datasets.open_reader`.
        pose_stores: of schema `mmcl.poses/1`, where a pose estimator makes the skeletons.
        processes: how many read at a time. With more than one, the calling script must guard its work with
            `if __name__ == "__main__"`, as the processes import it again.

    Raises:
        UserError: the index or a folder is missing, the index has no clip, or no clip could be used.
    """
    entries = {entry.name: entry for entry in read_index(index)}
    if not entries:
        raise UserError(f"{index}: lists no clip")
    poses = None
    if pose_stores:
        assert settings.joint_confidence is not None
        poses = EstimatedPoses(pose_stores, settings.joint_confidence)
    opening = (settings, skeletons, videos, poses)
    reader = open_reader(*opening)
    source = "video" if pose_stores else "skeleton"
    known = {entry.action for entry in entries.values()} & set(reader.class_names())
    classes = sorted(known, key=class_order)
    points = len(get_layout(reader.layout))
    subjects = subject_names(entries.values())
    if len(subjects) > MOST:
        raise UserError(f"{index}: has {len(subjects)} subjects, more than {MOST}")
    numbers = {name: number for number, name in enumerate(["", *subjects])}

    def number_of(subject: int | str) -> int:
        """What the store holds for a subject: texts are numbered from 1 in their order, 0 is unknown."""
        return subject if isinstance(subject, int) else numbers[subject]

    def finish(h5: h5py.File) -> None:
        _number_rows(h5, classes, reader.class_names())
        write_layout(h5, reader.layout)
        # what assigns a clip without a skeleton to the training or the test set
        failed = [entries[name] for name in h5["failed/names"].asstr()[:]]
        for key in ("camera", "setup"):
            h5[f"failed/{key}"] = np.array([getattr(entry, key) for entry in failed], np.int16)
        h5["failed/subject"] = np.array([number_of(entry.subject) for entry in failed], np.int16)
        if subjects:
            names = np.array(subjects, dtype=object)
            h5.create_dataset("subjects/name", data=names, dtype=store.TEXT)
        for key in ("action", "split"):
            texts = np.array([getattr(entry, key) for entry in failed], dtype=object)
            h5.create_dataset(f"failed/{key}", data=texts, dtype=store.TEXT)

    with _reading(opening, reader, processes) as read:
        store.write(
            output,
            schema=SCHEMA,
            settings=settings.dump(),
            names=list(entries),
            columns=store.columns(SCHEMA, joints=(points, 3)),
            batch_size=BATCH,
            work=lambda names: _batch(
                [entries[name] for name in names], classes, read, source, points, number_of
            ),
            inputs=[Path(index), *map(Path, pose_stores)],
            finish=finish,
            attributes={"layout": reader.layout},
        )


def class_order(action: str) -> tuple[list[str | int], str]:
    """Sort key of a class id: its numbers count as numbers, so that a9 comes before a10.

    Ids whose numbers are equal, such as 1 and 01, are in the order of their characters: classes come from a set, whose
    order changes from process to process, so that no two may have the same key.
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", action)], action


def subject_names(entries: Iterable[ClipEntry]) -> list[str]:
    """The subjects of a data set in ascending order where they are texts; none where they are numbers."""
    return sorted({entry.subject for entry in entries if isinstance(entry.subject, str)} - {""})


def read_subjects(h5: h5py.File, column: str) -> np.ndarray:
    """(N,) a store's subjects: numbers, or texts (objects) where it has `subjects/name`; "" if unknown.

    Raises:
        UserError: a number has no name.
    """
    numbers: np.ndarray = h5[column][:]
    if "subjects/name" not in h5:
        return numbers
    names = np.array(["", *h5["subjects/name"].asstr()[:]], object)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
        raise UserError(f"{h5.filename}: {column}: {numbers.max()} is not one of {len(names) - 1} subjects")
    named: np.ndarray = names[numbers]
    return named


# ------------------------------------------------------------------------------------------- one batch


def _batch(
    entries: list[ClipEntry],
    classes: list[str],
    read: Callable[[list[ClipEntry]], Iterator[Result]],
    source: str,
    points: int,
    number_of: Callable[[int | str], int],
) -> store.Batch:
    """One batch of rows.

    Args:
        entries: the clips.
        classes: ids, in the order of the labels.
        read: clips → their joints.
        source: what a clip must have, `skeleton` or `video`.
        points: joints of the layout.
        number_of: a subject → its number in the store.
    """
    failed = {}
    wanted = []
    for entry in entries:
        reason = entry.left_out or ("" if getattr(entry, source) else f"no {source} file")
        if not reason and entry.action not in classes:
            reason = f"class {shown(entry.action)} is not one of the data set's"
        if reason:
            failed[entry.name] = reason
        else:
            wanted.append(entry)
    joints, used = [], []
    for entry, (clip, reason) in zip(wanted, read(wanted), strict=True):
        if clip is None or (reason := _unfit(clip, entry, points)):
            failed[entry.name] = reason
        else:
            used.append(entry)
            joints.append(clip)
    return store.Batch(
        names=[entry.name for entry in used],
        columns={
            "joints": np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in joints])
            if joints
            else None,
            "offset": np.zeros(len(used)),  # known when all batches are
            "frames": [clip.shape[0] for clip in joints],
            "persons": [clip.shape[1] for clip in joints],
            "labels": [classes.index(entry.action) for entry in used],
            "subject": [number_of(entry.subject) for entry in used],
            "camera": [entry.camera for entry in used],
            "setup": [entry.setup for entry in used],
            "split": [entry.split for entry in used],
        },
        failed=failed,
    )


def _unfit(clip: np.ndarray, entry: ClipEntry, points: int) -> str:
    """Why a clip's joints are none, or do not fit into a store; "" if they do."""
    if clip.ndim != 4 or clip.shape[2:] != (points, 3) or not clip.size:
        return (
            f"{entry.skeleton or entry.video}: read as an array of {clip.shape}, no clip of {points} joints"
        )
    if clip.shape[1] > MOST_PEOPLE:
        return f"{entry.skeleton or entry.video}: has {clip.shape[1]} people, more than {MOST_PEOPLE}"
    return "" if np.isfinite(clip).all() else f"{entry.skeleton or entry.video}: a joint is not finite"


def _number_rows(h5: h5py.File, classes: list[str], names: dict[str, str]) -> None:
    """Fill in what depends on all rows: where each clip starts, and labels without gaps."""
    labels = h5["labels"][:]
    if not len(labels):
        reasons = "; ".join(
            f"{n} × {reason}" for reason, n in Counter(h5["failed/reason"].asstr()[:]).most_common(3)
        )
        raise UserError(f"no clip could be used: {reasons}")
    lengths = h5["frames"][:].astype(np.int64) * h5["persons"][:]
    h5["offset"][:] = np.cumsum(lengths) - lengths
    present, dense = np.unique(labels, return_inverse=True)
    h5["labels"][:] = dense
    ids = [classes[i] for i in present]
    h5.create_dataset("classes/id", data=np.array(ids, dtype=object), dtype=store.TEXT)
    h5.create_dataset("classes/name", data=np.array([names[i] for i in ids], dtype=object), dtype=store.TEXT)


# ------------------------------------------------------------------------------------------- processes

Opening = tuple[Preparation, str | Path | None, str | Path | None, EstimatedPoses | None]
"""What `open_reader` takes."""

_reader: Reader | None = None
"""A pool process's own reader."""


def _start(opening: Opening) -> None:
    global _reader
    end_with_parent()
    _reader = open_reader(*opening)


def _read_in_process(entry: ClipEntry) -> Result:
    assert _reader is not None
    return _read(_reader, entry)


def _read(reader: Reader, entry: ClipEntry) -> Result:
    try:
        return read_recording(reader.read_clip, entry), ""
    except Damaged:  # a store of poses, which is not this clip's alone
        raise
    except UserError as error:
        return None, reason_of(error, entry.skeleton)


@contextmanager
def _reading(
    opening: Opening, reader: Reader, processes: int
) -> Iterator[Callable[[list[ClipEntry]], Iterator[Result]]]:
    """A function that reads clips and gives the results in order, with one process or several."""
    if processes <= 1:
        yield lambda entries: (_read(reader, entry) for entry in entries)
        return
    # an executor rather than a Pool: it raises when a process is killed, where a Pool would wait for ever
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start, initargs=(opening,)) as pool:
        yield lambda entries: pool.map(_read_in_process, entries, chunksize=16)


# --------------------------------------------------------------------------------------------- reading


class SkeletonStore:
    """A sealed store of skeletons.

    Attributes:
        path: of the file.
        names: clips, in row order.
        labels: (N,) int64, 0 … C−1.
        subject, camera, setup: (N,) numbers; subjects may be texts, see `mmcl.datasets.protocols.as_subject`.
        split: (N,) "train" or "test" where the data set itself assigns each clip, else "".
        offset, frames, persons: (N,), where clip i lies in `joints` and its shape.
        layout: joint layout.
        class_ids, class_names: of labels 0 … C−1.
        failed: clip → why it has no row.
        settings: with which it was made.
        fingerprint: of its content.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        shards = store.Shards([self.path], SCHEMA)
        self.names, self.failed = shards.names, shards.failed
        self.settings, self.fingerprint = shards.settings, shards.fingerprint
        with store.opened(self.path, SCHEMA) as h5:
            self.layout = str(h5.attrs["layout"])
            joints, expected = h5["joints"].shape[1], len(get_layout(self.layout))
            if joints != expected:
                raise UserError(f"{path}: has {joints} joints, its layout {self.layout} {expected}")
            self.class_ids: list[str] = h5["classes/id"].asstr()[:].tolist()
            self.class_names: list[str] = h5["classes/name"].asstr()[:].tolist()
            self.labels = h5["labels"][:]
            self.subject = read_subjects(h5, "subject")
            self.camera, self.setup = h5["camera"][:], h5["setup"][:]
            self.split = h5["split"].asstr()[:]
            self.offset, self.frames, self.persons = (h5[key][:] for key in ("offset", "frames", "persons"))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def people(self) -> int:
        """Most people that a clip has."""
        return int(self.persons.max())

    @property
    def clips(self) -> Clips:
        """The N clips as protocols see them."""
        action = np.array(self.class_ids, object)[self.labels]
        return Clips(self.names, action, self.subject, self.camera, self.setup, self.split)

    @cached_property
    def failed_clips(self) -> Clips:
        """The clips of `failed` as protocols see them."""
        with store.opened(self.path, SCHEMA) as h5:
            subject = read_subjects(h5, "failed/subject")
            camera, setup = h5["failed/camera"][:], h5["failed/setup"][:]
            action, side = (h5[f"failed/{key}"].asstr()[:] for key in ("action", "split"))
        return Clips(list(self.failed), action, subject, camera, setup, side)

    @cached_property
    def joints(self) -> np.ndarray:
        """(sum of frames × persons, V, 3) float32; read when first asked for.

        Raises:
            UserError: they are not finite.
        """
        with store.opened(self.path, SCHEMA) as h5:
            return require_finite(h5, "joints", h5["joints"][:])

    def place(self, i: int) -> tuple[int, int, int]:
        """Where clip i lies in `joints`: first row, frames and people, see `slice_clip`."""
        return int(self.offset[i]), int(self.frames[i]), int(self.persons[i])

    def clip(self, i: int) -> np.ndarray:
        """(T, M, V, 3) of clip i, a view of `joints`; M is the number of people stored for this clip."""
        return slice_clip(self.joints, *self.place(i))

    def read_clips(self, rows: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """`clip` of rows, of which a few at a time are in memory.

        Raises:
            UserError: their joints are not finite.
        """
        kept = vars(self).get("joints")
        if kept is not None:
            yield from (slice_clip(kept, *self.place(row)) for row in rows)
            return
        with store.opened(self.path, SCHEMA) as h5:
            for i in range(0, len(rows), BLOCK):
                places = [self.place(row) for row in rows[i : i + BLOCK]]
                first = min(offset for offset, _, _ in places)
                last = max(offset + frames * persons for offset, frames, persons in places)
                part = require_finite(h5, "joints", h5["joints"][first:last])
                yield from (slice_clip(part, offset - first, *shape) for offset, *shape in places)
