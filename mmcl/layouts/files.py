"""Reading the files of joint layouts and rules; every mistake is named. Standard library only."""

import json
import math
import re
from pathlib import Path
from typing import Any

from mmcl.errors import UserError, one_line, shown

LARGEST = 1_000_000  # bytes; the largest of the project's own has 3000
HEAVIEST = 100  # a weight in a rule
NAME = re.compile(r"[a-z][a-z0-9_]*")
KEYS = {"source", "centre", "joints", "hd_groups", "hd_centres", "rules"}
HD_GRAPHS = ("hd1", "hd2", "hd21")

Rules = dict[str, tuple[dict[str, float], ...]]
"""Joint → what can replace it, best first: {joint: weight}, weights that sum to 1."""


def read_layout(file: Path) -> dict[str, Any]:
    """A layout file's content.

    Returns:
        joints: {joint: parent}; centre; hd_groups: {graph: groups of joints}, hd_centres: {graph: joints},
        at most one of them not empty; rules: see `Rules`.

    Raises:
        UserError: it cannot be read, or a key is missing, unknown or wrong; file and key are named.
    """
    data = _read(file)
    if unknown := data.keys() - KEYS:
        raise UserError(f"{file}: unknown key {shown(min(unknown))}; there are: {', '.join(sorted(KEYS))}")
    joints = _joints(file, data.get("joints"))
    if data.get("centre") not in list(joints):
        raise UserError(f"{file}: centre: {shown(data.get('centre'))} is not one of the joints")
    if "hd_groups" in data and "hd_centres" in data:
        raise UserError(f"{file}: hd_groups and hd_centres: give one of them")
    return {
        "joints": joints,
        "centre": data["centre"],
        "hd_groups": _hd_groups(file, joints, data.get("hd_groups", {})),
        "hd_centres": _hd_centres(file, joints, data.get("hd_centres", {})),
        "rules": _rules(file, data.get("rules", {}), list(joints)),
    }


def read_rules(file: Path) -> Rules:
    """The rules of a file that holds only rules.

    Raises:
        UserError: see `read_layout`.
    """
    return _rules(file, _read(file).get("rules"))


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        data = json.loads(text, object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        cause = error.strerror if isinstance(error, OSError) else one_line(str(error), 200)
        raise UserError(f"{file}: cannot be read as a joint layout: {cause}") from error
    if not isinstance(data, dict):
        raise UserError(f"{file}: a joint layout is an object with the keys {', '.join(sorted(KEYS))}")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys; JSON keeps the last of them, so that a joint would be lost without an error."""
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{shown(next(key for key in keys if keys.count(key) > 1))} occurs twice")
    return data


def _joints(file: Path, joints: Any) -> dict[str, str]:
    if not isinstance(joints, dict) or len(joints) < 2:
        raise UserError(f"{file}: joints: needs two or more joints, as {{joint: parent}}")
    for joint, parent in joints.items():
        if not NAME.fullmatch(joint):
            raise UserError(
                f"{file}: joints: {shown(joint)} is no name; lower-case letters, digits and _ make one"
            )
        if not isinstance(parent, str) or parent not in joints:
            raise UserError(
                f"{file}: joints: the parent of {joint}, {shown(parent)}, is not one of the joints"
            )
        for side, other in (("_left", "_right"), ("_right", "_left")):
            if joint.endswith(side) and joint.removesuffix(side) + other not in joints:
                raise UserError(f"{file}: joints: {joint} has no {joint.removesuffix(side) + other}")
    roots = [joint for joint, parent in joints.items() if joint == parent]
    if len(roots) != 1:
        found = ", ".join(roots) or "none"
        raise UserError(f"{file}: joints: one joint, the root, must be its own parent; found: {found}")
    for joint in joints:
        seen = [joint]
        while (parent := joints[seen[-1]]) not in seen:
            seen.append(parent)
        if seen[-1] != roots[0]:
            raise UserError(
                f"{file}: joints: {joint} is not connected to {roots[0]}: its parents form a cycle"
            )
    return joints


def _hd_groups(file: Path, joints: dict[str, str], stated: Any) -> dict[str, list[list[str]]]:
    _check_graphs(file, "hd_groups", stated)
    graphs: dict[str, list[list[str]]] = stated
    for graph, groups in graphs.items():
        fine = isinstance(groups, list) and all(isinstance(group, list) and group for group in groups)
        members = [joint for group in groups for joint in group] if fine else []
        if not all(isinstance(joint, str) for joint in members) or sorted(members) != sorted(joints):
            raise UserError(f"{file}: hd_groups: {graph} must be groups that hold every joint once")
    return graphs


def _hd_centres(file: Path, joints: dict[str, str], graphs: Any) -> dict[str, list[str]]:
    _check_graphs(file, "hd_centres", graphs)
    centres = {graph: value if isinstance(value, list) else [value] for graph, value in graphs.items()}
    for graph, centre in centres.items():
        if not centre or any(joint not in list(joints) for joint in centre):
            raise UserError(
                f"{file}: hd_centres: {graph}: {shown(graphs[graph])} is not one or several of the joints"
            )
    return centres


def _check_graphs(file: Path, key: str, graphs: Any) -> None:
    if not isinstance(graphs, dict) or graphs.keys() - set(HD_GRAPHS):
        raise UserError(f"{file}: {key}: takes {', '.join(HD_GRAPHS)} and nothing else")


def _rules(file: Path, rules: Any, joints: list[str] | None = None) -> Rules:
    """Rules checked; for no other than `joints`, where given."""
    if not isinstance(rules, dict):
        raise UserError(f"{file}: rules: must be {{joint: {{joint: weight}}}}")
    if joints and (unknown := rules.keys() - set(joints)):
        raise UserError(f"{file}: rules: {shown(min(unknown))} is not one of the joints")
    checked = {joint: tuple(rule if isinstance(rule, list) else [rule]) for joint, rule in rules.items()}
    for joint, choices in checked.items():
        for parts in choices or ({},):
            _check_rule(f"{file}: rules: {joint}", joint, parts)
    return checked


def _check_rule(where: str, joint: str, parts: Any) -> None:
    if not isinstance(parts, dict) or not parts:
        raise UserError(f"{where}: must be {{joint: weight}} or a list of those")
    weights = list(parts.values())
    if any(isinstance(weight, bool) or not isinstance(weight, int | float) for weight in weights):
        raise UserError(f"{where}: weights must be numbers")
    if not all(-HEAVIEST <= weight <= HEAVIEST for weight in weights):  # nan neither
        raise UserError(f"{where}: weights must lie between -{HEAVIEST} and {HEAVIEST}")
    if not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise UserError(f"{where}: weights sum to {sum(weights):g}, not to 1")
    if joint in parts:
        raise UserError(f"{where}: cannot replace itself")
