"""Finding recordings below a folder."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mmcl.datasets.names import clip_name
from mmcl.errors import UserError, one_line
from mmcl.naming import PROJECT

log = logging.getLogger(__name__)


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it, in an order that follows from their names alone.

    Linked folders are followed, each once; a folder that is there itself and as a link has the path without the link.
    What cannot be read below `folder` (a folder without permission, a link that leads nowhere) is warned of and left
    out.

    Raises:
        UserError: `folder` itself cannot be read.
    """
    return (path for path, _ in walk_entries(folder))


def walk_entries(folder: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """As `walk`, with the directory entry of each file."""
    seen: set[tuple[int, int]] = set()
    waiting, linked = deque([""]), deque[str]()
    while waiting or linked:
        inside = (waiting or linked).popleft()
        here = os.path.join(folder, inside)
        try:
            status = os.stat(here)
            # the same folder again means a link that leads back up
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not inside:
                raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
            _warn(here, error)
            continue
        for entry in entries:
            path = os.path.join(inside, entry.name)
            try:
                if entry.is_dir():
                    (linked if entry.is_symlink() else waiting).append(path)
                elif entry.is_file():
                    yield path, entry
            except OSError as error:  # a link to itself
                _warn(os.path.join(here, entry.name), error)


def _warn(path: str, error: OSError) -> None:
    log.warning("%s: cannot be read (%s); left out", one_line(path), error.strerror)


def leads_out(path: str) -> bool:
    """Whether a path read from a file does not lie below a data folder: absolute, with `..`, or no path at all.

    Links inside the folder are the user's own and are followed.
    """
    return "\0" in path or path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/")


def has_ending(file: str, ending: str) -> bool:
    """Whether a file's name ends so; `ending` is in lower case, the name may have capitals."""
    return file[-len(ending) :].lower() == ending


def find_recordings(folder: Path, endings: tuple[str, ...]) -> dict[str, str]:
    """Recordings below `folder`: file name without its ending, as `clip_name` → path relative to `folder`.

    Args:
        folder: searched with its sub-folders.
        endings: such as ("_rgb.avi", "_rgb.mp4"), in lower case; capitals do not matter. Of files that differ in the
            ending only, the first counts.

    Raises:
        UserError: two files of the same name.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in walk(folder):
        file = os.path.basename(path)
        for rank, ending in enumerate(endings):
            if not has_ending(file, ending):
                continue
            name = clip_name(file[: -len(ending)])
            other = found.get(name)
            if other and other[0] == rank:
                raise UserError(
                    f"{folder}: {one_line(name)} lies there twice, as {one_line(other[1])} and as {one_line(path)};"
                    " keep one"
                )
            if not other or rank < other[0]:
                found[name] = rank, path
            break
    return {name: path for name, (_, path) in sorted(found.items())}


def numbered_names(file: str, prefix: str, digits: int) -> dict[str, str]:
    """Class id → name from a file in `resources` with one name per line: line i names `<prefix><i>`."""
    lines = (PROJECT / "resources" / file).read_text(encoding="utf-8").splitlines()
    return {f"{prefix}{number:0{digits}d}": name for number, name in enumerate(lines, 1)}
