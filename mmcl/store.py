"""Stores: HDF5 files of named rows, written in batches, resumable, sealed by an atomic rename.

A sealed store is one HDF5 file that h5py, h5ls and HDFView read without plug-ins: arrays of N rows beside
`names` (N), the clips that failed in `failed/{names,reason}`, and root attributes `schema`, `settings` (JSON),
`fingerprint`, `mmcl_version`, `complete`.

While a store is being written, every finished batch is a small HDF5 file of its own in `<store>.part/`. A batch
file appears by rename, so it is complete or absent however the job ends: no finished batch is lost, and
no partly written HDF5 file has to be repaired. The plan of batches is fixed, so a job that was killed and
continued computes the same batches, and seals the same arrays, as one that was not interrupted.
"""

import functools
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from mmcl import __version__
from mmcl.errors import UserError
from mmcl.files import Busy, locked, write_json, written
from mmcl.naming import sha256

log = logging.getLogger(__name__)

BYTES = h5py.vlen_dtype(np.uint8)
TEXT = h5py.string_dtype("utf-8")


class Column(NamedTuple):
    """What one array of a store holds.

    Attributes:
        dtype: a NumPy dtype name, `bytes` (a variable number of uint8) or `text` (UTF-8).
        shape: shape of one row.
        flat: the first axis does not count clips, but for example the frames of all clips.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    flat: bool = False

    @property
    def storage(self) -> np.dtype:
        """The HDF5 type."""
        return {"bytes": BYTES, "text": TEXT}.get(self.dtype) or np.dtype(self.dtype)


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
    recipe = [schema, settings, list(names), [_input_mark(path) for path in inputs]]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _input_mark(path: Path) -> str:
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
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
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.schema, {**self.settings, "batch": self.batch_size}, self.names, self.inputs)

    @property
    def part(self) -> Path:
        """The folder of the finished batches."""
        return Path(f"{self.path}.part")

    @property
    def batches(self) -> list[list[str]]:
        """The clips of each batch."""
        return [self.names[i : i + self.batch_size] for i in range(0, len(self.names), self.batch_size)]

    def batch_file(self, number: int) -> Path:
        """The file of a finished batch."""
        return self.part / f"{number:06d}.h5"

    def is_sealed(self) -> bool:
        """Whether the sealed store is there and follows from the same settings, clips and inputs."""
        try:
            with opened(self.path, self.schema) as h5:
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
    """Write several stores of the same clips batch by batch, each as if it were written alone.

    The first store is the one that is asked for. The others are written along: one that is already sealed is left
    alone, and one that another process writes is skipped. A batch that a store already has is not made again.

    Args:
        targets: the stores, with the same clips and batch size.
        work: clips of a batch and the numbers of the targets that lack it → these targets' batches.
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
        for batch_number, names in enumerate(_progress(batches, first.path.name)):
            lacking = [number for number in kept if batch_number not in kept[number]]
            if not lacking:
                continue
            with _disk_errors_named(first.path):
                for number, batch in zip(lacking, work(names, lacking), strict=True):
                    target = targets[number]
                    _write_batch(target.batch_file(batch_number), batch, names, target.columns)
        # the first one last: once it is there, the job counts as done
        for number in sorted(kept, reverse=True):
            with _disk_errors_named(targets[number].path):
                _seal(targets[number])
            shutil.rmtree(targets[number].part)


@contextmanager
def _claimed(target: Target, wait: bool = False) -> Iterator[set[int] | None]:
    """Hold a store in progress for this process alone.

    Yields the numbers of the batches already there; None if another process that was waited for has sealed the store.
    """
    part = target.part
    busy = f"{part} is being written by another process; wait for it or stop it"
    with locked(part / "lock", busy, wait=wait) as waited:
        if waited and target.is_sealed():
            shutil.rmtree(part)
            yield None
            return
        begun = read_plan(part)
        if begun is None or begun["fingerprint"] != target.fingerprint:
            if begun is not None:
                log.warning("%s was begun with other settings or inputs: starting afresh", part)
            for file in part.glob("*.h5"):
                file.unlink()
            plan = {
                "schema": target.schema,
                "fingerprint": target.fingerprint,
                "clips": len(target.names),
                "batches": len(target.batches),
                "settings": target.settings,
            }
            write_json(part / "plan.json", plan)
        kept = {int(file.stem) for file in batch_files(part) if _is_whole(file)}
        if kept:
            log.info("%s: continuing after %d of %d batches", target.path, len(kept), len(target.batches))
        yield kept


def read_plan(part: Path) -> dict[str, Any] | None:
    """What a store in progress will hold: schema, fingerprint, clips, batches, settings; None if that is unknown."""
    try:
        plan: dict[str, Any] = json.loads((part / "plan.json").read_text())
        return plan
    except (OSError, ValueError):
        return None


def batch_files(part: Path) -> list[Path]:
    """The finished batches of a store in progress."""
    return sorted(file for file in part.glob("*.h5") if file.stem.isdecimal())


def _is_whole(file: Path) -> bool:
    """Whether a batch can be read; one that cannot is renamed, to be made again."""
    try:
        with h5py.File(file, "r") as h5:
            h5["names"][:]
        return True
    except Exception as error:  # h5py raises OSError, KeyError or RuntimeError, by the kind of damage
        aside = file.with_suffix(".unreadable")
        file.replace(aside)
        log.warning("%s cannot be read (%s): renamed to %s, made again", file, error, aside.name)
        return False


@contextmanager
def _disk_errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # h5py reports a full disk as an OSError whose errno is only in its text
        if error.errno == 28 or "errno = 28" in str(error):
            raise UserError(
                f"{path}: disk full; finished batches are kept, free space and run again"
            ) from error
        raise


def _write_batch(file: Path, batch: Batch, planned: list[str], columns: dict[str, Column]) -> None:
    returned = sorted([*batch.names, *batch.failed])
    if returned != sorted(planned):
        raise ValueError(f"{file}: work must return every clip once; got {returned}, planned {planned}")
    with written(file) as temporary, h5py.File(temporary, "w") as h5:
        for name, column in columns.items():
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
    columns = target.columns
    names: list[str] = []
    failed: dict[str, str] = {}
    lengths = dict.fromkeys(columns, 0)
    for file in files:
        with h5py.File(file, "r") as h5:
            names += h5["names"].asstr()[:].tolist()
            failed |= _failed(h5)
            for name in columns:
                lengths[name] += len(h5[name])
    with written(target.path, sync=True) as temporary, h5py.File(temporary, "w") as out:
        for name, column in columns.items():
            out.create_dataset(name, (lengths[name], *column.shape), column.storage)
        at = dict.fromkeys(columns, 0)
        for file in files:
            with h5py.File(file, "r") as h5:
                for name in columns:
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


def _progress(batches: list[list[str]], label: str) -> Iterable[list[str]]:
    from tqdm import tqdm

    bar: Iterable[list[str]] = tqdm(batches, desc=label, unit="batch", disable=None, leave=False)
    return bar


# ---------------------------------------------------------------------------------------------- reading


def open_any(path: Path) -> h5py.File:
    """Open a store for reading, complete or not.

    Raises:
        UserError: no such file, not HDF5, or not a store.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such store")
    try:
        # never "a" or "r+": opening for writing touches the file's time and would make Snakemake retrain
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({error})") from None
    if "schema" not in file.attrs or "names" not in file:
        file.close()
        raise UserError(f"{path}: an HDF5 file, but not one of mmcl's stores (no attribute `schema`)")
    return file


@contextmanager
def opened(path: str | Path, schema: str | None = None) -> Iterator[h5py.File]:
    """Open a sealed store for reading.

    Raises:
        UserError: no such file, not HDF5, not a store, not complete, or of another schema.
    """
    path = Path(path)
    with open_any(path) as file:
        if not file.attrs.get("complete", False):
            raise UserError(f"{path}: not complete")
        if schema and file.attrs["schema"] != schema:
            raise UserError(f"{path}: holds {file.attrs['schema']}, expected {schema}")
        yield file


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
        self._process = os.getpid()
        for number, path in enumerate(self.paths):
            with opened(path, schema) as h5:
                rows = h5["names"].asstr()[:].tolist()
                self.failed |= _failed(h5)
                marks.append(str(h5.attrs["fingerprint"]))
                self.settings = self.settings or json.loads(h5.attrs["settings"])
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
        return {**self.__dict__, "_open": {}}

    def _file(self, number: int) -> h5py.File:
        if self._process != os.getpid():  # HDF5 handles do not survive a fork
            self._open, self._process = {}, os.getpid()
        if number not in self._open:
            self._open[number] = h5py.File(self.paths[number], "r")
        return self._open[number]

    def path(self, name: str) -> Path:
        """The file that has a clip's row."""
        return self.paths[self._place[name][0]]

    def attribute(self, key: str) -> Any:
        """A root attribute of the first file; None if it is absent or there is no file."""
        return self._file(0).attrs.get(key) if self.paths else None

    def shape(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column."""
        shape: tuple[int, ...] = self._file(0)[column].shape
        return shape[1:]

    def row(self, column: str, name: str) -> Any:
        """One clip's row of a column: an array, a str, or for `bytes` columns uint8 array(s)."""
        number, row = self._place[name]
        dataset = self._file(number)[column]
        value = dataset[row]
        return value.decode() if isinstance(value, bytes) and dataset.dtype == TEXT else value

    def read(self, column: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Rows of a column in the order of `names` (default: all), (len(names), …)."""
        names = self.names if names is None else names
        whole = [self._file(number)[column] for number in range(len(self.paths))]
        arrays = [d.asstr()[:] if h5py.check_string_dtype(d.dtype) else d[:] for d in whole]
        joined = np.concatenate(arrays) if arrays else np.empty(0)
        start = np.cumsum([0, *(len(array) for array in arrays)])
        rows = [start[self._place[name][0]] + self._place[name][1] for name in names]
        return joined[rows]
