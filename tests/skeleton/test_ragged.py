"""Clips put together."""

import numpy as np
import torch

from mmcl.skeleton.ragged import join


def test_clips_lie_one_after_another():
    clips = [
        np.full((frames, persons, 20, 3), value)
        for frames, persons, value in ((2, 1, 1.0), (3, 3, 2.0), (1, 2, 3.0))
    ]
    ragged = join(clips, persons=2)
    assert ragged.start.tolist() == [0, 2, 5]
    assert ragged.length.tolist() == [2, 3, 1]
    assert ragged.joints.shape == (3, 6, 20, 2)
    assert ragged.joints.dtype == torch.float32
    assert ragged.joints[0, :, 0].tolist() == [[1, 0], [1, 0], [2, 2], [2, 2], [2, 2], [3, 3]]
