"""What the joints of sample clips tell: layout, dimensions, unit, upright axis, people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.datasets import ntu_file, own_files
from mmcl.errors import UserError
from mmcl.guess.finding import Finding
from mmcl.guess.survey import first_rows
from mmcl.layouts import Layout, get_layout, names
from mmcl.skeleton.gaps import seem_scores

SAMPLES = 16
"""Clips that are looked into, evenly over all."""
POSES = 2000
"""Poses that are compared."""
FITS = 1.6
"""Bones of a layout are at most so many times as long as the shortest tree over the joints. Measured: 1.1 to 1.3 on
recordings of a layout's own (UTD-MHAD, NW-UCLA, drawn clips) and up to 1.51 where joints of a face were made from one
point; 2.2 to 2.6 for ntu25 as openpose25 and the reverse, and for a Kinect's joints in Human3.6M's order as coco17."""
SURE = 1.35
"""As FITS, where there is no doubt."""
BODY = (0.6, 3.0)
"""Metres between the two joints of a person that are farthest apart, in most frames."""
UNITS = (("metres", 1.0), ("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254))
TALL = 1.6
"""Metres that a body of an unknown unit is scaled to: the median of recordings in metres."""
HEIGHTS = (120, 240, 270, 288, 360, 480, 540, 576, 600, 720, 768, 800, 1080, 1200, 1440, 1536, 2160, 4320)
"""Of pictures, in pixels."""


@dataclass(frozen=True)
class Shapes:
    """What is taken for the joints' meaning.

    Attributes:
        layout: name of a layout; "" where none fits.
        tree: joint → parent over the shortest bones, where no layout fits.
        options: of the reader `own`.
        flat: two dimensions.
        findings: why.
    """

    layout: str
    tree: dict[str, str]
    options: dict[str, Any]
    flat: bool
    findings: list[Finding]


@dataclass(frozen=True)
class Samples:
    """Some clips.

    Attributes:
        clips: (T, M, V, C) as their files hold them, NaN where there is nothing.
        names: of the joints, where files have them.
        unreadable: messages of files that cannot be read.
    """

    clips: list[np.ndarray]
    names: tuple[str, ...]
    unreadable: list[str]


def read_samples(folder: Path, files: Sequence[str]) -> Samples:
    """Read some clips, evenly over all.

    Raises:
        UserError: none can be read; gives the first one's reason.
    """
    step = max(1, len(files) // SAMPLES)
    clips: list[np.ndarray] = []
    unreadable: list[str] = []
    known: tuple[str, ...] = ()
    for path in list(files)[::step][:SAMPLES]:
        try:
            joints = joint_names(folder / path)
            clip = own_files.read_joints(folder / path, joints)
        except UserError as error:
            unreadable.append(str(error))
            continue
        if not clips or clip.shape[2:] == clips[0].shape[2:]:
            clips.append(clip)
            known = known or (joints if not joints[0].startswith("joint_") else ())
    if not clips:
        raise UserError(unreadable[0])
    return Samples(clips, known, unreadable)


def joint_names(path: Path) -> tuple[str, ...]:
    """A file's joints: by name in a CSV file, else `joint_0` … as many as there are.

    Raises:
        UserError: the file cannot be read, or its joints cannot be counted.
    """
    ending = path.suffix.lower()
    if ending == ".csv":
        head = [name.lower() for name in (first_rows(path, 1) or [[]])[0]]
        return tuple(name[:-2] for name in head if name.endswith("_x"))
    count = {".npz": _in_archive, ".npy": _in_array, ".json": _in_json, ".mat": _in_mat}.get(ending)
    number = count(path) if count else ntu_file.JOINTS
    return tuple(f"joint_{i}" for i in range(number))


def _in_archive(path: Path) -> int:
    return own_files.npz_shape(path)[-2]


def _in_array(path: Path) -> int:
    return own_files.npy_shape(path)[-2]


def _in_json(path: Path) -> int:
    try:
        data = json.loads(path.read_bytes())
        if isinstance(data, dict) and isinstance(data.get("data"), list):
            return max(len(one["score"]) for frame in data["data"] for one in frame["skeleton"])
        if isinstance(data, list) and data and isinstance(data[0], dict):
            return len(data[0]["keypoints"]) // 3
        frames = data["joints"] if isinstance(data, dict) else data
        return int(np.shape(next(frame for frame in frames if frame))[-2])
    except (OSError, ValueError, TypeError, KeyError, IndexError, StopIteration) as error:
        raise UserError(f"{path}: holds no frames of joints ({type(error).__name__})") from None


def _in_mat(path: Path) -> int:
    for count in sorted({len(get_layout(name)) for name in names()}):
        try:
            own_files.read_joints(path, [""] * count)
        except UserError as error:
            wrong = error
        else:
            return count
    raise wrong


def guess_shapes(samples: Samples, picture: int | None) -> Shapes:
    """What the joints of samples mean.

    Args:
        samples: the clips.
        picture: height of the videos in pixels, where there are any.
    """
    clips = samples.clips
    count = clips[0].shape[2]
    findings: list[Finding] = []
    options: dict[str, Any] = {}
    flat, third, why, check = _dimensions(clips)
    findings.append(Finding("dimensions", "2-D" if flat else "3-D", why, check))
    if third:
        options["third"] = third
    poses = _poses(clips, flat, third == "score")
    layout, tree, found = _layout(poses, samples.names, count)
    findings.append(found)
    findings.append(_flat_unit(poses, picture, options) if flat else _unit(poses, options))
    findings.append(_up(poses, get_layout(layout) if layout else None, flat, options))
    findings.append(_people(clips, options))
    findings += _gaps(clips, third == "score", options)
    return Shapes(layout, tree, options, flat, findings)


def _present(clip: np.ndarray) -> np.ndarray:
    """(T, M), who is there."""
    there: np.ndarray = (np.nan_to_num(clip[..., :2]) != 0).any((2, 3))
    return there


def _dimensions(clips: Sequence[np.ndarray]) -> tuple[bool, str, str, str]:
    """Whether joints lie in a picture, the option `third`, why, and what to check."""
    if clips[0].shape[-1] == 2:
        return True, "", "two numbers a joint", ""
    there = [clip[_present(clip)] for clip in clips]
    third = np.concatenate([clip[..., 2].ravel() for clip in there])
    plane = np.concatenate([clip[..., :2].ravel() for clip in there])
    low, high = np.nanmin(third), np.nanmax(third)
    if low == high:
        return True, "score" if 0 < low <= 1 else "", f"the third number of every joint is {low:g}", ""
    if not seem_scores(third):
        return False, "", f"three numbers a joint; the third goes from {low:.4g} to {high:.4g}", ""
    if np.nanmax(np.abs(plane)) > 4:
        return True, "score", "pixels, and a third number within 0 … 1, as confidences are", ""
    doubt = "third numbers within 0 … 1 may be confidences or depths; the option `third` says which"
    if np.nanmedian(third) > 0.5 and np.nanmin(plane) >= 0:
        return True, "score", "all numbers are within 0 … 1, and the third ones mostly near 1", doubt
    return False, "depth", "all numbers are small, and the third ones not mostly near 1", doubt


def _poses(clips: Sequence[np.ndarray], flat: bool, scored: bool) -> np.ndarray:
    """(F, V, 2 or 3) of people who are there; NaN for joints that were not seen."""
    poses = np.concatenate([clip[_present(clip)] for clip in clips])
    unseen = (np.nan_to_num(poses[..., :2]) == 0).all(-1) | (scored & (poses[..., -1] == 0))
    poses = poses[..., : 2 if flat else 3].copy()
    poses[unseen] = np.nan
    poses = poses[np.isfinite(poses).all(-1).sum(1) > poses.shape[1] // 2]
    if not len(poses):
        raise UserError("no frame of the sample clips has most of a person's joints")
    chosen: np.ndarray = poses[:: max(1, len(poses) // POSES)]
    return chosen


def lengths(poses: np.ndarray) -> np.ndarray:
    """(V, V) mean distance of every two joints of poses (F, V, C), NaN where they are never seen together."""
    far: np.ndarray = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
    seen = np.isfinite(far)
    mean: np.ndarray = np.where(seen, far, 0).sum(0) / np.where(seen.any(0), seen.sum(0), np.nan)
    return mean


def shortest_tree(far: np.ndarray) -> list[tuple[int, int]]:
    """(child, parent) of the tree with the least sum of distances over V joints (Prim), from the most central joint."""
    far = np.where(np.isfinite(far), far, np.nanmax(far))
    inside = [int(far.sum(0).argmin())]
    edges = []
    while len(inside) < len(far):
        outside = [joint for joint in range(len(far)) if joint not in inside]
        child, parent = min(((c, p) for c in outside for p in inside), key=lambda pair: (far[pair], pair))
        edges.append((child, parent))
        inside.append(child)
    return edges


def _layout(poses: np.ndarray, stated: tuple[str, ...], count: int) -> tuple[str, dict[str, str], Finding]:
    far = lengths(poses)
    tree = shortest_tree(far)
    least = sum(far[edge] for edge in tree)
    fit = {}
    for name in names():
        one = get_layout(name)
        if len(one) != count or (stated and set(stated) != set(one.joints)):
            continue
        fit[name] = float(np.nansum([far[edge] for edge in one.edges]) / least)
    if stated and fit:
        name = max(fit, key=lambda name: get_layout(name).joints == stated)
        return name, {}, Finding("layout", name, "the columns are named like its joints")
    order = sorted(fit, key=lambda name: (round(fit[name], 6), name != "ucla20", name))
    if order and fit[order[0]] <= FITS:
        best = order[0]
        others = [name for name in order[1:] if fit[name] > fit[best] + 0.01]
        than = f"; of {others[0]} {fit[others[0]]:.2f} times" if others else ""
        why = f"{count} joints, and its bones are {fit[best]:.2f} times as long as the shortest tree{than}"
        check = "" if fit[best] <= SURE else "does a clip look like a person (mmcl show)?"
        return best, {}, Finding("layout", best, why, check)
    root = tree[0][1]
    joints = stated or tuple(f"joint_{i}" for i in range(count))
    parents = dict(tree) | {root: root}
    made = {joints[i]: joints[parents[i]] for i in range(count)}
    why = f"no layout of mmcl has {count} joints"
    if fit:
        why = f"bones of {order[0]} would be {fit[order[0]]:.2f} times as long as the shortest tree"
    why += "; that tree is taken"
    check = "joints are not known by name, so nothing maps to other layouts: name them in the layout's file"
    return "", made, Finding("layout", "its own", why, check)


def _unit(poses: np.ndarray, options: dict[str, Any]) -> Finding:
    far = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
    size = float(np.nanmedian(np.nanmax(far, axis=(1, 2))))
    for unit, metres in UNITS:
        if BODY[0] <= size * metres <= BODY[1]:
            if metres != 1:
                options["scale"] = metres
            return Finding("unit", unit, f"a body measures {size:.4g}, the farthest joints of one person")
    options["scale"] = float(f"{TALL / size:.3g}")
    why = f"a body measures {size:.4g}, which is no known unit"
    return Finding("unit", "normalised", why, f"it is scaled to {TALL} m; is there a file in metres?")


def _flat_unit(poses: np.ndarray, picture: int | None, options: dict[str, Any]) -> Finding:
    low, high = float(np.nanmin(poses)), float(np.nanmax(poses))
    tallest = float(np.nanmax(poses[..., 1]))
    seen = f"numbers from {low:.4g} to {high:.4g}"
    if max(abs(low), abs(high)) > 4:
        if picture:
            options["picture_height"] = float(picture)
            return Finding("unit", "pixels", f"{seen}; the videos are {picture} pixels high")
        usual = next((one for one in HEIGHTS if one >= tallest), int(tallest) + 1)
        options["picture_height"] = float(usual)
        check = f"the picture is taken to be {usual} pixels high, the next usual height: picture_height"
        return Finding("unit", "pixels", f"{seen}, y up to {tallest:.0f}", check)
    height = 1.0 if low >= 0 or max(-low, high) <= 0.75 else 2.0
    options["picture_height"] = height
    return Finding("unit", "normalised", f"{seen}, so the picture is {height:g} high")


def _up(poses: np.ndarray, layout: Layout | None, flat: bool, options: dict[str, Any]) -> Finding:
    usual = "-y" if flat else "y"
    if layout is None:
        why = "joints have no names, so what is head and what is foot is not known"
        return Finding("up axis", usual, why, "which axis points up: the option up")
    heads = [i for i, joint in enumerate(layout.joints) if joint in ("head", "nose")]
    feet = [i for i, joint in enumerate(layout.joints) if joint.startswith("ankle")]
    whole = poses[np.isfinite(poses[:, [*heads, *feet]]).all((1, 2))]
    if not len(whole):
        return Finding(
            "up axis", usual, "no frame has head and ankles", "which axis points up: the option up"
        )
    upright = np.median(whole[:, heads].mean(1) - whole[:, feet].mean(1), axis=0)
    axis = int(np.abs(upright).argmax())
    share = float(abs(upright[axis]) / np.linalg.norm(upright))
    up = ("" if upright[axis] > 0 else "-") + "xyz"[axis]
    why = f"the head lies that way from the ankles ({share:.0%} of the distance)"
    if flat and axis != 1:
        return Finding("up axis", usual, why, "people seem to lie in the picture; y is taken as its vertical")
    if up != usual:
        options["up"] = up
    return Finding("up axis", up, why, "" if share > 0.8 else "people do not stand along one axis")


def _people(clips: Sequence[np.ndarray], options: dict[str, Any]) -> Finding:
    together = np.concatenate([_present(clip).sum(1) for clip in clips])
    most = 2 if (together >= 2).mean() > 0.05 else 1
    options["persons"] = most
    if most == 2:
        return Finding(
            "people", "2", f"two in {(together >= 2).mean():.0%} of the frames of {len(clips)} clips"
        )
    return Finding(
        "people", "1", f"one in the frames of {len(clips)} clips", "do two people ever act together?"
    )


def _gaps(clips: Sequence[np.ndarray], scored: bool, options: dict[str, Any]) -> list[Finding]:
    missing = total = 0
    for clip in clips:
        own = clip[_present(clip)]
        gone = ~np.isfinite(own).all(-1) | (own[..., :2] == 0).all(-1)
        if scored:
            gone |= own[..., 2] == 0
        missing, total = missing + int(gone.sum()), total + gone.size
    if not missing:
        return []
    options["missing_joints"] = "interpolate"
    why = f"{missing / total:.1%} of the joints are zero, not finite or of score 0"
    return [Finding("missing joints", "interpolated", why, "a joint that is never seen leaves its clip out")]
