"""Stores in Python: `open_store`, and a `Store` as NumPy arrays and pandas tables."""

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from mmcl import schemas
from mmcl.datasets.clip import slice_clip
from mmcl.errors import UserError, known
from mmcl.evaluation.finished import stores_of
from mmcl.layouts import get_layout
from mmcl.store import Shards, opened

if TYPE_CHECKING:
    import pandas as pd

CLIPS = {"mmcl.skeletons/1": "joints", "mmcl.poses/1": "keypoints"}
"""Schema → the flat array that its clips lie in."""
TABLES = ("classes/id", "classes/name", "layout/joint")


class Array(NamedTuple):
    """An array of a store.

    Attributes:
        shape: of all rows, in the first file.
        dtype: a NumPy dtype name, `text` or `bytes`.
        description, unit, axes: see docs/stores.md.
    """

    shape: tuple[int, ...]
    dtype: str
    description: str
    unit: str
    axes: str


class Store:
    """A store, or the shards of one as a single table; see docs/stores.md.

    Attributes:
        paths: of the files.
        schema: such as mmcl.answers/1.
        description: what such a store is.
        names: the N clips that have a row.
        failed: clip → why it has none.
        settings: what it was made with.
        attributes: further root attributes of the first file, such as layout or question.
        arrays: path → what the array holds.
        classes, class_names: ids and words of the C classes; empty in a store without classes.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        with opened(paths[0]) as file:
            self.schema = str(file.attrs["schema"])
            self.description = schemas.content_of(file)
            kept = {
                key: value
                for key, value in file.attrs.items()
                if key not in ("settings", "description", "schema")
            }
            self.attributes: dict[str, Any] = kept
            self.arrays = {path: _array(file, path) for path in schemas.arrays_of(file)}
            tables: list[list[str]] = [file[key].asstr()[:].tolist() if key in file else [] for key in TABLES]
        self.classes, self.class_names, self._joints = tables
        self._shards = shards = Shards(paths, self.schema)
        self.names, self.failed, self.settings = shards.names, shards.failed, shards.settings

    def __repr__(self) -> str:
        return f"<mmcl.Store {self.schema}: {len(self)} clips, arrays {', '.join(self.arrays)}>"

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._shards

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the V joints of skeletons or poses, in their order; empty in other stores."""
        if self.schema not in CLIPS:
            return ()
        return tuple(self._joints) or get_layout(str(self.attributes.get("layout", "coco17"))).joints

    def read(self, array: str, names: Sequence[str] | None = None) -> np.ndarray:
        """Rows of an array, (N, …) in the order of `names`; unless stated of all clips.

        Raises:
            UserError: there is no such array, its rows are not those of clips, or no such clip.
        """
        self._require(array, names or ())
        return self._shards.read(array, names)

    def clip(self, name: str) -> np.ndarray:
        """The joints of a clip, (T, M, V, 3): T frames, M people, V joints.

        In a store of skeletons x, y, z in metres (2-D: parts of the picture's height, y up, z 0), all zero where a
        person is absent; in a store of poses x, y in pixels and confidence.

        Raises:
            UserError: the store has no skeletons, or no such clip.
        """
        if self.schema not in CLIPS:
            raise UserError(f"{self.paths[0]}: holds {self.schema}, no skeletons")
        self._require("frames", [name])
        frames, persons = (int(self._shards.row(key, name)) for key in ("frames", "persons"))
        rows = self._shards.part(
            CLIPS[self.schema], int(self._shards.row("offset", name)), frames * persons, name
        )
        return slice_clip(rows, 0, frames, persons)

    def picture(self, name: str) -> np.ndarray | list[np.ndarray]:
        """The montage of a clip, (H, W, 3) uint8, RGB; in a store of crops a list of them.

        Raises:
            UserError: the store has no pictures, no such clip, or the picture is damaged.
        """
        from mmcl.video import jpeg

        if "images" not in self.arrays:
            raise UserError(f"{self.paths[0]}: holds {self.schema}, no pictures")
        self._require("images", [name])
        stored = self._shards.row("images", name)
        return [jpeg.decode(one) for one in stored] if stored.dtype == object else jpeg.decode(stored)

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each clip with all arrays of one value a clip; the index is the clip's name.

        Labels come with class_id and class_name. Arrays of several numbers a clip are left out, see `read`.
        """
        import pandas as pd

        table = pd.DataFrame(index=pd.Index(self.names, name="name"))
        for key in self._single:
            table[key] = self._shards.read(key)
            if key == "labels":
                table["class_id"] = np.array(self.classes, object)[table[key]]
                table["class_name"] = np.array(self.class_names, object)[table[key]]
        return table

    @cached_property
    def _single(self) -> list[str]:
        """Arrays with one value a clip; where a clip lies in a flat array is of no use outside."""
        flat = {"names", "offset"}
        return [
            key
            for key, one in self.arrays.items()
            if key in self._of_clips and key not in flat and len(one.shape) == 1 and one.dtype != "bytes"
        ]

    @cached_property
    def _of_clips(self) -> set[str]:
        """Arrays with a row for each clip."""
        own = schemas.SCHEMAS.get(self.schema)
        if own:
            return {"names", *(key for key, column in own.columns.items() if not column.flat)}
        return {key for key in self.arrays if "/" not in key}

    def _require(self, array: str, names: Sequence[str]) -> None:
        path = self.paths[0]
        if array not in self.arrays:
            raise UserError(f"{path}: has no array {array!r}{known(array, self.arrays)}")
        if array not in self._of_clips:
            raise UserError(
                f"{path}: the rows of {array!r} are not those of clips ({self.arrays[array].axes})"
            )
        for name in names:
            if name not in self:
                reason = f", which failed: {self.failed[name]}" if name in self.failed else ""
                raise UserError(f"{path}: has no clip {name!r}{reason}")


def open_store(path: str | PathLike[str]) -> Store:
    """Open a store for reading.

    Args:
        path: a store (….h5), or a folder of shards, which become one table.

    Raises:
        UserError: no such file, or something is wrong with it; names the file.
        Damaged: it does not hold what was written.
    """
    return Store(stores_of(Path(path).expanduser()))


def _array(file: h5py.File, path: str) -> Array:
    array, said = file[path], schemas.description_of(file, path)
    return Array(array.shape, schemas.type_of(array), *(said or ("", "", "")))
