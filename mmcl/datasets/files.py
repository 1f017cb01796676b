"""Finding recordings below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from mmcl.errors import UserError
from mmcl.naming import PROJECT


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it. Linked folders are followed, each once."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        place = os.path.join(folder, inside)
        status = os.stat(place)
        # the same folder again means a link that leads back up
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            for entry in entries:
                path = os.path.join(inside, entry.name)
                if entry.is_dir():
                    waiting.append(path)
                elif entry.is_file():
                    yield path


def leads_out(path: str) -> bool:
    """Whether a path out of a file is no place below a data folder: absolute, with `..`, or no path at all.

    Linked folders are what the user put there, and are followed.
    """
    return "\0" in path or path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/")


def find_recordings(folder: Path, endings: tuple[str, ...]) -> dict[str, str]:
    """Recordings below `folder`: file name without its ending → path relative to `folder`.

    Args:
        folder: searched with its sub-folders.
        endings: such as ("_rgb.avi", "_rgb.mp4"); of files that differ in the ending only, the first counts.

    Raises:
        UserError: two files of the same name.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in walk(folder):
        file = os.path.basename(path)
        for rank, ending in enumerate(endings):
            if not file.endswith(ending):
                continue
            name = file.removesuffix(ending)
            known = found.get(name)
            if known and known[0] == rank:
                raise UserError(f"{folder}: {name} lies there twice, as {known[1]} and as {path}; keep one")
            if not known or rank < known[0]:
                found[name] = rank, path
            break
    return {name: path for name, (_, path) in sorted(found.items())}


def numbered_names(file: str, prefix: str, digits: int) -> dict[str, str]:
    """Class id → name from a file in `resources` with one name a line: line i names `<prefix><i>`."""
    lines = (PROJECT / "resources" / file).read_text().splitlines()
    return {f"{prefix}{number:0{digits}d}": name for number, name in enumerate(lines, 1)}
