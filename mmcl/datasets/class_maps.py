"""Class maps: which class of one data set means the same as which class of another."""

import json
from typing import NamedTuple

from mmcl.errors import UserError
from mmcl.naming import PROJECT

FOLDER = PROJECT / "resources" / "class_maps"


class Counterpart(NamedTuple):
    """One class of the target data set and its counterpart in the source.

    Attributes:
        target: class id in the data set the map is for.
        source: class id in the data set that models are trained on.
        subset: `paper` for the classes that the paper evaluates, `mapped` for further ones.
        reason: why they mean the same.
    """

    target: str
    source: str
    subset: str
    reason: str


def read_class_map(name: str) -> list[Counterpart]:
    """The entries of a class map.

    Raises:
        UserError: there is no such map.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise UserError(f"no class map {name!r} in resources/class_maps; there are: {there}")
    classes = json.loads(path.read_text())["classes"]
    return [
        Counterpart(target, entry["to"], entry["subset"], entry["reason"])
        for target, entry in classes.items()
    ]
