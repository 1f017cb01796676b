"""What a network sees of a skeleton: joints, bones, and how either moves."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmcl.errors import UserError
from mmcl.layouts import layout as get_layout


def to_stream(
    x: Tensor, stream: str, layout: str, convention: str = "ctr", length: Tensor | None = None
) -> Tensor:
    """Turn joint positions into a stream.

    Args:
        x: joint positions (N, 3, T, V, M).
        stream: a name in STREAMS of the convention.
        layout: joint layout.
        convention: `ctr`, the definitions of CTR-GCN and MMCL.
        length: (N) frames of the raw clips, for conventions whose time scale depends on it; `ctr` has none.

    Returns:
        The same shape as x.

    Raises:
        UserError: no such convention, stream or layout; or x has not the layout's joints.
    """
    if convention not in STREAMS:
        raise UserError(f"no stream convention {convention!r}; there are: {', '.join(STREAMS)}")
    streams = STREAMS[convention]
    if stream not in streams:
        raise UserError(f"no stream {stream!r} in convention {convention}; there are: {', '.join(streams)}")
    within, along = streams[stream]
    return along(within(x, layout))


def within_frames(x: Tensor, stream: str, layout: str) -> Tensor:
    """The first half of a stream of convention `ctr`: joints (…, V, M) -> joints or bones (…, V, M).

    It commutes with whatever is linear and the same for all joints: resampling in time and rotation. Bones of
    whole recordings, taken once, give the bones of every crop.
    """
    return STREAMS["ctr"][stream][0](x, layout)


def along_time(x: Tensor, stream: str) -> Tensor:
    """The second half: joints or bones (N, 3, T, V, M) -> themselves or their motion."""
    return STREAMS["ctr"][stream][1](x)


def _joint(x: Tensor, layout: str) -> Tensor:
    joints = len(get_layout(layout))
    if x.shape[-2] != joints:
        raise UserError(f"layout {layout} has {joints} joints, the skeletons have {x.shape[-2]}")
    return x


def _bone(x: Tensor, layout: str) -> Tensor:
    """Joint minus parent; the root's bone is zero."""
    parents = [parent for _, parent in get_layout(layout).bone_pairs]
    return _joint(x, layout) - x.index_select(-2, torch.tensor(parents, device=x.device))


def _still(x: Tensor) -> Tensor:
    return x


def _motion(x: Tensor) -> Tensor:
    """Next frame minus this one; zero in the last frame."""
    return torch.diff(x, dim=2, append=x[:, :, -1:])


STREAMS: dict[str, dict[str, tuple[Callable[[Tensor, str], Tensor], Callable[[Tensor], Tensor]]]] = {
    "ctr": {
        "joint": (_joint, _still),
        "bone": (_bone, _still),
        "joint_motion": (_joint, _motion),
        "bone_motion": (_bone, _motion),
    },
}
"""Convention → stream → what it is of a frame (x, layout), and what of that over time (x)."""
