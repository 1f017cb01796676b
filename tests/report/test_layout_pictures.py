import numpy as np
import pytest
from PIL import Image

from mmcl.errors import UserError
from mmcl.layouts import get_layout, names
from mmcl.report.layout_pictures import LEFT, RIGHT, draw_layouts, rest_pose


@pytest.mark.parametrize("name", names())
def test_joints_are_apart(name):
    """A joint's disc is 0.06 m wide."""
    pose = rest_pose(get_layout(name))
    distance = np.linalg.norm(pose[:, None] - pose, axis=-1) + np.eye(len(pose))
    assert distance.min() > 0.06
    for left, right in get_layout(name).left_right:
        assert pose[left, 0] > 0 > pose[right, 0]  # facing the viewer


def test_picture(tmp_path):
    draw_layouts(["coco17"], tmp_path / "new" / "coco.png")
    pixels = np.asarray(Image.open(tmp_path / "new" / "coco.png").convert("RGB")).astype(int)
    assert pixels.shape == (441, 405, 3)
    figure = pixels[:, :250]
    columns = []
    for colour in (RIGHT, LEFT):
        value = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        near = np.abs(figure - value).max(-1) < 24
        assert near.sum() > 8 * 60
        columns.append(np.nonzero(near)[1].mean())
    assert columns[0] + 40 < columns[1]


def test_a_joint_without_a_place(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{"centre": "head", "joints": {"head": "head", "tail": "head"}}')
    with pytest.raises(UserError, match=r"mine.json: no place to draw tail"):
        rest_pose(get_layout(str(file)))
