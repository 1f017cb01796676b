"""Answers that were made elsewhere, by any model: files of hidden states, texts and p(yes) by clip name.

`<folder>/<data set>/<question's slug>` with the ending `.npz`, `.h5` or `.csv` is a table with a row for each clip;
without an ending it is a folder with one `.npz` for each clip. docs/vlm-models.md describes the columns. Nothing of a
file is trusted: no pickle is read, sizes are compared with limits and with the file before anything is allocated.
"""

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from mmcl import schemas
from mmcl.datasets.files import find_recordings
from mmcl.datasets.names import clip_name, name_fault
from mmcl.datasets.npy_header import npy_header
from mmcl.datasets.own_table import read_rows
from mmcl.errors import UserError, one_line, shown, some
from mmcl.naming import find
from mmcl.store import open_hdf5

WHAT_BELONGS = "see docs/vlm-models.md, imported answers"
ENDINGS = (".npz", ".h5", ".csv", "")

MAX_NPZ = 8 * 2**30
MAX_CLIP = 64 * 2**20
MAX_CSV = 256 * 2**20
"""Bytes of a table and of one clip's file."""
MAX_TEXT = 10_000
"""Characters of an answer."""
MAX_WIDTH, MAX_TOKENS = 65_536, 4_096

FILE_ENDINGS = re.compile(r"(_rgb|_color)?(\.(avi|mp4|mkv|jpe?g|png|npy|npz|skeleton))?$")
"""What names of recordings have behind the clip's name."""


class Part(NamedTuple):
    """What a clip's row of a column is: kinds of NumPy's dtypes, and the allowed numbers of axes."""

    kinds: str
    axes: tuple[int, ...]


PARTS = {
    "states": Part("f", (1, 2)),
    "mask": Part("b", (1,)),
    "ids": Part("iu", (1,)),
    "text": Part("U", (0,)),
    "p_yes": Part("f", (0,)),
}
"""Column → its rows: (D) or (K, D), (K), (K), a text, a number."""


class Answer(NamedTuple):
    """One clip's answer, see `mmcl.vlm.protocol.Answers`: states (K, D), mask (K), ids (K); D may be 0."""

    states: np.ndarray
    mask: np.ndarray
    ids: np.ndarray
    text: str
    p_yes: float


def matched(name: str) -> str:
    """The form in which a name is compared: of a clip, without capitals and what recordings have behind it."""
    return FILE_ENDINGS.sub("", clip_name(name).casefold())


def find_answers(folder: str | Path, dataset: str, question: str) -> Path:
    """Where the answers to a question about a data set's clips are.

    Args:
        folder: as the config names it.
        dataset: its name in the config.
        question: its slug.

    Raises:
        UserError: there are none, or in several forms.
    """
    place = find(folder) / dataset
    paths = [(place / f"{question}{ending}", ending) for ending in ENDINGS]
    found = [path for path, ending in paths if (path.is_file() if ending else path.is_dir())]
    if not found:
        raise UserError(
            f"{Path(folder) / dataset}: no answers to the question {question}: {question}.npz, .h5, .csv or a folder "
            f"{question} with one .npz a clip belongs there; {WHAT_BELONGS}"
        )
    if len(found) > 1:
        raise UserError(
            f"{place}: answers to one question in {some([path.name for path in found])}; keep one"
        )
    return found[0]


def open_answers(path: Path) -> "Table":
    """The answers in a file or folder that `find_answers` gives. What they hold is checked, not yet read.

    Raises:
        UserError: they cannot be read, lack a column, or have one of another form; names file and column.
    """
    forms: dict[str, Callable[[Path], Table]] = {".npz": _Npz, ".h5": _Hdf5, ".csv": _Csv}
    table = _Folder(path) if path.is_dir() else forms[path.suffix](path)
    if not table.shapes.keys() & {"states", "text", "p_yes"}:
        raise UserError(f"{path}: has none of the columns states, text and p_yes; {WHAT_BELONGS}")
    return table


class Table(ABC):
    """Answers by clip name.

    Attributes:
        path: the file or folder.
        shapes: column → shape of a row; of a folder, in its first file.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]

    @cached_property
    def names(self) -> dict[str, int]:
        """`matched` name → row.

        Raises:
            UserError: a name is none, or there twice.
        """
        rows: dict[str, int] = {}
        listed = self._names()
        for row, name in enumerate(listed):
            key = matched(name)
            if fault := name_fault(key):
                raise UserError(f"{self.path}: row {row}: {shown(name)}: {fault}")
            if key in rows:
                raise UserError(f"{self.path}: {some([listed[rows[key]], name])}: two answers about one clip")
            rows[key] = row
        return rows

    @property
    def width(self) -> int:
        """D, the width of a state; 0 without states."""
        return self.shapes["states"][-1] if "states" in self.shapes else 0

    def tokens(self, most: int) -> int:
        """K, the tokens of an answer: 1 without a column that has a value for each, else `most`."""
        return most if "ids" in self.shapes or len(self.shapes.get("states", ())) == 2 else 1

    def answer(self, name: str, tokens: int) -> Answer:
        """The answer about a clip: of longer ones the first `tokens` tokens, shorter ones padded with zeros.

        Args:
            name: as `matched` gives it.
            tokens: K.

        Raises:
            UserError: it cannot be read, or a value is not what it must be.
        """
        where, row = self._row(self.names[name])
        check_shapes(where, {key: value.shape for key, value in row.items()})
        given = row.get("states", np.zeros((tokens, 0), np.float32))
        given = (given if given.ndim == 2 else given[None])[:tokens]
        with np.errstate(over="ignore"):
            given = given.astype(np.float32)
        if given.shape[1] != self.width or row.keys() != self.shapes.keys():
            raise UserError(
                f"{where}: {_form(row)} where the first answer has states of width {self.width}; one model and one "
                "form for all clips"
            )
        if not np.isfinite(given).all():
            raise UserError(f"{where}: states that are not finite in float32")
        states, mask = np.zeros((tokens, self.width), np.float32), np.zeros(tokens, bool)
        ids = np.full(tokens, -1, np.int64)
        length = len(given) if "states" in row else len(row.get("ids", ids[:1])[:tokens])
        for key, into in (("ids", ids), ("mask", mask)):
            values = row[key][:tokens] if key in row else (ids if key == "ids" else ~mask)[:length]
            if len(values) != length:
                raise UserError(f"{where}: {key} of {len(values)} tokens beside states of {length}")
            into[:length] = values
        states[: len(given)] = given
        if not mask[0]:
            raise UserError(f"{where}: the mask leaves out the first token")
        states[~mask] = 0
        p_yes = float(row.get("p_yes", np.nan))
        if not (np.isnan(p_yes) or 0 <= p_yes <= 1):
            raise UserError(f"{where}: p_yes is {p_yes}, not between 0 and 1")
        text = str(row.get("text", "")).replace("\0", "\ufffd")  # HDF5 keeps no string with a null character
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UserError(f"{where}: the text cannot be written as UTF-8")
        if len(text) > MAX_TEXT:
            raise UserError(f"{where}: a text of {len(text)} characters, more than {MAX_TEXT}")
        return Answer(states, mask, ids, text, p_yes)

    @abstractmethod
    def _names(self) -> Sequence[str]:
        """The names as they stand there, row by row."""

    @abstractmethod
    def _row(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        """Where a row stands, for messages, and its values."""


def check_shapes(where: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Check the shapes of a clip's values.

    Raises:
        UserError: a number of axes is wrong, or a size beyond the limits.
    """
    for key, shape in shapes.items():
        if len(shape) not in PARTS[key].axes:
            wanted = " or ".join(str(axes) for axes in PARTS[key].axes)
            raise UserError(f"{where}: {key} of a clip has {len(shape)} axes, expected {wanted}")
        if 0 in shape:
            raise UserError(f"{where}: {key} of a clip is empty")
        width = shape[-1] if key == "states" else 1
        tokens = shape[0] if shape and (key != "states" or len(shape) == 2) else 1
        if width > MAX_WIDTH or tokens > MAX_TOKENS:
            raise UserError(
                f"{where}: {key} of a clip is {shape}, more than {MAX_TOKENS} tokens of width {MAX_WIDTH}"
            )


def _form(row: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{key} {'×'.join(map(str, value.shape)) or '1'}" for key, value in row.items())


def _check_kind(where: str, key: str, dtype: np.dtype) -> None:
    if dtype.kind not in PARTS[key].kinds:
        wanted = {"f": "floats", "b": "bool", "iu": "integers", "U": "text (dtype U)"}[PARTS[key].kinds]
        raise UserError(f"{where}: {key} holds {one_line(str(dtype), 40)}, expected {wanted}")


# ------------------------------------------------------------------------------------------------------ npz


def _headers(path: Path, most: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of the arrays of an npz, whose sizes are those of the file.

    Raises:
        UserError: not an npz, too large, or an array of a wrong kind.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > most:
                raise UserError(f"{path}: unpacks to more than {most} bytes")
            for member in members:
                key = member.filename.removesuffix(".npy")
                if key not in PARTS and key != "names":
                    raise UserError(f"{path}: unknown array {shown(key)}; known: names, {', '.join(PARTS)}")
                if key in found:
                    raise UserError(f"{path}: two arrays {key}")
                with archive.open(member) as file:
                    shape, _, dtype = npy_header(file, f"{path}/{key}")
                    begin = file.tell()
                if key != "names":
                    _check_kind(str(path), key, dtype)
                elif dtype.kind != "U":
                    raise UserError(
                        f"{path}: names holds {one_line(str(dtype), 40)}, expected text (dtype U)"
                    )
                size = dtype.itemsize
                for number in shape:
                    size *= number
                if size != member.file_size - begin:
                    raise UserError(f"{path}: {key} is not as long as its shape {shape} states")
                found[key] = shape, dtype
    except UserError:
        raise
    except Exception as error:  # zipfile and zlib pass on any error that the damage causes
        raise _unreadable(path, error) from None
    return found


def _load(path: Path, most: int) -> dict[str, np.ndarray]:
    """All arrays of an npz whose headers are fine."""
    headers = _headers(path, most)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in headers}
    except Exception as error:  # see `_headers`
        raise _unreadable(path, error) from None
    for key, array in arrays.items():
        # NumPy takes four bytes for a character whatever they are
        if array.dtype.kind == "U" and array.size:
            codes = np.ascontiguousarray(array).view(f"{array.dtype.str[0]}u4")
            if codes.max() > 0x10FFFF:
                raise UserError(f"{path}: {key} is no text")
    return arrays


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read as npz ({one_line(str(error) or repr(error), 200)})")


def _check_counts(path: Path, rows: dict[str, int]) -> None:
    if "names" not in rows:
        raise UserError(f"{path}: has no names of clips (array names)")
    for key, count in rows.items():
        if count != rows["names"]:
            raise UserError(f"{path}: {key} has {count} rows, names has {rows['names']}")


class _Npz(Table):
    """Arrays `names` (N) and, with N rows each, those of PARTS."""

    def __init__(self, path: Path):
        self.path = path
        headers = _headers(path, MAX_NPZ)
        if flat := next((key for key, (shape, _) in headers.items() if not shape), ""):
            raise UserError(f"{path}: {flat} has no rows")
        _check_counts(path, {key: shape[0] for key, (shape, _) in headers.items()})
        self.shapes = {key: shape[1:] for key, (shape, _) in headers.items() if key != "names"}
        check_shapes(str(path), self.shapes)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return _load(self.path, MAX_NPZ)

    def _names(self) -> Sequence[str]:
        names: list[str] = self._arrays["names"].tolist()
        return names

    def _row(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        return f"{self.path}, row {row}", {key: np.asarray(self._arrays[key][row]) for key in self.shapes}


class _Folder(Table):
    """One npz for each clip, named after it, with arrays of PARTS."""

    def __init__(self, path: Path):
        self.path = path
        files = find_recordings(path, (".npz",), clip_name)
        self.files = list(files.items())
        if not files:
            raise UserError(f"{path}: no .npz file")
        first = path / self.files[0][1]
        self.shapes = {key: shape for key, (shape, _) in _headers(first, MAX_CLIP).items()}
        if "names" in self.shapes:
            raise UserError(f"{first}: has an array names; the file of one clip is named after the clip")
        check_shapes(str(first), self.shapes)

    def _names(self) -> Sequence[str]:
        return [name for name, _ in self.files]

    def _row(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        path = self.path / self.files[row][1]
        arrays = _load(path, MAX_CLIP)
        if "names" in arrays:
            raise UserError(f"{path}: has an array names; the file of one clip is named after the clip")
        return str(path), arrays


# ----------------------------------------------------------------------------------------------------- HDF5


class _Hdf5(Table):
    """The same arrays as HDF5 datasets, not compressed, not in chunks; a store `mmcl.answers/1` is one."""

    def __init__(self, path: Path):
        self.path = path
        with self._reading(str(path)):
            arrays = schemas.foreign_arrays(self._file, ("names", *PARTS))
            self.shapes = {key: array.shape[1:] for key, array in arrays.items() if key != "names"}
            _check_counts(path, {key: len(array) for key, array in arrays.items()})
            for key, array in arrays.items():
                text = h5py.check_string_dtype(array.dtype) is not None
                if text != (key in ("names", "text")):
                    raise UserError(f"{path}: {key} holds {'text' if text else 'no text'}")
                if not text:
                    _check_kind(str(path), key, array.dtype)
        check_shapes(str(path), self.shapes)

    @cached_property
    def _file(self) -> h5py.File:
        return open_hdf5(self.path)

    @contextmanager
    def _reading(self, where: str) -> Iterator[None]:
        try:
            yield
        except (UserError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # h5py raises OSError, KeyError, RuntimeError and others by the kind of damage
            raise UserError(f"{where}: cannot be read as HDF5 ({one_line(str(error), 200)})") from None

    def _names(self) -> Sequence[str]:
        with self._reading(f"{self.path}, names"):
            names: list[str] = self._file["names"].asstr()[:].tolist()
        return names

    def _row(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        where = f"{self.path}, row {row}"
        with self._reading(where):
            values = {key: self._file[key][row] for key in self.shapes}
            if "text" in values:
                values["text"] = values["text"].decode("utf-8")
        return where, {key: np.asarray(value) for key, value in values.items()}


# ------------------------------------------------------------------------------------------------------ csv


class _Csv(Table):
    """Columns `name`, `text` and `p_yes`; there are no states."""

    def __init__(self, path: Path):
        self.path = path
        columns, self._lines, _ = read_rows(path, ("name", "text", "p_yes"), "name", MAX_CSV)
        self.shapes = {column: () for column in columns if column != "name"}

    @cached_property
    def _rows(self) -> list[Any]:
        return list(self._lines)

    def _names(self) -> Sequence[str]:
        return [row.values["name"] for row in self._rows]

    def _row(self, row: int) -> tuple[str, dict[str, np.ndarray]]:
        line, values = self._rows[row].line, self._rows[row].values
        where = f"{self.path}, line {line}"
        found = {}
        for key in self.shapes:
            try:
                found[key] = np.asarray(values[key] if key == "text" else float(values[key] or "nan"))
            except ValueError:
                raise UserError(f"{where}: {key} is {shown(values[key])}, no number") from None
        return where, found


def lacking(table: Table, names: Iterable[str]) -> list[str]:
    """The clips that have no answer.

    Raises:
        UserError: none has one, or two clips would be given the same one.
    """
    clips: dict[str, str] = {}
    for name in names:
        other = clips.setdefault(matched(name), name)
        if other != name:
            raise UserError(
                f"{table.path}: clips {some([other, name])} differ in capitals or ending only, and would have the "
                "same answer"
            )
    without = [name for key, name in clips.items() if key not in table.names]
    if len(without) == len(clips):
        there = some(sorted(table.names)[:2]) or "none"
        raise UserError(
            f"{table.path}: has an answer about none of the {len(clips)} clips ({some(without[:2])}); its names are "
            f"{there}"
        )
    return without


class Imported:
    """What `vlm.adapter: imported` names: `vlm.weights` is the folder of answers, and no model is run."""
