"""Unknown joints are interpolated in time."""

import numpy as np

from mmcl.skeleton.gaps import fill_gaps


def test_gaps_are_filled_between_and_held_beyond():
    joints = np.zeros((6, 2, 2), np.float32)
    joints[:, 0, 0] = [9, 1, 9, 9, 4, 9]
    joints[:, 1] = 7
    known = np.zeros((6, 2), bool)
    known[[1, 4], 0] = True
    filled = fill_gaps(joints, known)
    np.testing.assert_allclose(filled[:, 0, 0], [1, 1, 2, 3, 4, 4])
    assert (filled[:, 1] == 7).all()  # never known: as it was
    assert joints[0, 0, 0] == 9
    assert filled.dtype == np.float32
