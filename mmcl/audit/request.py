"""Which clips a user wants audited: a data set of config.yaml, a store, or a reader and a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmcl.audit.source import Source, open_folder, open_store
from mmcl.datasets import reader_settings
from mmcl.errors import UserError, meant
from mmcl.settings.base import narrowed, replaced
from mmcl.settings.dataset import RecordingsSettings
from mmcl.settings.protocol import Rule
from mmcl.settings.tables import READERS


class Request(NamedTuple):
    """What to audit.

    Attributes:
        source: the clips.
        protocol: the one given, or the only one that the config's benchmarks use with this data set; else None.
        rule: of a protocol under `protocols` in the config.
    """

    source: Source
    protocol: str | None
    rule: Rule | None


def open_request(
    dataset: str,
    skeletons: Path | None = None,
    videos: Path | None = None,
    reader: str | None = None,
    options: dict[str, Any] | None = None,
    protocol: str | None = None,
    config: Sequence[Path] = (),
) -> Request:
    """Find the clips to audit.

    Args:
        dataset: a key of `datasets` in the config, a store (….h5), or a reader's name.
        skeletons, videos: folders, instead of those in the config.
        reader, options: instead of those in the config; options are key → value.
        protocol: whose training and test clips are compared.
        config: files on top of config.yaml, see `mmcl.config.config_files`.

    Raises:
        UserError: no such data set, no folder, a wrong option, or a config that cannot be used.
    """
    from mmcl.config import config_files, load

    files = config_files(config)
    settings = load(*files)
    rule = settings.own_rule(protocol) if protocol else None
    if dataset.lower().endswith((".h5", ".hdf5")):
        return Request(open_store(Path(dataset)), protocol, rule)
    known = settings.datasets.get(dataset)
    name = reader or (known.reader if known else dataset)
    if known:
        used = {b.protocol for b in settings.benchmarks.values() if b.dataset == dataset}
        if protocol is None and len(used) == 1:
            protocol = used.pop()
            rule = settings.own_rule(protocol)
    elif name not in READERS:
        keys, where = ", ".join(settings.datasets), ", ".join(map(str, files))
        raise UserError(
            f"{dataset}: no data set in {where} ({keys}), no store (….h5), no reader ({', '.join(READERS)})"
            f"{meant(dataset, [*settings.datasets, *READERS])}"
        )
    if known and not options and name == known.reader:
        reading = narrowed(RecordingsSettings, known)
    else:
        reading = narrowed(RecordingsSettings, reader_settings(name, options or {}))
        if known:
            reading = replaced(reading, skeletons=known.skeletons, videos=known.videos)
    given = {"skeletons": skeletons, "videos": videos}
    folders = {kind: str(folder) for kind, folder in given.items() if folder}
    return Request(open_folder(replaced(reading, **folders)), protocol, rule)
