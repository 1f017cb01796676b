"""Joint layouts: joints, bones, left/right pairs, joint groups, and what replaces a missing joint.

The layouts are data in `resources/layouts`, or in a user's file; the rules that hold for all of them are
in `resources/joint_rules.json`. A joint has the same name in every layout that has it, so a map from one layout
to another follows from the names (`mmcl.skeleton.mapping`). Standard library only.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmcl.errors import UserError
from mmcl.layouts.files import Rules, read_layout, read_rules
from mmcl.naming import PROJECT

FOLDER = PROJECT / "resources" / "layouts"
RULES = PROJECT / "resources" / "joint_rules.json"


@dataclass(frozen=True, eq=False)
class Layout:
    """The joints of a skeleton and their tree. Joint numbers count from 0.

    Attributes:
        name: such as `ntu25`, or the path of its file.
        joints: names, in the order of the recordings.
        parents: each joint's parent; the root is its own.
        root: the root of the tree.
        centre: the joint whose first position is subtracted from a clip.
        hd_groups: `hd1`, `hd2`, `hd21` → groups of joints from a centre outwards (HD-GCN). Published for
            ntu25; for every other layout defined here: groups of equal hop distance from the same centre, or from
            the joints around it where a layout has no joint there. Empty for a layout that names no centres.
        rules: joint → what can replace it in skeletons that lack it, best first: {joint: weight}.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    root: int
    centre: int
    hd_groups: dict[str, tuple[tuple[int, ...], ...]]
    rules: Rules

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def bone_pairs(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every joint, in joint order; the root with itself, so that its bone is zero."""
        return tuple(enumerate(self.parents))

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every joint but the root."""
        return tuple(pair for pair in self.bone_pairs if pair[0] != self.root)

    @property
    def left_right(self) -> tuple[tuple[int, int], ...]:
        """(left, right) numbers of the joints that come in pairs."""
        lefts = [joint for joint in self.joints if joint.endswith("_left")]
        return tuple((self.index(left), self.index(left.removesuffix("left") + "right")) for left in lefts)

    def index(self, joint: str) -> int:
        """A joint's number."""
        return self.joints.index(joint)


def names() -> list[str]:
    """The names of the project's layouts."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


@cache
def get_layout(name: str) -> Layout:
    """A layout.

    Args:
        name: one of `names()`, or the path of a file of the same form, which ends in `.json`. A file is read once.

    Raises:
        UserError: there is no such layout, or something is wrong with its file.
    """
    if name.lower().endswith(".json"):
        return _build(name, read_layout(Path(name)))
    if name not in names():
        raise UserError(
            f"no joint layout {name!r}; there are: {', '.join(names())}, or the path of a .json file"
        )
    return _build(name, read_layout(FOLDER / f"{name}.json"))


def _build(name: str, data: dict[str, Any]) -> Layout:
    joints = tuple(data["joints"])
    number = {joint: i for i, joint in enumerate(joints)}
    parents = tuple(number[parent] for parent in data["joints"].values())
    groups = {
        key: tuple(tuple(number[joint] for joint in group) for group in groups)
        for key, groups in data["hd_groups"].items()
    }
    for key, centre in data["hd_centres"].items():
        groups[key] = _hop_groups(parents, tuple(sorted(number[joint] for joint in centre)))
    root = next(joint for joint, parent in enumerate(parents) if joint == parent)
    rules = read_rules(RULES) | data["rules"]
    return Layout(name, joints, parents, root, number[data["centre"]], groups, rules)


def _hop_groups(parents: tuple[int, ...], centre: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joints in groups of equal distance from `centre`, counted in bones."""
    pairs = list(enumerate(parents))
    groups = [centre]
    seen = set(centre)
    while len(seen) < len(parents):
        last = set(groups[-1])
        found = {child for child, parent in pairs if parent in last} | {
            p for child, p in pairs if child in last
        }
        groups.append(tuple(sorted(found - seen)))
        seen |= found
    return tuple(groups)
