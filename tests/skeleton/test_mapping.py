import numpy as np
import pytest

from mmcl.errors import UserError
from mmcl.layouts import joint_map, layout
from mmcl.skeleton.mapping import map_joints


@pytest.mark.parametrize("source", ["utd20", "ucla20", "sysu20"])
def test_weights_sum_to_one(source):
    for parts in joint_map(source, "ntu25"):
        assert sum(parts.values()) == 1


def test_utd_to_ntu():
    x = np.random.default_rng(0).normal(size=(4, 1, 20, 3)).astype(np.float32)
    y = map_joints(x, "utd20", "ntu25")
    assert y.shape == (4, 1, 25, 3)
    assert y.dtype == np.float32
    # the table of mmcl-method.md section 7, counted from 1
    for ntu, utd in {1: 4, 2: 3, 21: 2, 4: 1, 23: 8, 25: 12, **{i: i for i in range(5, 21)}}.items():
        np.testing.assert_allclose(y[..., ntu - 1, :], x[..., utd - 1, :], atol=1e-6)
    np.testing.assert_allclose(y[..., 2, :], (x[..., 0, :] + x[..., 1, :]) / 2, atol=1e-6)
    np.testing.assert_allclose(y[..., 21, :], 1.5 * x[..., 7, :] - 0.5 * x[..., 6, :], atol=1e-6)
    np.testing.assert_allclose(y[..., 23, :], 1.5 * x[..., 11, :] - 0.5 * x[..., 10, :], atol=1e-6)


def test_moving_the_source_moves_the_result():
    x = np.random.default_rng(0).normal(size=(2, 20, 3))
    np.testing.assert_allclose(map_joints(x + 5, "ucla20", "ntu25"), map_joints(x, "ucla20", "ntu25") + 5)


def test_back_and_same():
    x = np.random.default_rng(0).normal(size=(2, 20, 3))
    np.testing.assert_allclose(map_joints(map_joints(x, "utd20", "ntu25"), "ntu25", "utd20"), x)
    np.testing.assert_allclose(map_joints(x, "utd20", "utd20"), x)
    head = layout("ucla20").index("head")
    np.testing.assert_allclose(map_joints(x, "utd20", "ucla20")[:, head], x[:, 0])


def test_unknown_layout():
    with pytest.raises(UserError, match=r"no joint layout 'ntu26'; there are: .*ntu25"):
        map_joints(np.zeros((1, 20, 3)), "utd20", "ntu26")
