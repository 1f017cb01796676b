"""What the stores of each schema hold, and the check that a store does.

A store may come from anywhere, and HDF5 can do much that a store needs not: arrays that lie in other files, links,
arrays that promise more than there is. All of it is refused before an array is read.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h5py
import numpy as np

from mmcl.errors import UserError, shown

BYTES = h5py.vlen_dtype(np.uint8)
TEXT = h5py.string_dtype("utf-8")
ANY = -1
"""In a shape: any size."""


class Column(NamedTuple):
    """What one array of a store holds.

    Attributes:
        dtype: a NumPy dtype name, `bytes` (a variable number of uint8) or `text` (UTF-8).
        shape: shape of one row.
        flat: the first axis does not count clips, but for example the frames of all clips.
        low, high: bounds of the numbers, themselves included; None for none.
        finite: holds finite numbers alone.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    flat: bool = False
    low: float | None = None
    high: float | None = None
    finite: bool = True

    @property
    def storage(self) -> np.dtype:
        """The HDF5 type."""
        return {"bytes": BYTES, "text": TEXT}.get(self.dtype) or np.dtype(self.dtype)


@dataclass(frozen=True)
class Schema:
    """What the stores of a schema hold beside `names` and `failed/{names,reason}`.

    Attributes:
        columns: arrays with a row for each clip, or flat.
        tables: further arrays; those of one group, such as `classes`, have as many rows.
        attributes: texts among the root attributes.
        check: what else has to hold.
    """

    columns: dict[str, Column]
    tables: dict[str, Column] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    check: Callable[[h5py.File], None] = lambda file: None


def columns(schema: str, **shapes: tuple[int, ...]) -> dict[str, Column]:
    """The columns of a schema, with the shapes of rows that its stores may choose."""
    stated = SCHEMAS[schema].columns
    sized = stated | {name: stated[name]._replace(shape=shape) for name, shape in shapes.items()}
    assert not any(ANY in column.shape for column in sized.values())
    return sized


# ------------------------------------------------------------------------------------------ what each holds


def _check_places(file: h5py.File, flat: str) -> None:
    """Clips lie one after another in a flat array, and fill it."""
    rows = len(file[flat])
    offset, frames, persons = (file[key][:].astype(np.int64) for key in ("offset", "frames", "persons"))
    # compared without a product, which may overflow
    if (frames > rows).any() or (persons > rows // frames).any():
        raise _fault(file, f"frames × persons of a clip are more than the rows of {flat}")
    lengths = frames * persons
    if lengths.sum() != rows or (offset != np.cumsum(lengths) - lengths).any():
        raise _fault(file, f"offset, frames and persons do not fit the {rows} rows of {flat}")


def _check_labels(file: h5py.File) -> None:
    classes = len(file["classes/id"])
    labels = file["labels"][:]
    if (labels >= classes).any():
        raise _fault(file, f"labels: {labels.max()} is not one of {classes} classes")


def _check_skeletons(file: h5py.File) -> None:
    _check_places(file, "joints")
    _check_labels(file)


def _check_scores(file: h5py.File) -> None:
    _check_labels(file)
    classes = len(file["classes/id"])
    if file["logits"].shape[1] != classes:
        raise _fault(file, f"logits: {file['logits'].shape[1]} numbers a clip for {classes} classes")


_CLASSES = {"classes/id": Column("text"), "classes/name": Column("text")}
_PLACES = {
    "offset": Column("int64", low=0),
    "frames": Column("int32", low=1),
    "persons": Column("int8", low=1),
}

SCHEMAS = {
    "mmcl.skeletons/1": Schema(
        {
            "joints": Column("float32", (ANY, 3), flat=True),
            **_PLACES,
            "labels": Column("int64", low=0),
            "subject": Column("int16"),
            "camera": Column("int16"),
            "setup": Column("int16"),
            "split": Column("text"),
        },
        {
            **_CLASSES,
            **{f"failed/{key}": Column("int16") for key in ("subject", "camera", "setup")},
            **{f"failed/{key}": Column("text") for key in ("action", "split")},
        },
        ("layout",),
        _check_skeletons,
    ),
    "mmcl.poses/1": Schema(
        {
            "keypoints": Column("float32", (17, 3), flat=True),
            **_PLACES,
            "size": Column("int32", (2,), low=1),
            "rate": Column("float32", finite=False),  # NaN where the video states none
        },
        check=lambda file: _check_places(file, "keypoints"),
    ),
    "mmcl.crops/1": Schema(
        {
            "boxes": Column("float32", (ANY, 4)),
            "scores": Column("float32", (ANY,)),
            "frame": Column("int32", (ANY,), low=0),
            "images": Column("bytes", (ANY,)),
        }
    ),
    "mmcl.montages/1": Schema({"images": Column("bytes")}),
    "mmcl.rgb/1": Schema({"features": Column("float32", (ANY,))}),
    "mmcl.answers/1": Schema(
        {
            "states": Column("float32", (ANY, ANY)),
            "mask": Column("bool", (ANY,)),
            "ids": Column("int64", (ANY,)),
            "text": Column("text"),
            # NaN for other questions than those of yes and no
            "p_yes": Column("float32", low=0, high=1, finite=False),
        }
    ),
    "mmcl.scores/1": Schema(
        {"logits": Column("float32", (ANY,)), "labels": Column("int64", low=0)}, _CLASSES, check=_check_scores
    ),
    "mmcl.training_pictures/2": Schema(
        {
            "montage": Column("bytes"),
            "frames": Column("bytes", (ANY,)),
            "empty": Column("bytes"),
            # NaN for who or what is not seen
            "boxes": Column("float32", (ANY, ANY, 4), finite=False),
            "keypoints": Column("float32", (ANY, ANY, 17, 2), finite=False),
            "object_at": Column("float32", (ANY, 2), finite=False),
            "facts": Column("text"),
        }
    ),
}
"""Schema → what its stores hold. A store of another schema is checked for what all stores have in common."""


# ------------------------------------------------------------------------------------------------ the check


def check(file: h5py.File) -> None:
    """Check a whole store before it is used; arrays of clips are not read here, but for their small numbers.

    Raises:
        UserError: something is missing, refers to another file, or is not as its schema says; names file and part.
    """
    if "schema" not in file.attrs:
        raise _fault(file, "an HDF5 file, but not one of mmcl's stores (no attribute `schema`)")
    _check_attributes(file)
    arrays = dict(_arrays(file))
    name = _text(file, "schema")
    stated = SCHEMAS.get(name, Schema({}))
    for attribute in ("settings", "fingerprint", *stated.attributes):
        _text(file, attribute)
    settings_of(file)
    _check_all(file, arrays, stated.columns, stated.tables)
    stated.check(file)


def check_batch(file: h5py.File, columns: dict[str, Column]) -> None:
    """Check that a batch has its columns, as `check` does for a store.

    Raises:
        UserError: one is missing, or not as stated.
    """
    _check_all(file, dict(_arrays(file)), columns, {})


def foreign_arrays(file: h5py.File, names: tuple[str, ...]) -> dict[str, h5py.Dataset]:
    """The arrays of these names in the root of a file that need not be a store; those it lacks are left out.

    Raises:
        UserError: one is a link, refers to another file, is compressed, or is not all there.
    """
    found = {}
    for name in names:
        if name not in file:
            continue
        item = _own(file, name)
        if not isinstance(item, h5py.Dataset):
            raise _fault(file, f"{shown(name)} is no array")
        if item.chunks:
            raise _fault(
                file, f"{shown(name)} is stored in chunks; write it without compression and maxshape"
            )
        found[name] = _whole(file, name, item)
    return found


def _check_all(
    file: h5py.File,
    arrays: dict[str, h5py.Dataset],
    columns: dict[str, Column],
    tables: dict[str, Column],
) -> None:
    rows = {"names": Column("text")} | {path: column for path, column in columns.items() if not column.flat}
    _check_arrays(file, arrays, rows)
    for path, column in columns.items():
        if column.flat:
            _check_arrays(file, arrays, {path: column})
    tables = {"failed/names": Column("text"), "failed/reason": Column("text"), **tables}
    for group in sorted({path.partition("/")[0] for path in tables}):
        own = {path: column for path, column in tables.items() if path.startswith(f"{group}/")}
        _check_arrays(file, arrays, own)


def _check_arrays(file: h5py.File, arrays: dict[str, h5py.Dataset], stated: dict[str, Column]) -> None:
    """Check arrays that have equally many rows."""
    counts = {}
    for path, column in stated.items():
        if path not in arrays:
            raise _fault(file, f"has no array {path!r}")
        _check_array(file, path, arrays[path], column)
        counts[path] = len(arrays[path])
    one, *others = counts
    for other in others:
        if counts[other] != counts[one]:
            raise _fault(file, f"{other!r} has {counts[other]} rows, {one!r} has {counts[one]}")


def _check_array(file: h5py.File, path: str, array: h5py.Dataset, column: Column) -> None:
    kind, expected = _kind(array.dtype), _kind(column.storage)
    if kind != expected:
        raise _fault(file, f"{path!r} holds {kind}, not {expected}")
    sizes = array.shape[1:]
    if len(sizes) != len(column.shape) or any(
        size != wanted for size, wanted in zip(sizes, column.shape, strict=True) if wanted != ANY
    ):
        wanted = " × ".join("?" if size == ANY else str(size) for size in column.shape)
        raise _fault(
            file, f"a row of {path!r} is {' × '.join(map(str, sizes)) or 'one value'}, not {wanted or 'one'}"
        )
    if kind == "text":
        try:
            array.asstr()[:]
        except UnicodeDecodeError as error:
            raise _fault(file, f"{path!r} holds text that is not UTF-8 ({error.reason})") from None
    if column.low is not None or column.high is not None:
        values = array[:]
        # both are false for NaN
        if column.low is not None and (wrong := values[values < column.low]).size:
            raise _fault(file, f"{path!r} holds {wrong[0]}, below {column.low:g}")
        if column.high is not None and (wrong := values[values > column.high]).size:
            raise _fault(file, f"{path!r} holds {wrong[0]}, above {column.high:g}")


FOREIGN = "a type that no store has"


def _kind(dtype: np.dtype) -> str:
    """What an array holds."""
    if text := h5py.check_string_dtype(dtype):
        return "text" if text.length is None else FOREIGN
    if base := h5py.check_vlen_dtype(dtype):
        return "bytes" if base == np.uint8 else FOREIGN
    return {"b": "bool", "i": "integers", "u": "integers", "f": "floats"}.get(dtype.kind, FOREIGN)


# ------------------------------------------------------------------------------------ what HDF5 can do beside


def _arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """All arrays of a store, in its root and in groups below it, none of which leads out of the file."""
    for name in file:
        item = _own(file, name)
        if isinstance(item, h5py.Dataset):
            yield name, _whole(file, name, item)
        else:
            for inner in item:
                path = f"{name}/{inner}"
                array = _own(file, path)
                if not isinstance(array, h5py.Dataset):
                    raise _fault(file, f"{shown(path)} is no array")
                yield path, _whole(file, path, array)


def _own(file: h5py.File, path: str) -> h5py.Dataset | h5py.Group:
    if not isinstance(file.get(path, getlink=True), h5py.HardLink):
        raise _fault(file, f"{shown(path)} is a link")
    item = file[path]
    if not isinstance(item, h5py.Dataset | h5py.Group):
        raise _fault(file, f"{shown(path)} is no array")
    return item


def _whole(file: h5py.File, path: str, array: h5py.Dataset) -> h5py.Dataset:
    """An array whose content lies in this file, all of it."""
    if array.external or array.is_virtual:
        raise _fault(file, f"{shown(path)} takes its content from another file")
    kind = _kind(array.dtype)
    if kind == FOREIGN or not array.shape:
        raise _fault(file, f"{shown(path)} holds {kind if kind == FOREIGN else 'no rows'}")
    variable = kind in ("text", "bytes")
    # of a variable length, the array itself holds length (4 bytes), address (8) and index (4)
    promised = array.size * (16 if variable else array.dtype.itemsize)
    stored, size = array.id.get_storage_size(), file.id.get_filesize()
    if not promised <= stored <= size:
        raise _fault(file, f"{shown(path)} promises {promised} bytes, of which {min(stored, size)} are there")
    if variable and promised:
        at = array.id.get_offset()
        if at is None:
            raise _fault(file, f"{shown(path)} is stored in chunks")
        with open(file.filename, "rb") as raw:
            raw.seek(at)
            lengths = np.frombuffer(raw.read(promised), [("length", "<u4"), ("", "V12")])["length"]
        if lengths.sum(dtype=np.uint64) > size:
            raise _fault(
                file, f"{shown(path)} promises {lengths.sum(dtype=np.uint64)} bytes in a file of {size}"
            )
    return array


def _check_attributes(file: h5py.File) -> None:
    """Root attributes are single values, and no more than the file can hold."""
    for name in file.attrs:
        attribute = file.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or not (text or _kind(attribute.dtype) in ("bool", "integers", "floats")):
            raise _fault(file, f"attribute {shown(name)} is no single text or number")


def _text(file: h5py.File, name: str) -> str:
    value = file.attrs.get(name)
    if not isinstance(value, str):
        raise _fault(
            file, f"has no attribute {name!r}" if value is None else f"attribute {name!r} is no text"
        )
    return value


def settings_of(file: h5py.File) -> dict[str, Any]:
    """The settings that a store was made with.

    Raises:
        UserError: they are no JSON object.
    """
    try:
        settings = json.loads(_text(file, "settings"))
    except (ValueError, RecursionError) as error:
        raise _fault(file, f"attribute 'settings' is no JSON ({error})") from None
    if not isinstance(settings, dict):
        raise _fault(file, "attribute 'settings' is no JSON object")
    return settings


def require_finite(file: h5py.File, path: str, values: np.ndarray) -> np.ndarray:
    """The values of an array, if they are finite or need not be.

    Raises:
        UserError: they are not finite.
    """
    if values.dtype.kind != "f":
        return values
    stated = SCHEMAS.get(file.attrs["schema"], Schema({"features": Column("float32")})).columns.get(path)
    if stated and stated.finite and not np.isfinite(values).all():
        raise _fault(file, f"{path!r} holds numbers that are not finite")
    return values


def _fault(file: h5py.File, what: str) -> UserError:
    return UserError(f"{file.filename}: {what}")
