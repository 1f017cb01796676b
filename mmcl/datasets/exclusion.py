"""Lists of clips that a benchmark leaves out: a text file with one clip name per line, `#` begins a comment."""

import hashlib
from pathlib import Path

from mmcl.datasets.names import read_names
from mmcl.errors import UserError
from mmcl.naming import PROJECT
from mmcl.settings.protocol import Exclusion


def plan_exclusion(file: str) -> Exclusion:
    """The settings of a list: its `file`, and the `sha256` of its sorted names.

    So another list changes the settings, and another comment or order does not.

    Args:
        file: path from the working directory or, if nothing is there, from the project.

    Raises:
        UserError: there is no such file, or it is not text.
    """
    return Exclusion(file=file, sha256=_digest(read_exclusion(file)))


def read_planned(planned: Exclusion) -> set[str]:
    """Names of the list that `plan_exclusion` saw.

    Raises:
        UserError: the file holds other names by now, or cannot be read.
    """
    names = read_exclusion(planned.file)
    if _digest(names) != planned.sha256:
        raise UserError(f"{planned.file}: the list has changed since this run was planned; run again")
    return names


def read_exclusion(file: str) -> set[str]:
    """Names on a list.

    Raises:
        UserError: there is no such file, or it is not text.
    """
    path = next((p for p in (Path(file), PROJECT / file) if p.is_file()), None)
    if path is None:
        raise UserError(f"no file {file} in {Path.cwd()} or {PROJECT}")
    return set(read_names(path))


def _digest(names: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
