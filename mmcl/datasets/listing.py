"""The clips that a reader lists, in the form that an index and a store can hold; and reading one of them."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mmcl.datasets.clip import MOST, ClipEntry, Reader
from mmcl.datasets.files import leads_out
from mmcl.datasets.names import MAX_LENGTH, clip_name, name_fault
from mmcl.errors import UserError, one_line, shown

log = logging.getLogger(__name__)


def list_clips(reader: Reader) -> list[ClipEntry]:
    """The clips of a reader sorted by name, each name once.

    A clip that an index or a store cannot hold (its name, its path or a number) is left out with the reason, and costs
    no other one.

    Raises:
        UserError: see `Reader.list_clips`.
    """
    found: dict[str, ClipEntry] = {}
    for listed in reader.list_clips():
        entry = _storable(listed)
        if other := found.get(entry.name):
            places = [one_line(one.skeleton or one.video, 100) for one in (other, entry)]
            entry = replace(other, left_out=f"two clips have this name, {places[0]} and {places[1]}")
        found[entry.name] = entry
    return [found[name] for name in sorted(found)]


def _storable(entry: ClipEntry) -> ClipEntry:
    """An entry with what can be stored, left out where that is not all of it."""
    faults = [entry.left_out] if entry.left_out else []
    name = clip_name(entry.name)
    if fault := name_fault(name):
        faults.append(fault)
        name = one_line(name, MAX_LENGTH) or "(no name)"
    changed: dict[str, Any] = {"name": name}
    for key in ("skeleton", "video"):
        if leads_out(path := getattr(entry, key)):
            faults.append(f"{key} {shown(path)} leads out of the data folder")
            changed[key] = ""
    if isinstance(entry.subject, str) and entry.subject and (fault := name_fault(entry.subject)):
        faults.append(fault.replace("name", "subject"))
        changed["subject"] = ""
    for key in ("subject", "camera", "setup"):
        number = getattr(entry, key)
        if not isinstance(number, str) and not 0 <= number <= MOST:
            faults.append(f"{key} {shown(number)} is no number from 0 to {MOST}")
            changed[key] = 0
    if fault := name_fault(entry.action) if entry.action else "":
        faults.append(fault.replace("name", "class"))
        changed["action"] = ""
    return replace(entry, left_out="; ".join(faults), **changed)


def read_recording(read: Callable[[ClipEntry], np.ndarray], entry: ClipEntry) -> np.ndarray:
    """What a reader's `read_clip`, or another of its methods, makes of a clip.

    Raises:
        UserError: the recording cannot be used, whatever the reason: what a damaged file makes a library raise is that
            clip's matter, as what the reader itself reports is.
    """
    try:
        return read(entry)
    except UserError:
        raise
    except Exception as error:
        log.debug("%s", entry.name, exc_info=True)
        cause = error.strerror if isinstance(error, OSError) else None
        cause = cause or f"{type(error).__name__}: {error}".removesuffix(": ")
        raise UserError(f"{entry.skeleton}: cannot be read ({one_line(cause)})") from None


def reason_of(error: UserError, path: str) -> str:
    """Why a clip cannot be read, in one line.

    Args:
        error: of `read_recording`.
        path: of the recording below the data folder. The reason is without the folder, as the same recordings give
            the same store wherever they lie.
    """
    text = str(error)
    return one_line(text[max(text.find(path), 0) :])
