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
        description: what it holds, in a sentence without its full stop; empty for an array that is not described.
        unit: of the numbers; `none` for numbers without a unit and for text.
        axes: the names of its dimensions, the first one included, such as `clip, token, feature`.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    flat: bool = False
    low: float | None = None
    high: float | None = None
    finite: bool = True
    description: str = ""
    unit: str = "none"
    axes: str = "clip"

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
        extras: arrays as those of `tables` that stores of earlier versions lack.
        attributes: texts among the root attributes.
        check: what else has to hold.
        description: what such a store is.
    """

    columns: dict[str, Column]
    tables: dict[str, Column] = field(default_factory=dict)
    extras: dict[str, Column] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    check: Callable[[h5py.File], None] = lambda file: None
    description: str = ""

    @property
    def arrays(self) -> dict[str, Column]:
        """All that its stores hold, those of every store first."""
        return COMMON | self.columns | self.tables | self.extras


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
    _check_joints(file, "joints")


def _check_joints(file: h5py.File, flat: str) -> None:
    names = file.get("layout/joint")
    if names is not None and len(names) != file[flat].shape[1]:
        raise _fault(file, f"layout/joint: {len(names)} names for {file[flat].shape[1]} joints")


def _check_poses(file: h5py.File) -> None:
    _check_places(file, "keypoints")
    _check_joints(file, "keypoints")


def _check_scores(file: h5py.File) -> None:
    _check_labels(file)
    classes = len(file["classes/id"])
    if file["logits"].shape[1] != classes:
        raise _fault(file, f"logits: {file['logits'].shape[1]} numbers a clip for {classes} classes")
    if "confusion" in file and file["confusion"].shape != (classes, classes):
        raise _fault(file, f"confusion: a table of {file['confusion'].shape} for {classes} classes")


COMMON = {
    "names": Column("text", description="Names of the clips, in the order of the rows"),
    "failed/names": Column("text", description="Clips that have no row", axes="failed clip"),
    "failed/reason": Column("text", description="Why a clip has no row", axes="failed clip"),
}
"""What all stores hold."""

_CLASSES = {
    "classes/id": Column(
        "text", description="The class's name in the data set itself, such as A023", axes="class"
    ),
    "classes/name": Column("text", description="The class in words", axes="class"),
}
_LABELS = Column("int64", low=0, description="Class of the clip: the row of classes, counted from 0")
_PLACES = {
    "offset": Column("int64", low=0, unit="row", description="First row of the clip in the flat array"),
    "frames": Column("int32", low=1, unit="frame", description="Frames of the clip, T"),
    "persons": Column(
        "int8",
        low=1,
        unit="person",
        description="People of the clip, M; its T·M rows are frame by frame, the people of a frame together",
    ),
}
_LAYOUT = {
    "layout/joint": Column(
        "text", description="Names of the joints, in the order of the axis joint", axes="joint"
    ),
    "layout/parent": Column(
        "int64",
        low=0,
        description="The joint at the other end of its bone, towards the root, counted from 0; the root's is itself",
        axes="joint",
    ),
}
_NUMBERS = {
    "subject": "Number of the person",
    "camera": "Number of the camera; 1 where there is one alone",
    "setup": "Number of the set-up (place and height of the cameras); 1 where there is one alone",
}
_SPLIT = "train or test where the data set itself assigns the clip, else empty"

SCHEMAS = {
    "mmcl.skeletons/1": Schema(
        {
            "joints": Column(
                "float32",
                (ANY, 3),
                flat=True,
                description="Positions x, y, z of the joints about the layout's centre joint in the clip's first "
                "frame; all zero where a person is absent. 2-D skeletons: parts of the picture's height, y up, z 0",
                unit="m",
                axes="row, joint, coordinate",
            ),
            **_PLACES,
            "labels": _LABELS,
            **{key: Column("int16", description=text) for key, text in _NUMBERS.items()},
            "split": Column("text", description=_SPLIT),
        },
        {
            **_CLASSES,
            **{
                f"failed/{key}": Column("int16", description=text, axes="failed clip")
                for key, text in _NUMBERS.items()
            },
            "failed/action": Column("text", description="Id of the clip's class", axes="failed clip"),
            "failed/split": Column("text", description=_SPLIT, axes="failed clip"),
        },
        extras=_LAYOUT,
        attributes=("layout",),
        check=_check_skeletons,
        description="Skeletons of all clips of a data set, cleaned and centred",
    ),
    "mmcl.poses/1": Schema(
        {
            "keypoints": Column(
                "float32",
                (17, 3),
                flat=True,
                description="x and y (down) of the joints, and the confidence of each from 0 to 1; all zero where a "
                "person is not seen",
                unit="pixel",
                axes="row, joint, number",
            ),
            **_PLACES,
            "size": Column(
                "int32",
                (2,),
                low=1,
                description="Width and height of the video",
                unit="pixel",
                axes="clip, side",
            ),
            # NaN where the video states none
            "rate": Column(
                "float32",
                finite=False,
                description="Frames a second of the poses; NaN where the video states none",
                unit="1/s",
            ),
        },
        extras=_LAYOUT,
        check=_check_poses,
        description="2-D poses of people, as an estimator sees them in the videos",
    ),
    "mmcl.crops/1": Schema(
        {
            "boxes": Column(
                "float32",
                (ANY, 4),
                description="Left, top, right and bottom of the crop in the video's frame",
                unit="pixel",
                axes="clip, crop, edge",
            ),
            "scores": Column(
                "float32",
                (ANY,),
                description="Confidence of the person detector from 0 to 1",
                axes="clip, crop",
            ),
            "frame": Column(
                "int32",
                (ANY,),
                low=0,
                description="Number of the frame in the video, counted from 0",
                axes="clip, crop",
            ),
            "images": Column(
                "bytes", (ANY,), description="The crop as a JPEG file", unit="byte", axes="clip, crop"
            ),
        },
        description="Pictures of the people of each clip, cut out of some frames of its video",
    ),
    "mmcl.montages/1": Schema(
        {
            "images": Column(
                "bytes",
                description="The clip's crops side by side, left to right in time, as a JPEG file",
                unit="byte",
            )
        },
        description="One picture of each clip: its crops side by side",
    ),
    "mmcl.rgb/1": Schema(
        {
            "features": Column(
                "float32",
                (ANY,),
                description="What the CNN makes of the clip's montage",
                axes="clip, feature",
            )
        },
        description="Features of the montages by a CNN that is not trained along (what FAM aligns with)",
    ),
    "mmcl.embeddings/1": Schema(
        {
            "states": Column(
                "float16",
                (ANY, ANY),
                description="What the vision encoder of the vision-language model makes of the clip's montage",
                axes="clip, patch, feature",
            )
        },
        description="Montages as a vision-language model sees them, kept to answer further questions",
    ),
    "mmcl.answers/1": Schema(
        {
            "states": Column(
                "float32",
                (ANY, ANY),
                description="Last hidden state of the language model at the position that produces the token; zero "
                "where there is none",
                axes="clip, token, feature",
            ),
            "mask": Column(
                "bool", (ANY,), description="Whether the answer has such a token", axes="clip, token"
            ),
            "ids": Column(
                "int64",
                (ANY,),
                description="The tokens' numbers in the model's vocabulary",
                axes="clip, token",
            ),
            "text": Column("text", description="The answer in words"),
            # NaN for other questions than those of yes and no
            "p_yes": Column(
                "float32",
                low=0,
                high=1,
                finite=False,
                description="Probability of yes against no; NaN for other questions",
            ),
        },
        description="A vision-language model's answers to one question (attribute question) about each montage",
    ),
    "mmcl.scores/1": Schema(
        {
            "logits": Column(
                "float32", (ANY,), description="Scores of the classes before the softmax", axes="clip, class"
            ),
            "labels": _LABELS,
        },
        _CLASSES,
        extras={
            "confusion": Column(
                "int64",
                (ANY,),
                low=0,
                description="Clips of each true class that were recognised as each class",
                unit="clip",
                axes="true class, recognised class",
            )
        },
        check=_check_scores,
        description="Scores of a trained stream for the clips of the test split, or of a held-out part of the training",
    ),
    "mmcl.training_pictures/2": Schema(
        {
            "montage": Column("bytes", description="Five frames side by side as a JPEG file", unit="byte"),
            "frames": Column(
                "bytes", (ANY,), description="The frame as a JPEG file", unit="byte", axes="clip, frame"
            ),
            "empty": Column("bytes", description="The room without anybody, as a JPEG file", unit="byte"),
            # NaN for who or what is not seen
            "boxes": Column(
                "float32",
                (ANY, ANY, 4),
                finite=False,
                description="Left, top, right and bottom of a person; NaN for an absent one",
                unit="pixel",
                axes="clip, frame, person, edge",
            ),
            "keypoints": Column(
                "float32",
                (ANY, ANY, 17, 2),
                finite=False,
                description="x and y of the joints in COCO's order, hidden ones too; NaN for an absent person",
                unit="pixel",
                axes="clip, frame, person, joint, coordinate",
            ),
            "object_at": Column(
                "float32",
                (ANY, 2),
                finite=False,
                description="Centre of the held object in the montage, x and y in parts of its side; NaN where unseen",
                axes="clip, frame, coordinate",
            ),
            "facts": Column("text", description="What is true of the clip, as JSON"),
        },
        description="Drawn pictures with their truth, on which the demo's small networks are trained",
    ),
}
"""Schema → what its stores hold. A store of another schema is checked for what all stores have in common."""


# ------------------------------------------------------------------------------- what a file says of itself


class Description(NamedTuple):
    """What an array says of itself, see `Column`."""

    description: str
    unit: str
    axes: str


def describe(file: h5py.File, columns: dict[str, Column] | None = None) -> None:
    """Write into a store what it and its arrays hold: attributes description, unit and axes, and HDF5's axis labels.

    They are for readers; nothing depends on them, and stores of earlier versions have none.

    Args:
        file: has its attribute `schema` and all arrays.
        columns: the store's, for a schema that is not in `SCHEMAS`.
    """
    stated = SCHEMAS.get(str(file.attrs["schema"]), Schema(columns or {}))
    if stated.description:
        file.attrs["description"] = stated.description
    for path, column in stated.arrays.items():
        if path in file and column.description:
            array = file[path]
            array.attrs.update(Description(column.description, column.unit, column.axes)._asdict())
            for number, axis in enumerate(column.axes.split(", ")):
                array.dims[number].label = axis


def content_of(file: h5py.File) -> str:
    """What a store says that it is; of one that says nothing, what its schema says."""
    return _said(file.attrs, "description") or SCHEMAS.get(str(file.attrs["schema"]), Schema({})).description


def description_of(file: h5py.File, path: str) -> Description | None:
    """What an array says of itself; of one that says nothing, as in earlier versions, what its schema says."""
    attributes = file[path].attrs
    found = [_said(attributes, key) for key in Description._fields]
    if all(found):
        return Description(*found)
    column = SCHEMAS.get(str(file.attrs["schema"]), Schema({})).arrays.get(path)
    return Description(column.description, column.unit, column.axes) if column else None


def arrays_of(file: h5py.File) -> list[str]:
    """Paths of all arrays of a store that was checked."""
    found: list[str] = []
    file.visititems(lambda path, item: found.append(path) if isinstance(item, h5py.Dataset) else None)
    return found


def type_of(array: h5py.Dataset) -> str:
    """What an array holds: `text`, `bytes`, or a NumPy dtype name."""
    kind = _kind(array.dtype)
    return kind if kind in ("text", "bytes") else str(array.dtype)


def _said(attributes: h5py.AttributeManager, key: str) -> str:
    """An attribute that is one text; empty for anything else."""
    if key not in attributes:
        return ""
    attribute = attributes.get_id(key)
    single = attribute.shape == () and h5py.check_string_dtype(attribute.dtype)
    return str(attributes[key]) if single else ""


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
    extras = {path: column for path, column in stated.extras.items() if path in arrays}
    _check_all(file, arrays, stated.columns, stated.tables | extras)
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
    rows = {"names": COMMON["names"]} | {path: column for path, column in columns.items() if not column.flat}
    _check_arrays(file, arrays, rows)
    for path, column in columns.items():
        if column.flat:
            _check_arrays(file, arrays, {path: column})
    tables = {path: column for path, column in COMMON.items() if path != "names"} | tables
    for group in sorted({path.partition("/")[0] for path in tables}):
        own = {path: column for path, column in tables.items() if path.partition("/")[0] == group}
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
