"""Readers and stores of skeletons made from recordings, with the options of the configuration."""

from pathlib import Path

from mmcl.datasets import open_reader, reader_settings
from mmcl.datasets.clip import Reader
from mmcl.datasets.prepare import index_clips, prepare_skeletons
from mmcl.settings.base import narrowed
from mmcl.settings.dataset import RecordingsSettings
from mmcl.settings.jobs import Indexing, Preparation


def opened(reader: str, skeletons: Path | str | None, videos: Path | str | None = None, **options) -> Reader:
    """A reader of some folders."""
    return open_reader(reader_settings(reader, options), skeletons, videos)


def recordings(
    reader: str, skeletons: Path | str, videos: Path | str | None = None, **options
) -> RecordingsSettings:
    """The settings of a data set."""
    folders = {"skeletons": str(skeletons), "videos": videos and str(videos)}
    return narrowed(RecordingsSettings, reader_settings(reader, options), **folders)


def indexing(reader: str, **options) -> Indexing:
    """The settings of `index_clips`."""
    return narrowed(Indexing, reader_settings(reader, options))


def preparation(reader: str, **options) -> Preparation:
    """The settings of `prepare_skeletons`."""
    return narrowed(Preparation, reader_settings(reader, options), version=1)


def prepared(output: Path, reader: str, skeletons: Path | str, processes: int = 1, **options) -> Path:
    """A store of the clips in a folder, with its index beside it as index.tsv."""
    index = output.with_name("index.tsv")
    index_clips(indexing(reader, **options), index, skeletons)
    prepare_skeletons(index, output, preparation(reader, **options), skeletons, processes=processes)
    return output
