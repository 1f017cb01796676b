"""Input streams of a network: joints, bones, and their motion."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.settings.tables import STREAMS, resolve
from mmcl.skeleton.constants import whole_numbers
from mmcl.skeleton.rotation import angular_velocity, rotation_axis, torso_normal

CONVENTIONS = ("ctr", "ikem", "ikem3")


class Stream(NamedTuple):
    """A stream in two steps.

    Attributes:
        first: what is linear in the joints of one frame: (…, V, M) and layout -> (…, V, M).
        then: the rest: (N, 3, T, V, M), layout and rate -> (N, 3, T, V, M). The rate is (N, 1, 1, 1, 1), what a
            difference of neighbouring frames is multiplied with, or None for one.
    """

    first: Callable[[Tensor, str], Tensor]
    then: Callable[[Tensor, str, Tensor | None], Tensor]


def to_stream(
    x: Tensor, stream: str, layout: str, convention: str = "ctr", length: Tensor | None = None
) -> Tensor:
    """Turn joint positions into a stream.

    | stream | `ctr`, of joints x with bones b | `ikem` |
    |---|---|---|
    | joint | x | x |
    | bone | joint minus parent; the root has none | tips' and thumbs' parent is the hand; the root's is the normal |
    | joint_motion, bone_motion | x_{t+1} − x_t; 0 in the last frame | s times that |
    | acceleration | difference of the motion; 0 in the last two frames | s² times that |
    | rotation_axis | b × b' with b' the parent's bone, the root's the normal | likewise; thumbs against tips |
    | angular_velocity | change of the angle of b and b', along their axis; 0 in the last frame | s times that |

    The normal is that of the chest (`rotation.torso_normal`), of length one. s = T / length turns a difference
    of resampled frames into one of recorded frames. Absent persons stay zero.

    Args:
        x: joint positions (N, 3, T, V, M).
        stream: a name in `mmcl.settings.tables.STREAMS`.
        layout: joint layout.
        convention: `ctr`, the definitions of CTR-GCN and MMCL, with the last three streams in the same spirit;
            `ikem`, those of the second paper; `ikem3`, those of its three-modality model and of CrosSCLR, whose bones
            are `ctr`'s and whose motion has the rate s.
        length: (N) frames of the recordings that were resampled to T; `ctr` has no use for it, and without it
            s = 1.

    Returns:
        The same shape as x.

    Raises:
        UserError: no such convention, stream or layout; or x has not the layout's joints.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"no stream convention {convention!r}; there are: {', '.join(CONVENTIONS)}")
    rate = None
    if convention != "ctr" and length is not None:
        rate = (x.shape[2] / length.to(x)).view(-1, 1, 1, 1, 1)
    first, then = _two_steps(stream, convention)
    return then(first(x, layout), layout, rate)


def to_streams(
    x: Tensor, streams: Iterable[str], layout: str, convention: str = "ctr", length: Tensor | None = None
) -> dict[str, Tensor]:
    """Several streams of the same clips, by name; see `to_stream`."""
    return {stream: to_stream(x, stream, layout, convention, length) for stream in streams}


def within_frames(x: Tensor, stream: str, layout: str) -> Tensor:
    """The first half of a stream of convention `ctr`: joints (…, V, M) -> joints or bones (…, V, M).

    It commutes with whatever is linear and the same for all joints: resampling in time and rotation. Bones of
    whole recordings, taken once, give the bones of every crop.
    """
    return _two_steps(stream).first(x, layout)


def along_time(x: Tensor, stream: str, layout: str) -> Tensor:
    """The second half: joints or bones (N, 3, T, V, M) -> themselves, their motion or their rotation."""
    return _two_steps(stream).then(x, layout, None)


def _two_steps(stream: str, convention: str = "ctr") -> Stream:
    """A stream by its name.

    Raises:
        UserError: there is none of that name.
    """
    if convention == "ikem" and stream in IKEM:
        return IKEM[stream]
    found: Stream = resolve(STREAMS, stream, "stream")
    return found


def _joint(x: Tensor, layout: str) -> Tensor:
    joints = len(get_layout(layout))
    if x.shape[-2] != joints:
        raise UserError(f"layout {layout} has {joints} joints, the skeletons have {x.shape[-2]}")
    return x


def _of(x: Tensor, joints: list[int]) -> Tensor:
    return x.index_select(-2, whole_numbers(tuple(joints), x.device))


def _parents(layout: str) -> list[int]:
    return list(get_layout(layout).parents)


def _bone(x: Tensor, layout: str) -> Tensor:
    """Joint minus parent; the root's bone is zero."""
    return _joint(x, layout) - _of(x, _parents(layout))


def _same(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    return x


def _motion(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    """Next frame minus this one; zero in the last frame."""
    motion = torch.diff(x, dim=2, append=x[:, :, -1:])
    return motion if rate is None else rate * motion


def _acceleration(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    """Motion's motion; zero in the last two frames, as the motion of the last is not known."""
    change = torch.zeros_like(x)
    change[:, :, :-2] = torch.diff(x, n=2, dim=2)
    return change if rate is None else rate.square() * change


def _bent(x: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    """Bones and, for each, its parent's; the root has the chest's normal for a bone."""
    bones = _with_normal(x, _bone(x, layout), layout)
    return bones, _of(bones, _parents(layout))


def _axis(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    return rotation_axis(*_bent(x, layout))


def _angular(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    return angular_velocity(*_bent(x, layout), rate)


def _with_normal(x: Tensor, bones: Tensor, layout: str) -> Tensor:
    """Bones (…, 3, T, V, M) with the chest's normal for the root's, which is zero."""
    root = whole_numbers((get_layout(layout).root,), x.device)
    return bones.index_copy(-2, root, torso_normal(x, layout))


def _ikem_bone(x: Tensor, layout: str) -> Tensor:
    return _with_normal(x, _joint(x, layout) - _of(x, _ikem_parents(layout)), layout)


def _ikem_parents(layout: str) -> list[int]:
    """The layout's, but the parent of a hand's tip is the hand and not the thumb."""
    return _replaced(layout, {"hand_tip": "hand"})


def _ikem_bent(x: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    """Bones and, for each, its parent's, but for the thumb the tip's."""
    bones = _ikem_bone(x, layout)
    return bones, _of(bones, _replaced(layout, {"hand_tip": "hand", "thumb": "hand_tip"}))


def _replaced(layout: str, parents: dict[str, str]) -> list[int]:
    """The layout's parents, with others for some joints of both sides, where it has these joints."""
    skeleton = get_layout(layout)
    found = list(skeleton.parents)
    for side in ("left", "right"):
        for child, parent in parents.items():
            if {f"{child}_{side}", f"{parent}_{side}"} <= set(skeleton.joints):
                found[skeleton.index(f"{child}_{side}")] = skeleton.index(f"{parent}_{side}")
    return found


def _ikem_axis(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    return rotation_axis(*_ikem_bent(x, layout))


def _ikem_angular(x: Tensor, layout: str, rate: Tensor | None) -> Tensor:
    return angular_velocity(*_ikem_bent(x, layout), rate)


JOINT = Stream(_joint, _same)
BONE = Stream(_bone, _same)
JOINT_MOTION = Stream(_joint, _motion)
BONE_MOTION = Stream(_bone, _motion)
ACCELERATION = Stream(_joint, _acceleration)
ROTATION_AXIS = Stream(_joint, _axis)
ANGULAR_VELOCITY = Stream(_joint, _angular)

IKEM = {
    "bone": Stream(_ikem_bone, _same),
    "bone_motion": Stream(_ikem_bone, _motion),
    "rotation_axis": Stream(_joint, _ikem_axis),
    "angular_velocity": Stream(_joint, _ikem_angular),
}
"""Where convention `ikem` differs."""
