"""Stores: HDF5 files of named rows, written in batches, resumable, sealed by an atomic rename.

A sealed store is one HDF5 file that h5py, h5ls and HDFView read without plug-ins: arrays of N rows beside
`names` (N), the clips that failed in `failed/{names,reason}`, and root attributes `schema`, `settings` (JSON),
`fingerprint`, `mmcl_version`, `complete`. Arrays say in attributes what they hold. Before the HDF5 content stands its
checksum (`mmcl.checksum`); what a store of each schema holds is in `mmcl.schemas`. Both are checked when a store is
opened.

While a store is being written, every finished batch is a small HDF5 file of its own in `<store>.part/`. A batch
file appears by rename, so it is complete or absent however the job ends: no finished batch is lost, and
no partly written HDF5 file has to be repaired. It carries its own checksum and the fingerprint of its store. The plan
of batches is fixed, so a job that was killed and continued computes the same batches, and seals the same arrays, as
one that was not interrupted.

A job may end well and be called a failure all the same: its time ran out a second later, or the process that waited
for it is gone. Snakemake then deletes the store. So `<store>.part/` keeps a second name of the sealed file (a hard
link, which takes no space) until the workflow has recorded the job, see `mmcl.leftovers`.
"""

import errno
import functools
import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import compress, starmap
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from mmcl import __version__, checksum, schemas
from mmcl.errors import Damaged, UserError, one_line, shown
from mmcl.files import Busy, disk_full_named, locked, warn_unlocked, write_json, written
from mmcl.naming import sha256
from mmcl.planned import in_workflow
from mmcl.progress import progress
from mmcl.schemas import BYTES, TEXT, Column, columns
from mmcl.settings.merging import flat

__all__ = [
    "BYTES",
    "TEXT",
    "Batch",
    "Column",
    "Shards",
    "Target",
    "columns",
    "created",
    "damage_named",
    "fingerprint",
    "open_any",
    "open_hdf5",
    "opened",
    "write",
    "write_stream",
    "write_together",
]

log = logging.getLogger(__name__)

KEPT = "finished batches are kept"
PLAN = "plan.json"
SEALED = "sealed"
"""In the folder of batches: a second name of the finished store."""
SET_ASIDE = ".set-aside"
"""Ending of the folder of batches that were begun with other settings or inputs."""
RACY = 2 * 10**9
"""Nanoseconds in which a file may change without a change of its time."""


class Batch(NamedTuple):
    """What became of one batch of clips.

    Attributes:
        names: the clips that succeeded, in order.
        columns: per column an array (len(names), *shape), nested lists of bytes, or a list of str;
            for a flat column an array (any number, *shape).
        failed: clip name → why it has no row.
    """

    names: list[str]
    columns: dict[str, Any]
    failed: dict[str, str]


def only_finite(batch: Batch, column: str, reason: str) -> Batch:
    """A batch without the clips whose values of a column (len(names), …) are not all finite; they have failed.

    Args:
        batch: without flat columns.
        column: its key.
        reason: why such clips fail.
    """
    values = batch.columns[column]
    kept = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    columns = {
        key: rows[kept] if isinstance(rows, np.ndarray) else list(compress(rows, kept))
        for key, rows in batch.columns.items()
    }
    wrong = dict.fromkeys(compress(batch.names, ~kept), reason)
    return Batch(list(compress(batch.names, kept)), columns, batch.failed | wrong)


def fingerprint(
    schema: str, settings: dict[str, Any], names: Sequence[str], inputs: Iterable[Path] = ()
) -> str:
    """sha256 over everything a store's content follows from: schema, settings, clips, inputs' fingerprints.

    An input store counts with its own fingerprint, any other file with the sha256 of its bytes.
    """
    return _digest([schema, settings, list(names), [_input_mark(path) for path in inputs]])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _input_mark(path: Path) -> str:
    if path.suffix == ".h5" or h5py.is_hdf5(path):
        with opened(path) as file:
            return str(file.attrs["fingerprint"])
    return sha256(path)


# ---------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class Target:
    """A store that is to be written, and what its content follows from.

    Attributes:
        path: the sealed store. Work in progress lies in `<path>.part/`.
        schema: such as `mmcl.answers/1`.
        settings: everything that changes the content and is not an input; kept in the store as JSON.
        names: the clips, in the order of their rows.
        columns: what each row holds.
        batch_size: clips per batch. Part of the fingerprint, as the rounding of a network's output depends on its
            batch.
        inputs: files the content follows from.
        finish: adds to the whole file before it is sealed (offsets over all rows, class tables).
        attributes: further root attributes.
    """

    path: Path
    schema: str
    settings: dict[str, Any]
    names: list[str]
    columns: dict[str, Column]
    batch_size: int
    inputs: Sequence[Path] = ()
    finish: Callable[[h5py.File], None] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def recipe(self) -> dict[str, Any]:
        """What the content follows from, for `plan.json`; in place of the clips' names their digest."""
        return {
            "schema": self.schema,
            "settings": {**self.settings, "batch": self.batch_size},
            "names": _digest(self.names),
            "inputs": [_input_mark(path) for path in self.inputs],
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        recipe = self.recipe
        return _digest([self.schema, recipe["settings"], self.names, recipe["inputs"]])

    @property
    def part(self) -> Path:
        """The folder of the finished batches."""
        return Path(f"{self.path}.part")

    @property
    def batches(self) -> list[list[str]]:
        """The clips of each batch."""
        return [self.names[i : i + self.batch_size] for i in range(0, len(self.names), self.batch_size)]

    @property
    def label(self) -> str:
        """Of its progress, such as `answers 000-of-002`."""
        return f"{self.schema.removeprefix('mmcl.').partition('/')[0]} {self.path.stem}"

    def batch_file(self, number: int) -> Path:
        """The file of a finished batch."""
        return self.part / f"{number:06d}.h5"

    def is_sealed(self, path: Path | None = None) -> bool:
        """Whether the sealed store, or another file, is there and follows from the same settings, clips and inputs."""
        try:
            with opened(path or self.path, self.schema) as h5:
                return str(h5.attrs["fingerprint"]) == self.fingerprint
        except UserError:
            return False


def write(
    path: str | Path,
    *,
    schema: str,
    settings: dict[str, Any],
    names: Sequence[str],
    columns: dict[str, Column],
    batch_size: int,
    work: Callable[[list[str]], Batch],
    inputs: Iterable[Path] = (),
    finish: Callable[[h5py.File], None] | None = None,
    attributes: dict[str, Any] | None = None,
) -> None:
    """Write a store, continuing where an earlier run of the same job stopped.

    Args:
        work: makes one batch. Every clip that it was given must be in the batch, as a row or as failed.
        path, schema, settings, names, columns, batch_size, inputs, finish, attributes: see `Target`.

    Raises:
        UserError: another process writes this store, or the disk is full.
    """
    target = Target(
        Path(path), schema, settings, list(names), columns, batch_size, list(inputs), finish, attributes or {}
    )
    write_together([target], lambda names, _: [work(names)])


def write_together(
    targets: Sequence[Target], work: Callable[[list[str], list[int]], list[Batch]], *, wait: bool = False
) -> None:
    """`write_stream` for work that makes one batch at a time.

    Args:
        targets, wait: see `write_stream`.
        work: clips of a batch and the numbers of the targets that lack it → these targets' batches.

    Raises:
        UserError: see `write_stream`.
    """
    write_stream(targets, lambda wanted: starmap(work, wanted), wait=wait)


Wanted = tuple[list[str], list[int]]
"""Clips of a batch, and the numbers of the targets that lack it."""


def write_stream(
    targets: Sequence[Target],
    work: Callable[[Sequence[Wanted]], Iterable[list[Batch]]],
    *,
    wait: bool = False,
) -> None:
    """Write several stores of the same clips batch by batch, each as if it were written alone.

    The first store is the one that is asked for. The others are written along: one that is already sealed is left
    alone, and one that another process writes is skipped. A batch that a store already has is not made again.

    Args:
        targets: the stores, with the same clips and batch size.
        work: all batches that are still to be made → in the same order their targets' batches. It may begin with later
            ones before it gives an earlier one, which is written as soon as it is given.
        wait: where another process writes the first store, wait until it has ended, and then write the store unless
            the other process has sealed it.

    Raises:
        UserError: another process writes the first store, or the disk is full.
    """
    first = targets[0]
    batches = first.batches
    if any(target.batches != batches for target in targets):
        raise ValueError("stores that are written together need the same clips and batch size")
    with ExitStack() as claims:
        own = claims.enter_context(_claimed(first, wait))
        if own is None:
            return
        kept = {0: own}
        for number, target in enumerate(targets[1:], 1):
            if target.is_sealed():
                log.info("%s: already complete", target.path)
                continue
            try:
                own = claims.enter_context(_claimed(target))
            except Busy:
                log.info("%s: another process writes it, so it is not written here", target.path)
                continue
            if own is not None:
                kept[number] = own
        lacking = [[number for number in kept if i not in kept[number]] for i in range(len(batches))]
        todo = [i for i, numbers in enumerate(lacking) if numbers]
        made = iter(work([(batches[i], lacking[i]) for i in todo]))
        clips = [len(batches[i]) for i in todo]
        with progress(first.label, len(first.names), "clips", done=len(first.names) - sum(clips)) as step:
            for i, count in zip(todo, clips, strict=True):
                with disk_full_named(first.path, KEPT):
                    for number, batch in zip(lacking[i], next(made), strict=True):
                        target = targets[number]
                        _write_batch(target.batch_file(i), batch, batches[i], target)
                step.advance(count)
        # the first one last: once it is there, the job counts as done
        for number in sorted(kept, reverse=True):
            with disk_full_named(targets[number].path, KEPT):
                _seal(targets[number])
            if number == 0 and in_workflow():
                _keep_sealed(first)
            else:
                shutil.rmtree(targets[number].part)


@contextmanager
def _claimed(target: Target, wait: bool = False) -> Iterator[set[int] | None]:
    """Hold a store in progress for this process alone.

    Yields the numbers of the batches already there; None if the store is there after all: another process that was
    waited for has sealed it, or it was finished before and deleted.
    """
    part = target.part
    busy = f"{part} is being written by another process; wait for it or stop it"
    with locked(part / "lock", busy, wait=wait) as waited:
        if waited and target.is_sealed():
            if not (part / SEALED).exists():
                shutil.rmtree(part)
            yield None
            return
        if _restored(target):
            log.info("%s: complete, as it was finished before", target.path)
            yield None
            return
        kept = _kept(target)
        if kept:
            log.info("%s: continuing after %d of %d batches", target.path, len(kept), len(target.batches))
        yield kept


def _kept(target: Target) -> set[int]:
    """The numbers of the finished batches, after those of another fingerprint were set aside.

    Every batch carries the fingerprint of its store, so that a lost plan loses no batch.
    """
    part, plan = target.part, read_plan(target.part)
    # batches of earlier versions carry none: the plan's counts
    planned = plan["fingerprint"] if plan else ""
    marks = {file: _batch_mark(file, target, planned) for file in batch_files(part)}
    if other := [file for file, mark in marks.items() if mark not in (None, target.fingerprint)]:
        aside = Path(f"{part}{SET_ASIDE}")
        log.warning(
            "%s was begun with other %s: starting afresh, %d finished batches are kept in %s",
            part,
            _difference(plan, target),
            len(other),
            aside.name,
        )
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file in [*other, *([part / PLAN] if plan else [])]:
            file.replace(aside / file.name)
    if plan is None or planned != target.fingerprint:
        # on the disk at once, as a power failure may leave an empty file
        write_json(part / PLAN, {**target.recipe, **_counts(target)}, sync=True)
    return {int(file.stem) for file, mark in marks.items() if mark == target.fingerprint}


def _keep_sealed(target: Target) -> None:
    """Give a sealed store its second name; where that cannot be, its batches are kept."""
    try:
        (target.part / SEALED).unlink(missing_ok=True)
        os.link(target.path, target.part / SEALED)
    except OSError as error:
        log.debug("%s: no hard link (%s), its batches are kept", target.path, error)
        return
    for file in batch_files(target.part):
        file.unlink()


def _restored(target: Target) -> bool:
    """Whether the finished store had a second name, which is its first again."""
    kept = target.part / SEALED
    if not kept.exists():
        return False
    if target.path.exists() or not target.is_sealed(kept):
        kept.unlink()
        return False
    kept.replace(target.path)
    target.path.touch()  # newer than what it follows from
    _keep_sealed(target)
    return True


def _counts(target: Target) -> dict[str, Any]:
    return {
        "fingerprint": target.fingerprint,
        "clips": len(target.names),
        "batches": len(target.batches),
    }


def read_plan(part: Path) -> dict[str, Any] | None:
    """What a store in progress will hold: schema, fingerprint, clips, batches, settings; None if that is unknown."""
    try:
        plan: dict[str, Any] = json.loads((part / PLAN).read_text(encoding="utf-8"))
        expected = {"schema": str, "fingerprint": str, "clips": int, "batches": int, "settings": dict}
        return plan if all(isinstance(plan[key], kind) for key, kind in expected.items()) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _difference(plan: dict[str, Any] | None, target: Target) -> str:
    """What a store in progress was begun with, and what it is now."""
    if plan is None:
        return "settings, clips or inputs (its plan is lost)"
    before, now = flat(plan["settings"]), flat(target.recipe["settings"])
    changed = [
        f"{key}: {shown(before.get(key))} → {shown(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    # plans of earlier versions lack the rest
    if plan.get("names", target.recipe["names"]) != target.recipe["names"]:
        changed.append(f"clips: {plan['clips']} → {len(target.names)}")
    marks = zip(target.inputs, target.recipe["inputs"], plan.get("inputs", ()), strict=False)
    changed += [f"{path} has changed" for path, now_mark, mark in marks if mark != now_mark]
    return f"settings or inputs ({'; '.join(changed) or 'not known which'})"


def batch_files(part: Path) -> list[Path]:
    """The finished batches of a store in progress."""
    return sorted(file for file in part.glob("*.h5") if file.stem.isdecimal())


def _batch_mark(file: Path, target: Target, planned: str) -> str | None:
    """The fingerprint of the store that a batch belongs to; None for a damaged one, which is renamed and made again."""
    try:
        checksum.check(file)
        with open_hdf5(file) as h5:
            mark = str(h5.attrs.get("fingerprint", planned))
            if mark == target.fingerprint:
                schemas.check_batch(h5, target.columns)
                clips = [*h5["names"].asstr()[:], *h5["failed/names"].asstr()[:]]
                if sorted(clips) != sorted(target.batches[int(file.stem)]):
                    raise UserError("holds the clips of another batch")
            return mark
    except CannotLock:
        raise
    except Exception as error:  # h5py raises OSError, KeyError or RuntimeError, by the kind of damage
        aside = file.with_suffix(".unreadable")
        file.replace(aside)
        log.warning("%s cannot be read (%s): renamed to %s, made again", file, error, aside.name)
        return None


def _write_batch(file: Path, batch: Batch, planned: list[str], target: Target) -> None:
    returned = sorted([*batch.names, *batch.failed])
    if returned != sorted(planned):
        raise ValueError(f"{file}: work must return every clip once; got {returned}, planned {planned}")
    with written(file) as temporary, created(temporary) as h5:
        h5.attrs["fingerprint"] = target.fingerprint
        for name, column in target.columns.items():
            h5.create_dataset(name, data=_as_array(batch.columns.get(name), column, len(batch.names)))
        _write_names(h5, batch.names, batch.failed)


def _as_array(rows: Any, column: Column, count: int) -> np.ndarray:
    if rows is None and count:
        raise ValueError("a batch lacks a column")
    if column.dtype not in ("bytes", "text"):
        rows = [] if rows is None else rows
        length = len(rows) if column.flat else count
        return np.asarray(rows, column.dtype).reshape(length, *column.shape)
    array = np.empty((count, *column.shape), dtype=column.storage)
    for index in np.ndindex(array.shape):
        row = rows
        for i in index:
            row = row[i]
        array[index] = row if column.dtype == "text" else np.frombuffer(row, np.uint8)
    return array


def _write_names(h5: h5py.File, names: Sequence[str], failed: dict[str, str]) -> None:
    h5.create_dataset("names", data=np.array(names, dtype=object), dtype=TEXT)
    h5.create_dataset("failed/names", data=np.array(list(failed), dtype=object), dtype=TEXT)
    h5.create_dataset("failed/reason", data=np.array(list(failed.values()), dtype=object), dtype=TEXT)


def _seal(target: Target) -> None:
    """Join the batches into one file and give it its name, last of all."""
    files = [target.batch_file(number) for number in range(len(target.batches))]
    names: list[str] = []
    failed: dict[str, str] = {}
    lengths = dict.fromkeys(target.columns, 0)
    for file in files:
        checksum.check(file)
        with open_hdf5(file) as h5:
            names += h5["names"].asstr()[:].tolist()
            failed |= _failed(h5)
            for name in target.columns:
                lengths[name] += len(h5[name])
    with written(target.path, sync=True) as temporary, created(temporary) as out:
        for name, column in target.columns.items():
            out.create_dataset(name, (lengths[name], *column.shape), column.storage)
        at = dict.fromkeys(target.columns, 0)
        for file in files:
            with open_hdf5(file) as h5:
                for name in target.columns:
                    count = len(h5[name])
                    if count:
                        _put(out[name], at[name], h5[name][:])
                    at[name] += count
        _write_names(out, names, failed)
        out.attrs.update(
            {
                "schema": target.schema,
                "settings": json.dumps(target.settings, sort_keys=True),
                "fingerprint": target.fingerprint,
                "mmcl_version": __version__,
                **target.attributes,
            }
        )
        if target.finish:
            target.finish(out)
        schemas.describe(out, target.columns)
        out.attrs["complete"] = True


def _put(dataset: h5py.Dataset, start: int, rows: np.ndarray) -> None:
    """Write rows from `start` on."""
    if dataset.dtype != BYTES:
        dataset[start : start + len(rows)] = rows
        return
    # h5py's slice assignment turns byte rows of equal length into one matrix; its low-level call does not
    where = dataset.id.get_space()
    where.select_hyperslab((start, *(0 for _ in rows.shape[1:])), rows.shape)
    dataset.id.write(h5py.h5s.create_simple(rows.shape), where, rows, h5py.h5t.py_create(BYTES))


# ---------------------------------------------------------------------------------------------- reading


class CannotLock(UserError):
    """Another process writes a file."""


@contextmanager
def created(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file, and its checksum when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    with _Output(path, "w+") as output:
        try:
            with h5py.File(output, "w", userblock_size=checksum.BLOCK) as file:
                yield file
        finally:
            if output.error:
                raise output.error
    checksum.write(path)


class _Output(io.FileIO):
    """A file that tells HDF5 that all is written, and keeps the error where it is not.

    HDF5 does not survive a full disk: it cannot close the file, and crashes when the process ends.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and not self.error:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        """After an error what was not written reads as zeros, for which HDF5 has words; what else is in the buffer may
        crash it."""
        read = super().readinto(buffer) or 0
        if self.error:
            rest = memoryview(buffer).cast("B")[read:]
            rest[:] = bytes(len(rest))
            read += len(rest)
        return read

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; without a lock, after a warning, where the file system has none.

    Raises:
        OSError: it cannot be read.
        CannotLock: another process writes it.
    """
    # never "a" or "r+": opening for writing touches the file's time and would make Snakemake retrain
    try:
        return h5py.File(path, "r")
    except OSError as error:
        # the number of a lock's error is in the text alone
        found = re.search(r"unable to lock file, errno = (\d+)", str(error))
        if found is None:
            raise
        number = int(found[1])
        if number == errno.EAGAIN:
            raise CannotLock(
                f"{path}: another process has it open for writing; wait for it or stop it"
            ) from None
        warn_unlocked(path.parent, OSError(number, os.strerror(number)))
        return h5py.File(path, "r", locking=False)


_verified: set[tuple[Any, ...]] = set()
"""The files that this process has checked, as they were."""


def _verify(path: Path) -> None:
    """Check a store's checksum and content, once for every state of the file.

    Raises:
        Damaged: it does not hold what was written, or cannot be read.
        UserError: it is no store, or not as its schema says.
    """
    status = path.stat()
    state = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if state in _verified:
        return
    try:
        checksum.check(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        with open_hdf5(path) as file:
            schemas.check(file)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # h5py raises OSError, KeyError or RuntimeError, by the kind of damage
        raise Damaged(f"{path}: cannot be read as HDF5 ({error})", path) from None
    if not 0 <= time.time_ns() - status.st_mtime_ns < RACY:
        _verified.add(state)


def open_any(path: Path) -> h5py.File:
    """Open a store for reading, complete or not.

    Raises:
        Damaged: it does not hold what was written, or cannot be read.
        UserError: no such file, not a store, or not as its schema says.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such store")
    _verify(path)
    return open_hdf5(path)


@contextmanager
def opened(path: str | Path, schema: str | None = None) -> Iterator[h5py.File]:
    """Open a sealed store for reading.

    Raises:
        Damaged: it does not hold what was written, or cannot be read.
        UserError: no such file, not a store, not as its schema says, not complete, or of another schema.
    """
    path = Path(path)
    with open_any(path) as file:
        if not file.attrs.get("complete", False):
            raise UserError(f"{path}: not complete")
        if schema and file.attrs["schema"] != schema:
            raise UserError(f"{path}: holds {one_line(str(file.attrs['schema']), 80)}, expected {schema}")
        with damage_named(path):
            yield file


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Name a file whose arrays HDF5 cannot read, as those of a store without checksum.

    Raises:
        Damaged: HDF5 has failed in the block.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not str(error).startswith(("Can't", "Unable")):  # HDF5's own words
            raise
        raise Damaged(f"{path}: cannot be read as HDF5 ({error})", path) from None


def _failed(h5: h5py.File) -> dict[str, str]:
    return dict(
        zip(h5["failed/names"].asstr()[:].tolist(), h5["failed/reason"].asstr()[:].tolist(), strict=True)
    )


class Shards:
    """Sealed stores of one schema read as a single table, by clip name.

    Files are opened when needed and never kept open across a pickle or fork, so that data loader workers
    can share one object.

    Attributes:
        names: all clips that have a row, in file order.
        failed: clip name → reason.
        settings: the settings of the first file.
        fingerprint: of all files together.
    """

    def __init__(self, paths: Iterable[str | Path], schema: str):
        self.paths = [Path(path) for path in paths]
        self.schema = schema
        self.names: list[str] = []
        self.failed: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        marks = []
        self._place: dict[str, tuple[int, int]] = {}
        self._open: dict[int, h5py.File] = {}
        self._datasets: dict[tuple[int, str], h5py.Dataset] = {}
        self._process = os.getpid()
        for number, path in enumerate(self.paths):
            with opened(path, schema) as h5:
                rows = h5["names"].asstr()[:].tolist()
                self.failed |= _failed(h5)
                marks.append(str(h5.attrs["fingerprint"]))
                self.settings = self.settings or schemas.settings_of(h5)
            for row, name in enumerate(rows):
                if name in self._place:
                    raise UserError(f"{path}: clip {name} is also in {self.paths[self._place[name][0]]}")
                self._place[name] = number, row
            self.names += rows
        self.fingerprint = hashlib.sha256("".join(marks).encode()).hexdigest()

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_datasets": {}}

    def _file(self, number: int) -> h5py.File:
        if self._process != os.getpid():  # HDF5 handles do not survive a fork
            self._open, self._datasets, self._process = {}, {}, os.getpid()
        if number not in self._open:
            self._open[number] = open_hdf5(self.paths[number])
        return self._open[number]

    def path(self, name: str) -> Path:
        """The file that has a clip's row."""
        return self.paths[self._place[name][0]]

    def attribute(self, key: str) -> Any:
        """A root attribute of the first file; None if it is absent or there is no file."""
        return self._file(0).attrs.get(key) if self.paths else None

    def _column(self, number: int, column: str) -> h5py.Dataset:
        file = self._file(number)  # first, as nothing of it survives a fork
        if (number, column) not in self._datasets:
            found = file.get(column)
            if not isinstance(found, h5py.Dataset):
                raise UserError(f"{self.paths[number]}: has no array {column!r}")
            self._datasets[number, column] = found
        return self._datasets[number, column]

    def shape(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column."""
        shape: tuple[int, ...] = self._column(0, column).shape
        return shape[1:]

    def row(self, column: str, name: str) -> Any:
        """One clip's row of a column: an array, a str, or for `bytes` columns uint8 array(s)."""
        number, row = self._place[name]
        with damage_named(self.paths[number]):
            value = self._column(number, column)[row]
        return (
            value.decode()
            if isinstance(value, bytes)
            else schemas.require_finite(self._file(number), column, value)
        )

    def part(self, column: str, start: int, count: int, name: str) -> np.ndarray:
        """Rows of a flat column, `count` from `start` on, of the file that has a clip's row."""
        number, _ = self._place[name]
        with damage_named(self.paths[number]):
            rows = self._column(number, column)[start : start + count]
        return schemas.require_finite(self._file(number), column, rows)

    def read(self, column: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Rows of a column in the order of `names` (default: all), (len(names), …)."""
        names = self.names if names is None else names
        arrays = [self._whole(number, column) for number in range(len(self.paths))]
        joined = np.concatenate(arrays) if arrays else np.empty(0)
        start = np.cumsum([0, *(len(array) for array in arrays)])
        rows = [start[self._place[name][0]] + self._place[name][1] for name in names]
        return joined[rows]

    def parts(self, columns: Sequence[str], count: int) -> Iterator[tuple[list[str], tuple[np.ndarray, ...]]]:
        """The names of at most `count` clips at a time, and their rows of some columns of numbers, in file order."""
        begin = 0
        for number in range(len(self.paths)):
            arrays = [self._column(number, column) for column in columns]
            rows = len(arrays[0])
            for start in range(0, rows, count):
                names = self.names[begin + start : begin + min(start + count, rows)]
                with damage_named(self.paths[number]):
                    found = [array[start : start + count] for array in arrays]
                checked = (
                    schemas.require_finite(self._file(number), column, values)
                    for column, values in zip(columns, found, strict=True)
                )
                yield names, tuple(checked)
            begin += rows

    def _whole(self, number: int, column: str) -> np.ndarray:
        data = self._column(number, column)
        with damage_named(self.paths[number]):
            values = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
        return schemas.require_finite(self._file(number), column, values)
