"""Pictures of joint layouts: `python -m mmcl.report.layout_pictures PNG LAYOUT…`, layouts by name or file."""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.errors import UserError
from mmcl.files import written
from mmcl.layouts import Layout, get_layout
from mmcl.report.plots import pyplot

CENTRE_POSE = {
    "head": (0, 1.74), "nose": (0, 1.72), "neck": (0, 1.54), "spine_shoulder": (0, 1.38),
    "spine_mid": (0, 1.14), "spine_base": (0, 0.92),
}  # fmt: skip
LEFT_POSE = {
    "eye_inner": (0.085, 1.80), "eye": (0.165, 1.85), "eye_outer": (0.245, 1.80), "ear": (0.30, 1.71),
    "mouth": (0.085, 1.60), "shoulder": (0.22, 1.35), "elbow": (0.36, 1.10), "wrist": (0.45, 0.87),
    "hand": (0.49, 0.75), "hand_tip": (0.54, 0.59), "thumb": (0.38, 0.72), "index": (0.48, 0.66),
    "pinky": (0.58, 0.72), "hip": (0.13, 0.86), "knee": (0.15, 0.46), "ankle": (0.16, 0.10),
    "foot": (0.22, -0.04), "big_toe": (0.22, -0.06), "small_toe": (0.32, -0.01), "heel": (0.10, -0.02),
}  # fmt: skip
REST_POSE = {
    **CENTRE_POSE,
    **{f"{joint}_left": place for joint, place in LEFT_POSE.items()},
    **{f"{joint}_right": (-x, y) for joint, (x, y) in LEFT_POSE.items()},
}
"""Joint → (x, y) in metres of an upright person facing the viewer; face, hands and feet enlarged."""

LEFT, RIGHT, MIDDLE = "#c2410c", "#1d4ed8", "#374151"


def rest_pose(skeleton: Layout) -> np.ndarray:
    """A layout's joints in an upright person: (V, 2), x to the picture's right, y up.

    Raises:
        UserError: the layout has joints whose place is not known.
    """
    if missing := [joint for joint in skeleton.joints if joint not in REST_POSE]:
        raise UserError(f"layout {skeleton.name}: no place to draw {', '.join(missing)}")
    return np.array([REST_POSE[joint] for joint in skeleton.joints])


def draw_layouts(names: list[str], output: Path) -> None:
    """Draw layouts, two in a row: numbered joints, their names, bones; left and right coloured, the root ringed.

    Args:
        names: layouts, see `mmcl.layouts.layout`.
        output: PNG file.

    Raises:
        UserError: no such layout, or joints whose place is not known.
    """
    plt = pyplot()
    from PIL import Image

    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.5 * columns, 4.9 * rows), layout="constrained", squeeze=False
    )
    for axes in panels.flat:
        axes.axis("off")
    for axes, name in zip(panels.flat, names, strict=False):
        _draw(axes, get_layout(name))
    picture = BytesIO()
    figure.savefig(picture, dpi=90)
    plt.close(figure)
    output.parent.mkdir(parents=True, exist_ok=True)
    with written(output) as temporary:  # 32 colours: a quarter of the bytes
        Image.open(picture).convert("RGB").quantize(32).save(temporary, "PNG", optimize=True)


def _draw(axes: Any, skeleton: Layout) -> None:
    pose = rest_pose(skeleton)
    for pair in skeleton.edges:
        axes.plot(*pose[list(pair)].T, color="#9ca3af", linewidth=1.5, zorder=1)
    axes.scatter(*pose[skeleton.root], s=250, facecolors="none", edgecolors="black", linewidths=1.5, zorder=2)
    axes.scatter(*pose.T, s=100, c=[_colour(joint) for joint in skeleton.joints], zorder=3)
    for number, (joint, place) in enumerate(zip(skeleton.joints, pose, strict=True)):
        axes.text(*place, str(number), color="white", size=6.5, ha="center", va="center_baseline", zorder=4)
        row = 1.88 - 0.06 * number
        axes.text(0.76, row, str(number), color=_colour(joint), size=8, ha="right", va="center")
        axes.text(0.79, row, joint, color=_colour(joint), size=8, va="center")
    axes.set(xlim=(-0.65, 1.25), ylim=(-0.12, 1.92), aspect="equal", title=Path(skeleton.name).stem)


def _colour(joint: str) -> str:
    if joint.endswith("_left"):
        return LEFT
    return RIGHT if joint.endswith("_right") else MIDDLE


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    try:
        draw_layouts(sys.argv[2:], Path(sys.argv[1]))
    except UserError as error:
        raise SystemExit(str(error)) from None
