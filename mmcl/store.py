"""Stores: HDF5 files of named rows, written in batches, resumable, sealed by an atomic rename.

A sealed store is one HDF5 file that h5py, h5ls and HDFView read without plug-ins: arrays of N rows beside
`names` (N), the clips that failed in `failed/{names,reason}`, and root attributes `schema`, `settings` (JSON),
`fingerprint`, `mmcl_version`, `complete`.

While a store is being written, every finished batch is a small HDF5 file of its own in `<store>.part/`. A batch
file appears by rename, so it is whole or absent however the job ends: nothing that was finished is lost, and
no half-written HDF5 file has to be repaired. The plan of batches is fixed, so a job that was killed and
continued computes the same batches, and seals the same arrays, as one that ran through.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from mmcl import __version__
from mmcl.errors import UserError
from mmcl.files import write_json

log = logging.getLogger(__name__)

BYTES = h5py.vlen_dtype(np.uint8)
TEXT = h5py.string_dtype("utf-8")


class Column(NamedTuple):
    """What one array of a store holds.

    Attributes:
        dtype: a NumPy dtype name, `bytes` (a variable number of uint8) or `text` (UTF-8).
        shape: shape of one row.
        flat: the first axis does not count clips (all frames of all clips one after another, say).
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


def fingerprint(schema: str, settings: dict, names: Sequence[str], inputs: Iterable[Path] = ()) -> str:
    """sha256 over everything a store's content follows from: schema, settings, clips, inputs' fingerprints.

    An input store counts with its own fingerprint, any other file with the sha256 of its bytes.
    """
    recipe = [schema, settings, list(names), [_input_mark(path) for path in inputs]]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _input_mark(path: Path) -> str:
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return str(file.attrs["fingerprint"])
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# ---------------------------------------------------------------------------------------------- writing


def write(
    path: str | Path,
    *,
    schema: str,
    settings: dict,
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
        path: the sealed store. Work in progress lies in `<path>.part/`.
        schema: such as `mmcl.answers/1`.
        settings: everything that changes the content and is not an input; kept in the store as JSON.
        names: the clips, in the order of their rows.
        columns: what each row holds.
        batch_size: clips per call of `work`. Part of the fingerprint, as the rounding of a network's
            output depends on its batch.
        work: makes one batch. It must tell of every clip it was given, as a row or as failed.
        inputs: files the content follows from.
        finish: adds to the whole file before it is sealed (offsets over all rows, class tables).
        attributes: further root attributes.

    Raises:
        UserError: another process writes this store, or the disk is full.
    """
    path = Path(path)
    names = list(names)
    mark = fingerprint(schema, {**settings, "batch": batch_size}, names, inputs)
    batches = [names[i : i + batch_size] for i in range(0, len(names), batch_size)]
    part = Path(f"{path}.part")
    plan = {
        "schema": schema,
        "fingerprint": mark,
        "clips": len(names),
        "batches": len(batches),
        "settings": settings,
    }
    with _claimed(part, plan) as kept:
        if kept:
            log.info("%s: continuing after %d of %d batches", path, len(kept), len(batches))
        for number, batch in enumerate(_progress(batches, path.name)):
            if number not in kept:
                with _disk_errors_named(path):
                    _write_batch(part / f"{number:06d}.h5", work(batch), batch, columns)
        header = {"schema": schema, "settings": json.dumps(settings, sort_keys=True), "fingerprint": mark}
        header |= {"mmcl_version": __version__, **(attributes or {})}
        with _disk_errors_named(path):
            _seal(
                path, [part / f"{number:06d}.h5" for number in range(len(batches))], columns, header, finish
            )
        shutil.rmtree(part)


@contextmanager
def _claimed(part: Path, plan: dict) -> Iterator[set[int]]:
    """Hold `part` for this process alone; yield the numbers of the batches already there."""
    part.mkdir(parents=True, exist_ok=True)
    # the lock is held by the open file, so it goes with the process however that ends
    with open(part / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{part} is being written by another process; wait for it or stop it") from None
        begun = read_plan(part)
        if begun is None or begun["fingerprint"] != plan["fingerprint"]:
            if begun is not None:
                log.warning("%s was begun with other settings or inputs: starting afresh", part)
            for file in part.glob("*.h5"):
                file.unlink()
            write_json(part / "plan.json", plan)
        yield {int(file.stem) for file in sorted(part.glob("[0-9]*.h5")) if _is_whole(file)}


def read_plan(part: Path) -> dict | None:
    """What a store in progress will hold: schema, fingerprint, clips, batches, settings; None if that is unknown."""
    try:
        return json.loads((part / "plan.json").read_text())
    except (OSError, ValueError):
        return None


def _is_whole(file: Path) -> bool:
    """Whether a batch can be read; one that cannot is set aside, to be made again."""
    try:
        with h5py.File(file, "r") as h5:
            h5["names"][:]
        return True
    except Exception as error:  # h5py raises OSError, KeyError or RuntimeError, by the kind of damage
        aside = file.with_suffix(".unreadable")
        file.replace(aside)
        log.warning("%s cannot be read (%s): set aside as %s, made again", file, error, aside.name)
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
    told = sorted([*batch.names, *batch.failed])
    if told != sorted(planned):
        raise ValueError(f"{file}: work must tell of every clip once; got {told}, planned {planned}")
    temporary = file.with_suffix(".tmp")
    with h5py.File(temporary, "w") as h5:
        for name, column in columns.items():
            h5.create_dataset(name, data=_as_array(batch.columns.get(name), column, len(batch.names)))
        _write_names(h5, batch.names, batch.failed)
    os.replace(temporary, file)


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


def _seal(
    path: Path,
    files: list[Path],
    columns: dict[str, Column],
    header: dict[str, Any],
    finish: Callable[[h5py.File], None] | None,
) -> None:
    """Join the batches into one file and give it its name, last of all."""
    temporary = Path(f"{path}.tmp")
    names: list[str] = []
    failed: dict[str, str] = {}
    lengths = dict.fromkeys(columns, 0)
    for file in files:
        with h5py.File(file, "r") as h5:
            names += h5["names"].asstr()[:].tolist()
            failed |= _failed(h5)
            for name in columns:
                lengths[name] += len(h5[name])
    with h5py.File(temporary, "w") as out:
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
        out.attrs.update(header)
        if finish:
            finish(out)
        out.attrs["complete"] = True
    with open(temporary, "rb") as written:
        os.fsync(written.fileno())
    os.replace(temporary, path)


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

    return tqdm(batches, desc=label, unit="batch", disable=None, leave=False)


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
        self.settings: dict = {}
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

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_open": {}}

    def _file(self, number: int) -> h5py.File:
        if self._process != os.getpid():  # HDF5 handles do not survive a fork
            self._open, self._process = {}, os.getpid()
        if number not in self._open:
            self._open[number] = h5py.File(self.paths[number], "r")
        return self._open[number]

    def attribute(self, key: str) -> Any:
        """A root attribute of the first file; None if it is absent or there is no file."""
        return self._file(0).attrs.get(key) if self.paths else None

    def shape(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column."""
        return self._file(0)[column].shape[1:]

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
