"""Joint layouts: joints, bones, left/right pairs, joint groups, and how one layout is made from another.

The layouts are data in `resources/layouts`. A joint has the same name in every layout that has it, so a map
from one layout to another follows from the names. Standard library only.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from mmcl.errors import UserError
from mmcl.naming import PROJECT

FOLDER = PROJECT / "resources" / "layouts"


@dataclass(frozen=True, eq=False)
class Layout:
    """The joints of a skeleton and how they hang together. Joint numbers count from 0.

    Attributes:
        name: such as `ntu25`.
        joints: names, in the order of the recordings.
        parents: each joint's parent; the root is its own.
        root: the joint that everything hangs from in the graph.
        centre: the joint whose first position is subtracted from a clip.
        hd_groups: `hd1`, `hd2`, `hd21` → groups of joints from a centre outwards (HD-GCN). Published for
            ntu25; for every other layout ours: groups of equal hop distance from the same centre.
        rules: joint → {joint: weight}, what stands in for a joint that a source layout lacks.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    root: int
    centre: int
    hd_groups: dict[str, tuple[tuple[int, ...], ...]]
    rules: dict[str, dict[str, float]]

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
    """The layouts there are."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


@cache
def layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
        UserError: there is no such layout.
    """
    if name not in names():
        raise UserError(f"no joint layout {name!r}; there are: {', '.join(names())}")
    return _build(name, json.loads((FOLDER / f"{name}.json").read_text()))


def _build(name: str, data: dict[str, Any]) -> Layout:
    joints = tuple(data["joints"])
    number = {joint: i for i, joint in enumerate(joints)}
    parents = tuple(number[parent] for parent in data["joints"].values())
    if "hd_groups" in data:
        groups = {
            key: tuple(tuple(number[j] for j in g) for g in gs) for key, gs in data["hd_groups"].items()
        }
    else:
        groups = {key: _hop_groups(parents, number[centre]) for key, centre in data["hd_centres"].items()}
    root = next(joint for joint, parent in enumerate(parents) if joint == parent)
    return Layout(name, joints, parents, root, number[data["centre"]], groups, data["rules"])


def _hop_groups(parents: tuple[int, ...], centre: int) -> tuple[tuple[int, ...], ...]:
    """Joints in groups of equal distance from `centre`, counted in bones."""
    pairs = list(enumerate(parents))
    groups: list[tuple[int, ...]] = [(centre,)]
    seen = {centre}
    while len(seen) < len(parents):
        last = set(groups[-1])
        found = {child for child, parent in pairs if parent in last} | {
            p for child, p in pairs if child in last
        }
        groups.append(tuple(sorted(found - seen)))
        seen |= found
    return tuple(groups)


def joint_map(source: str, target: str) -> list[dict[int, float]]:
    """How the joints of `target` are made from those of `source`.

    Returns:
        Per target joint {source joint: weight}; the weights of a joint sum to 1.

    Raises:
        UserError: a target joint is missing in the source and no rule says what stands in for it.
    """
    have, want = layout(source), layout(target)
    mapping = []
    for joint in want.joints:
        parts = {joint: 1.0} if joint in have.joints else want.rules.get(joint, {})
        missing = [part for part in parts or [joint] if part not in have.joints]
        if missing:
            raise UserError(
                f"layout {target} cannot be made from {source}: {source} has no joint {missing[0]}"
            )
        mapping.append({have.index(part): weight for part, weight in parts.items()})
    return mapping
