"""Streams."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import assert_same_but_for_rounding, rounding_of
from seeds import shifted

from mmcl.errors import UserError
from mmcl.layouts import get_layout, names
from mmcl.settings.tables import STREAMS
from mmcl.skeleton.streams import CONVENTIONS, along_time, to_stream, within_frames
from mmcl.skeleton.transforms import rotate

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = np.load(FOLDER / "ctr_streams.npz")
IKEM = np.load(FOLDER / "ikem_modalities.npz")
MODALITIES = {
    "joint": "joint",
    "bone": "bone",
    "joint_motion": "motion",
    "acceleration": "acceleration",
    "rotation_axis": "rotation_axis",
    "angular_velocity": "omega",
}


@pytest.mark.parametrize("stream", ["bone", "joint_motion", "bone_motion"])
def test_streams_equal_the_reference(stream):
    x = np.random.default_rng(21).normal(0, 0.3, (3, 64, 25, 2)).astype(np.float32)
    y = to_stream(torch.from_numpy(x)[None], stream, layout="ntu25", convention="ctr")
    np.testing.assert_allclose(y[0, :, ::7].numpy(), GOLDEN[stream], rtol=0, atol=1e-7)


def ikem_input():
    x = np.random.default_rng(11).normal(0, 0.4, (4, 3, 50, 25, 2)).astype(np.float32)
    x -= x[:, :, :, 20:21]
    x[0, ..., 1] = 0
    return torch.from_numpy(x)


@pytest.mark.parametrize("stream", MODALITIES)
def test_modalities_equal_ikem(stream):
    length = torch.from_numpy(IKEM["frame"])
    y = to_stream(ikem_input(), stream, "ntu25", "ikem", length)
    expected = IKEM[MODALITIES[stream]]
    assert abs(expected).max() > 0.1
    # both were computed in float32, so that both differ from what it is in truth
    accepted = 2 * of_stream(ikem_input(), stream, "ntu25", "ikem", length)[:, :, ::7]
    assert_same_but_for_rounding(y[:, :, ::7].numpy(), expected, accepted)
    # three clips are not taken for the three channels
    torch.testing.assert_close(to_stream(ikem_input()[:3], stream, "ntu25", "ikem", length[:3]), y[:3])


def of_stream(x, stream, *how):
    """What rounding may change in a stream of x."""
    return rounding_of(lambda moved: to_stream(torch.from_numpy(moved), stream, *how).numpy(), x.numpy())


def plain(x, stream, layout, convention):
    """One clip (3, T, V, M) by the definitions, number by number, float64."""
    x, skeleton = x.double().numpy(), get_layout(layout)
    number = skeleton.joints.index
    parents = list(skeleton.parents)
    reference = list(parents)
    for side in ("left", "right") if layout == "ntu25" and convention == "ikem" else ():
        tip, thumb, hand = (number(f"{joint}_{side}") for joint in ("hand_tip", "thumb", "hand"))
        parents[tip], reference[tip], reference[thumb] = hand, hand, tip
    below = ["spine_mid"] if "spine_mid" in skeleton.joints else ["hip_left", "hip_right"]
    centre = x[:, :, [number(joint) for joint in below]].mean(2)
    left, right = x[:, :, number("shoulder_left")], x[:, :, number("shoulder_right")]
    normal = np.cross(centre - right, left - right, axis=0)
    bones = np.stack([x[:, :, joint] - x[:, :, parent] for joint, parent in enumerate(parents)], 2)
    chest = bones.copy()
    with np.errstate(invalid="ignore"):
        chest[:, :, skeleton.root] = np.nan_to_num(normal / np.linalg.norm(normal, axis=0))
    if convention == "ikem":
        bones = chest
    if stream.startswith("bone"):
        x = bones
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        if stream in ("joint", "bone"):
            y[:, t] = x[:, t]
        elif stream.endswith("motion") and t + 1 < x.shape[1]:
            y[:, t] = x[:, t + 1] - x[:, t]
        elif stream == "acceleration" and t + 2 < x.shape[1]:
            y[:, t] = x[:, t + 2] - 2 * x[:, t + 1] + x[:, t]
        elif stream == "rotation_axis":
            y[:, t] = np.cross(chest[:, t], chest[:, t][:, reference], axis=0)
        elif stream == "angular_velocity" and t + 1 < x.shape[1]:
            y[:, t] = bending(chest[:, t : t + 2], reference)
    return y


def bending(bones, reference):
    """Bones (3, 2, V, M) of two frames -> (3, V, M)."""
    y = np.zeros_like(bones[:, 0])
    for joint, person in np.ndindex(bones.shape[2:]):
        b, o = bones[:, :, joint, person].T, bones[:, :, reference[joint], person].T
        if joint != reference[joint] and b.any():
            cosine = (b * o).sum(1) / np.linalg.norm(b, axis=1) / np.linalg.norm(o, axis=1)
            axis = np.cross(b[0], o[0])
            y[:, joint, person] = np.diff(np.arccos(cosine)) * axis / np.linalg.norm(axis)
    return y


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("layout", names())
def test_streams_equal_their_definitions(stream, layout, convention):
    x = torch.randn(3, 3, 6, len(get_layout(layout)), 2, generator=torch.Generator().manual_seed(shifted(5)))
    x[1, ..., 1] = 0
    y = to_stream(x, stream, layout, convention)
    assert not y[1, ..., 1].any()
    accepted = of_stream(x, stream, layout, convention)
    for clip, found, limit in zip(x, y, accepted, strict=True):
        expected = plain(clip, stream, layout, convention)
        assert abs(expected).max() > 0.1
        assert_same_but_for_rounding(found.numpy(), expected, limit)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_two_halves_give_the_stream_of_turned_clips(stream):
    x = torch.randn(3, 3, 6, 20, 2, dtype=torch.float64)
    angles = torch.rand(3, 3, dtype=torch.float64)
    halves = along_time(rotate(within_frames(x, stream, "utd20"), angles), stream, "utd20")
    torch.testing.assert_close(halves, to_stream(rotate(x, angles), stream, "utd20"))


def test_a_pose_that_is_only_carried_along_neither_bends_nor_accelerates():
    pose = torch.randn(2, 3, 1, 25, 1, dtype=torch.float64)
    x = pose + torch.arange(8).view(1, 1, 8, 1, 1) * torch.randn(2, 3, 1, 1, 1, dtype=torch.float64)
    for stream in ("acceleration", "angular_velocity", "bone_motion"):
        assert to_stream(x, stream, "ntu25").abs().max() < 1e-6
    assert to_stream(x, "joint_motion", "ntu25").abs().max() > 0.1


def test_time_scale_is_that_of_the_recording():
    x = torch.randn(2, 3, 8, 25, 1)
    for stream, power in (
        ("joint_motion", 1),
        ("bone_motion", 1),
        ("acceleration", 2),
        ("angular_velocity", 1),
    ):
        scaled = to_stream(x, stream, "ntu25", "ikem", torch.tensor([8, 16]))
        plainly = to_stream(x, stream, "ntu25", "ikem")
        torch.testing.assert_close(scaled, plainly * torch.tensor([1, 0.5**power]).view(2, 1, 1, 1, 1))


def test_ikem3_is_ikem_with_the_bones_of_ctr():
    x, length = torch.randn(2, 3, 8, 25, 1), torch.tensor([8, 16])
    bones = to_stream(x, "bone", "ntu25", "ikem3", length)
    assert torch.equal(bones, to_stream(x, "bone", "ntu25"))
    number = get_layout("ntu25").joints.index
    for side in ("left", "right"):
        tip, thumb = (number(f"{joint}_{side}") for joint in ("hand_tip", "thumb"))
        assert torch.equal(bones[..., tip, :], x[..., tip, :] - x[..., thumb, :])
    assert not bones[..., get_layout("ntu25").root, :].any()
    motion = to_stream(x, "joint_motion", "ntu25", "ikem3", length)
    assert torch.equal(motion, to_stream(x, "joint_motion", "ntu25", "ikem", length))


@pytest.mark.parametrize("frames", [1, 2])
def test_too_few_frames_to_move(frames):
    x = torch.randn(2, 3, frames, 25, 1)
    assert not to_stream(x, "acceleration", "ntu25").any()
    assert to_stream(x, "angular_velocity", "ntu25").shape == x.shape


@pytest.mark.parametrize(("layout", "root"), [("ucla20", 2), ("utd20", 1)])
def test_the_root_has_no_bone(layout, root):
    x = torch.randn(2, 3, 4, 20, 1)
    bone = to_stream(x, "bone", layout)
    assert bone.shape == x.shape
    assert [joint for joint in range(20) if not bone[:, :, :, joint].any()] == [root]
    torch.testing.assert_close(to_stream(x, "joint", layout), x)


def test_unknown_names_list_what_there_is():
    x = torch.zeros(1, 3, 4, 25, 2)
    with pytest.raises(UserError, match=r"no stream 'speed'; known: acceleration, .* joint, joint_motion"):
        to_stream(x, "speed", "ntu25")
    with pytest.raises(UserError, match="no stream convention 'own'; there are: ctr"):
        to_stream(x, "bone", "ntu25", convention="own")
    with pytest.raises(UserError, match="layout ucla20 has 20 joints, the skeletons have 25"):
        to_stream(x, "bone", "ucla20")
