"""What a user asks an audit for: a name in config.yaml, a store, or a reader and a folder."""

from pathlib import Path
from typing import Any, NamedTuple

from mmcl.datasets import READERS
from mmcl.audit.source import Source, open_folder, open_store
from mmcl.errors import UserError
from mmcl.naming import PROJECT


class Request(NamedTuple):
    """Attributes:
    source: the clips.
    protocol: asked for, or the only one that the config's benchmarks use with this data set; else None.
    rule: of a protocol of the user's own.
    """

    source: Source
    protocol: str | None
    rule: dict[str, Any] | None


def open_request(
    dataset: str,
    skeletons: Path | None = None,
    videos: Path | None = None,
    reader: str | None = None,
    options: dict[str, Any] | None = None,
    protocol: str | None = None,
    config: Path | None = None,
) -> Request:
    """Find the clips to look at.

    Args:
        dataset: a key of `datasets` in the config, a store (….h5), or a reader's name.
        skeletons, videos: folders, instead of those in the config.
        reader, options: instead of those in the config.
        protocol: whose training and test clips are compared.
        config: config.yaml in the working directory if None, or the project's.

    Raises:
        UserError: no such data set, no folder, or a config that cannot be used.
    """
    from mmcl.config import load

    path = config or next(p for p in (Path("config.yaml"), PROJECT / "config.yaml") if p.is_file())
    if not path.is_file():
        raise UserError(f"{path}: no such config file")
    settings = load(path)
    rule = settings.own_rule(protocol) if protocol else None
    if dataset.endswith((".h5", ".hdf5")):
        return Request(open_store(Path(dataset)), protocol, rule)
    wanted: dict[str, Any] = {"reader": reader or dataset}
    if dataset in settings.values["datasets"]:
        wanted = dict(settings.dataset(dataset))
        used = {b["protocol"] for b in settings.benchmarks.values() if b["dataset"] == dataset}
        if protocol is None and len(used) == 1:
            protocol = used.pop()
            rule = settings.own_rule(protocol)
    elif wanted["reader"] not in READERS:
        keys = ", ".join(settings.values["datasets"])
        raise UserError(
            f"{dataset}: no data set in {path} ({keys}), no store (….h5), no reader ({', '.join(READERS)})"
        )
    given = {"skeletons": skeletons, "videos": videos, "reader": reader, "options": options}
    wanted |= {key: value for key, value in given.items() if value}
    return Request(open_folder(wanted), protocol, rule)
