"""Putting published weights where the configuration looks for them, and checking what lies there."""

import os
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmcl.errors import UserError
from mmcl.fetch.download import download, part_of
from mmcl.fetch.published import NOT_PINNED, Published, PublishedFile, find, table
from mmcl.fetch.verify import verified
from mmcl.files import FULL, DiskFull, locked, written

HUB = "https://huggingface.co"
HUB_MIRROR = "HF_ENDPOINT"
"""The variable with which Hugging Face's libraries name a mirror of their hub."""
WEB = ("http://", "https://")
SAME, THERE, OTHER, MISSING = "as published", f"there; {NOT_PINNED}", "another file", "missing"
"""What a file in a folder of weights can be."""


class Placed(NamedTuple):
    """A file where it belongs.

    Attributes:
        path: of the file.
        sha256: in hex.
        new: it was not there before.
        pinned: its sha256 is known to be that of the published file.
    """

    path: Path
    sha256: str
    new: bool
    pinned: bool


class Checked(NamedTuple):
    """What lies where a published file belongs.

    Attributes:
        name: of the entry.
        path: of the file.
        state: SAME, THERE, OTHER or MISSING.
        detail: what differs, or the sha256 of a file that is not pinned.
    """

    name: str
    path: Path
    state: str
    detail: str = ""


def fetch(name: str, to: Path, origin: str | None = None, mirror: str | None = None) -> list[Placed]:
    """Put published weights into a folder; what is there already and as published stays.

    Args:
        name: of the entry, or of its weights file.
        to: the folder, made if it is missing; of an entry with several files in a folder, what that folder is in.
        origin: a folder, or the address of one, that has the files under their names.
        mirror: scheme and host of a server that has them under the paths of the place that publishes them.

    Raises:
        UserError: a file cannot be had, or is not the published one.
        Busy: another process fetches them.
    """
    name, published = find(name)
    for address in filter(None, (mirror, origin if origin and "://" in origin else None)):
        if not address.startswith(WEB):
            raise UserError(f"{address}: neither http:// nor https://")
    target = published.weights(name, to)
    lock = target.with_name(f".{target.name}.lock")
    try:
        with locked(lock, f"{target}: another process fetches it"):
            try:
                return [
                    _place(name, published, file, path, origin, mirror)
                    for file, path in published.places(name, to)
                ]
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(f"{error.filename or to}: {error.strerror or error}") from None


def _place(
    name: str, published: Published, file: str, target: Path, origin: str | None, mirror: str | None
) -> Placed:
    about = published.files[file]
    pinned = about.sha256 is not None
    if target.exists():
        try:
            return Placed(target, verified(target, about), False, pinned)
        except UserError as error:
            raise UserError(
                f"{target}: not the published file: {error}; move it away to have it fetched"
            ) from None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin is not None and not origin.startswith(WEB):
            found = _copy(name, Path(origin).expanduser(), file, target, about)
        else:
            base = f"{origin.rstrip('/')}/{file}" if origin else published.address(file)
            found = download(mirrored(base, mirror), target, about)
    except DiskFull:
        raise
    except UserError as error:
        raise UserError(f"{error}; {by_hand(published, file, target)}") from None
    return Placed(target, found, True, pinned)


def mirrored(address: str, mirror: str | None) -> str:
    """An address with another scheme and host: those of the mirror, or of the hub's that the environment names."""
    if mirror is None and address.startswith(HUB + "/"):
        mirror = os.environ.get(HUB_MIRROR)
    if not mirror:
        return address
    return mirror.rstrip("/") + urllib.parse.urlsplit(address).path


def by_hand(published: Published, file: str, target: Path) -> str:
    """What to put where if a file cannot be fetched."""
    return (
        f"to do without, put {file} ({published.files[file]}) of {published.page} into {target.parent}, or name a "
        "folder that has it with --from"
    )


def _copy(name: str, folder: Path, file: str, target: Path, about: PublishedFile) -> str:
    """Copy a file out of a folder, or out of the folder of the entry's name in it, and check the copy."""
    source = next((path for path in (folder / file, folder / name / file) if path.is_file()), None)
    if source is None:
        raise UserError(f"{folder}: has no file {file}" if folder.is_dir() else f"{folder}: no such folder")
    with written(target, sync=True) as temporary:
        try:
            shutil.copyfile(source, temporary)
            found = verified(temporary, about)
        except UserError as error:
            raise UserError(f"{source}: not the published file: {error}") from None
    return found


def check(to: Path, name: str | None = None) -> Iterator[Checked]:
    """Look at what lies in a folder of weights.

    Args:
        to: the folder.
        name: of one entry, or of its weights file; all by default.

    Raises:
        UserError: there is no such entry.
    """
    for entry, published in [find(name)] if name else table().items():
        for file, path in published.places(entry, to):
            yield _checked(entry, path, published.files[file])


def _checked(name: str, path: Path, about: PublishedFile) -> Checked:
    if not path.is_file():
        unfinished = part_of(path)
        detail = f"{unfinished.stat().st_size:,} bytes in {unfinished.name}" if unfinished.is_file() else ""
        return Checked(name, path, MISSING, detail)
    try:
        found = verified(path, about)
    except UserError as error:
        return Checked(name, path, OTHER, str(error))
    return Checked(name, path, SAME) if about.sha256 else Checked(name, path, THERE, found)
