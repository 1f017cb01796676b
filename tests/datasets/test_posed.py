"""Poses become skeletons: what is not sure is interpolated, who is not there is zero."""

import numpy as np
import pytest

from mmcl import store
from mmcl.datasets import ClipEntry, EstimatedPoses
from mmcl.datasets.posed import SCHEMA, PosedReader
from mmcl.errors import UserError
from mmcl.layouts import get_layout

NOSE = get_layout("coco17").centre


def entry(name):
    return ClipEntry(name, "wave", 1, 1, 1, None, "", f"{name}.mp4", "")


@pytest.fixture
def reader(tmp_path):
    """Clip `one` of 5 frames, two people, the second in frames 1 to 3; `none` shows nobody."""
    keypoints = np.random.default_rng(0).uniform(20, 180, (5, 2, 17, 3)).astype(np.float32)
    keypoints[..., 2] = 0.9
    keypoints[2, 0, 9, 2] = 0.1  # a wrist that is not sure in the middle
    keypoints[:, 0, 15, 2] = 0.1  # an ankle that never is
    keypoints[2, 0, 10] = 0  # the other one is not seen at all
    keypoints[[0, 4], 1] = 0
    columns = {
        "keypoints": store.Column("float32", (17, 3), flat=True),
        "offset": store.Column("int64"),
        "frames": store.Column("int32"),
        "persons": store.Column("int8"),
        "size": store.Column("int32", (2,)),
        "rate": store.Column("float32"),
    }
    rows = {"keypoints": keypoints.reshape(-1, 17, 3), "offset": [0], "frames": [5], "persons": [2]}
    batch = store.Batch(["one"], {**rows, "size": [[400, 200]], "rate": [30.0]}, {"none": "no person"})
    store.write(
        tmp_path / "poses.h5",
        schema=SCHEMA,
        settings={},
        names=["none", "one"],
        columns=columns,
        batch_size=2,
        work=lambda names: batch,
    )
    return PosedReader(Listed(), EstimatedPoses([tmp_path / "poses.h5"], 0.3)), keypoints


class Listed:
    """Lists no class in which two people act together."""

    two_person_actions = frozenset()


def test_joints_are_parts_of_the_pictures_height_with_y_up(reader):
    reader, keypoints = reader
    clip = reader.read_clip(entry("one"))
    assert clip.shape == (5, 2, 17, 3)
    flat = keypoints[..., :2] / 200 * (1, -1)
    flat -= flat[0, 0, NOSE]
    wanted = flat.copy()
    wanted[2, 0, 9:11] = (flat[1, 0, 9:11] + flat[3, 0, 9:11]) / 2
    wanted[[0, 4], 1] = 0
    np.testing.assert_allclose(clip[..., :2], wanted, atol=1e-5)
    assert not clip[..., 2].any()


def test_a_joint_of_confidence_zero_was_not_seen(reader):
    reader, _ = reader
    reader.joint_confidence = 0.0
    wrist = reader.read_clip(entry("one"))[:, 0, 10, :2]
    np.testing.assert_allclose(wrist[2], (wrist[1] + wrist[3]) / 2, atol=1e-6)
    seen = np.isfinite(reader.pixel_joints(entry("one"), 800, 300)).all(-1)
    assert (np.argwhere(~seen[:, 0]) == [2, 10]).all()


def test_pixels_are_scaled_to_the_picture_and_absent_people_are_unknown(reader):
    reader, keypoints = reader
    pixels = reader.pixel_joints(entry("one"), 800, 300)
    keypoints[keypoints[..., 2] == 0] = np.nan
    np.testing.assert_allclose(pixels, keypoints[..., :2] * (2, 1.5), rtol=1e-6)
    assert np.isnan(pixels[[0, 4], 1]).all()
    assert np.isfinite(pixels[1:4, 1]).all()


def test_a_clip_without_poses_says_why(reader):
    reader, _ = reader
    with pytest.raises(UserError, match="no person"):
        reader.read_clip(entry("none"))
    with pytest.raises(UserError, match="no poses were estimated"):
        reader.read_clip(entry("other"))
