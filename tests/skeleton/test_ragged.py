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
    one_by_one = join(iter(clips), persons=2, lengths=[2, 3, 1])
    assert all(torch.equal(a, b) for a, b in zip(one_by_one, ragged, strict=True))


def test_of_more_people_those_with_the_most_motion_are_seen_in_any_order(caplog):
    rng = np.random.default_rng(0)
    three = [rng.normal(0, amount, (9, 1, 20, 3)) + amount for amount in (0.3, 0.9, 0.6)]
    for order in ([0, 1, 2], [2, 0, 1]):
        clip = np.concatenate([three[i] for i in order], 1).astype(np.float32)
        seen = join([clip], persons=2).joints.permute(1, 3, 2, 0).numpy()
        np.testing.assert_array_equal(seen, np.concatenate([three[1], three[2]], 1).astype(np.float32))
        assert "1 clips have more than 2 people" in caplog.text
    nobody = np.concatenate([np.zeros_like(three[0]), three[0]], 1)
    np.testing.assert_allclose(join([nobody], 1).joints.permute(1, 3, 2, 0), three[0], rtol=1e-6)
