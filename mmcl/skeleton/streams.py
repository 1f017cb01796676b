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
    joints = len(get_layout(layout))
    if x.shape[3] != joints:
        raise UserError(f"layout {layout} has {joints} joints, the skeletons have {x.shape[3]}")
    return streams[stream](x, layout)


def _joint(x: Tensor, layout: str) -> Tensor:
    return x


def _bone(x: Tensor, layout: str) -> Tensor:
    """Joint minus parent; the root's bone is zero."""
    parents = [parent for _, parent in get_layout(layout).bone_pairs]
    return x - x[:, :, :, parents]


def _motion(x: Tensor) -> Tensor:
    """Next frame minus this one; zero in the last frame."""
    return torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)


STREAMS: dict[str, dict[str, Callable[[Tensor, str], Tensor]]] = {
    "ctr": {
        "joint": _joint,
        "bone": _bone,
        "joint_motion": lambda x, layout: _motion(x),
        "bone_motion": lambda x, layout: _motion(_bone(x, layout)),
    },
}
"""Convention → stream → its function of (x, layout)."""
