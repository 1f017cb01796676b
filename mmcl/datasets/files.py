"""Finding recordings below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from mmcl.errors import UserError
from mmcl.naming import PROJECT


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it. Linked folders are followed, each once."""
    return (path for path, _ in walk_entries(folder))


def walk_entries(folder: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """As `walk`, with the directory entry of each file."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        here = os.path.join(folder, inside)
        status = os.stat(here)
        # the same folder again means a link that leads back up
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            for entry in entries:
                path = os.path.join(inside, entry.name)
                if entry.is_dir():
                    waiting.append(path)
                elif entry.is_file():
                    yield path, entry


def leads_out(path: str) -> bool:
    """Whether a path read from a file does not lie below a data folder: absolute, with `..`, or no path at all.

    Links inside the folder are the user's own and are followed.
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
            other = found.get(name)
            if other and other[0] == rank:
                raise UserError(f"{folder}: {name} lies there twice, as {other[1]} and as {path}; keep one")
            if not other or rank < other[0]:
                found[name] = rank, path
            break
    return {name: path for name, (_, path) in sorted(found.items())}


def numbered_names(file: str, prefix: str, digits: int) -> dict[str, str]:
    """Class id → name from a file in `resources` with one name per line: line i names `<prefix><i>`."""
    lines = (PROJECT / "resources" / file).read_text().splitlines()
    return {f"{prefix}{number:0{digits}d}": name for number, name in enumerate(lines, 1)}
