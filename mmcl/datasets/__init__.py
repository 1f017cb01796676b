"""Data sets: one reader per data set, all giving the same clips. Light to import."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmcl.datasets.clip import ClipEntry, ListedOptions, Reader
from mmcl.errors import UserError
from mmcl.settings.dataset import ReaderSettings, RecordingsSettings
from mmcl.settings.explain import validated
from mmcl.settings.tables import LISTED, READERS, resolve

__all__ = [
    "ClipEntry",
    "EstimatedPoses",
    "Reader",
    "clips_table",
    "open_reader",
    "reader_class",
    "reader_settings",
    "reads_file",
    "require_folder",
]


class EstimatedPoses(NamedTuple):
    """Skeletons that a pose estimator makes.

    Attributes:
        stores: of schema `mmcl.poses/1`.
        joint_confidence: below which a joint is interpolated in time.
    """

    stores: Sequence[str | Path]
    joint_confidence: float


def reader_class(name: str) -> type[Reader]:
    """The class of a reader.

    Raises:
        UserError: there is no such reader.
    """
    found: type[Reader] = resolve(READERS, name, "reader")
    return found


def reader_settings(reader: str, options: dict[str, Any]) -> ReaderSettings:
    """Settings from a reader's name and its options as a user states them.

    Args:
        reader: a name in `mmcl.settings.tables.READERS`.
        options: key → value.

    Raises:
        UserError: an unknown reader; or an unknown or wrong option, whose key is named as `options.<key>`.
    """
    reader_class(reader)
    return validated(ReaderSettings, {"reader": reader, "options": options})


def reads_file(reader: type[Reader]) -> bool:
    """Whether the skeletons that a reader takes are one file rather than a folder."""
    return getattr(reader, "reads_file", False)


def require_folder(dataset: RecordingsSettings, kind: Literal["skeletons", "videos"]) -> Path:
    """A data set's folder (or file, see `reads_file`), which must be given and exist.

    Raises:
        UserError: names the folder that was looked for and what belongs into it.
    """
    return _folder(reader_class(dataset.reader), getattr(dataset, kind), kind)


def _folder(reader: type[Reader], folder: str | Path | None, kind: str) -> Path:
    if not folder:
        raise UserError(f"{kind}: no folder is given. {reader.what_belongs}")
    path = Path(folder)
    if kind == "skeletons" and reads_file(reader):
        if not path.is_file():
            raise UserError(f"{kind}: no file {folder}. {reader.what_belongs}")
    elif not path.is_dir():
        raise UserError(f"{kind}: no folder {folder}. {reader.what_belongs}")
    return path


def clips_table(dataset: RecordingsSettings) -> Path | None:
    """The table that lists a data set's clips, where its reader takes one and its folder is given."""
    folder = dataset.skeletons or dataset.videos
    if not isinstance(dataset.options, ListedOptions) or not folder:
        return None
    return dataset.options.table(Path(folder))


def open_reader(
    settings: ReaderSettings,
    skeletons: str | Path | None,
    videos: str | Path | None = None,
    poses: EstimatedPoses | None = None,
) -> Reader:
    """The reader of a data set.

    Args:
        settings: the reader's name and options.
        skeletons: folder of the recordings, or the file (see `reads_file`); None for a reader of LISTED whose
            videos are given.
        videos: folder of the videos, if there is one.
        poses: where a pose estimator makes the skeletons.

    Raises:
        UserError: an unknown reader, or a folder that does not exist; names what belongs into it.
    """
    reader = reader_class(settings.reader)
    if skeletons or not (settings.reader in LISTED and videos):
        skeletons = _folder(reader, skeletons, "skeletons")
    opened = reader(
        Path(skeletons) if skeletons else None,
        _folder(reader, videos, "videos") if videos else None,
        settings.options,
    )
    if poses is None:
        return opened
    from mmcl.datasets.posed import PosedReader

    return PosedReader(opened, poses)
