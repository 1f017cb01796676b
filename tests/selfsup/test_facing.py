"""IKEM's preparation of skeletons: in one place, facing the camera."""

from functools import partial

import numpy as np
import pytest
import torch
from rounding import assert_same_but_for_rounding, rounding_of
from seeds import shifted

from mmcl.errors import UserError
from mmcl.layouts import layout
from mmcl.selfsup.facing import face_camera

LEFT, RIGHT, CHEST = 4, 8, 20  # of ntu25


def random_clips(seed=0):
    x = torch.randn(3, 3, 7, 25, 2, generator=torch.Generator().manual_seed(shifted(seed)))
    x[0, :, :, :, 1] = 0  # a person who is absent
    return x


def frame_by_frame(x, by_clip):
    """The formulas, one frame at a time."""
    out = np.zeros(x.shape)
    for n, m in np.ndindex(x.shape[0], x.shape[4]):
        p = x[n, :, :, :, m].astype(float)
        p = p - p[:, :, CHEST, None]
        v = p[:, :, RIGHT] - p[:, :, LEFT]
        for t in range(p.shape[1]):
            a, c = v[0, t], v[2, t]
            if by_clip:
                theta = np.arccos(a / (np.hypot(a, c) + 1e-4))
                theta = -theta if v[2].sum() >= 0 else theta
            else:
                theta = -np.arctan2(c, a)
            turn = np.array(
                [[np.cos(theta), 0, -np.sin(theta)], [0, 1, 0], [np.sin(theta), 0, np.cos(theta)]]
            )
            out[n, :, t, :, m] = turn @ p[:, t]
    return out


@pytest.mark.parametrize("by_clip", [False, True])
def test_it_is_what_the_formulas_say(by_clip):
    x = random_clips()
    found = face_camera(x, "ntu25", by_clip)
    # the angle of shoulders that are close together when seen from above, and an arc cosine near one, lose digits
    formulas = partial(frame_by_frame, by_clip=by_clip)
    assert_same_but_for_rounding(found.numpy(), formulas(x.numpy()), rounding_of(formulas, x.numpy()))
    assert found[0, :, :, :, 1].abs().max() == 0


def test_shoulders_lie_on_x_in_every_frame():
    x = random_clips()
    found = face_camera(x, "ntu25")
    across = (found[:, :, :, RIGHT] - found[:, :, :, LEFT])[1:]
    assert across[:, 2].abs().max() < 16 * torch.finfo().eps * x.abs().max()
    assert across[:, 0].min() > 0
    assert found[:, :, :, layout("ntu25").root].abs().max() == 0


def test_one_direction_a_clip_doubles_the_error_of_frames_turned_the_other_way():
    x = torch.zeros(1, 3, 3, 25, 1)
    for frame, degrees in enumerate((40, 40, -40)):
        angle = torch.tensor(degrees / 180 * torch.pi)
        x[0, 0, frame, RIGHT], x[0, 2, frame, RIGHT] = angle.cos(), angle.sin()
    found = face_camera(x, "ntu25", by_clip=True)[0]
    across = found[:, :, RIGHT, 0] - found[:, :, LEFT, 0]
    degrees = torch.atan2(across[2], across[0]).rad2deg().tolist()
    assert degrees == pytest.approx([0, 0, -80], abs=0.02)


def test_a_layout_without_shoulders_is_refused(tmp_path):
    file = tmp_path / "arm.json"
    file.write_text(
        '{"joints": {"neck": "neck", "head": "neck"}, "centre": "neck",'
        ' "hd_centres": {}, "rules": {}, "source": "made"}'
    )
    with pytest.raises(UserError, match="no shoulder_left"):
        face_camera(torch.zeros(1, 3, 2, 2, 1), str(file))
