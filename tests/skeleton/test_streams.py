"""Streams."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmcl.errors import UserError
from mmcl.skeleton import to_stream

GOLDEN = np.load(Path(__file__).parents[1] / "golden/ctr_streams.npz")


@pytest.mark.parametrize("stream", ["bone", "joint_motion", "bone_motion"])
def test_streams_equal_the_reference(stream):
    x = np.random.default_rng(21).normal(0, 0.3, (3, 64, 25, 2)).astype(np.float32)
    y = to_stream(torch.from_numpy(x)[None], stream, layout="ntu25", convention="ctr")
    np.testing.assert_allclose(y[0, :, ::7].numpy(), GOLDEN[stream], rtol=0, atol=1e-7)


@pytest.mark.parametrize(("layout", "root"), [("ucla20", 2), ("utd20", 1)])
def test_the_root_has_no_bone(layout, root):
    x = torch.randn(2, 3, 4, 20, 1)
    bone = to_stream(x, "bone", layout)
    assert bone.shape == x.shape
    assert [joint for joint in range(20) if not bone[:, :, :, joint].any()] == [root]
    torch.testing.assert_close(to_stream(x, "joint", layout), x)


def test_unknown_names_list_what_there_is():
    x = torch.zeros(1, 3, 4, 25, 2)
    with pytest.raises(UserError, match=r"no stream 'speed' .* joint, bone, joint_motion, bone_motion"):
        to_stream(x, "speed", "ntu25")
    with pytest.raises(UserError, match="no stream convention 'own'; there are: ctr"):
        to_stream(x, "bone", "ntu25", convention="own")
    with pytest.raises(UserError, match="layout ucla20 has 20 joints, the skeletons have 25"):
        to_stream(x, "bone", "ucla20")
