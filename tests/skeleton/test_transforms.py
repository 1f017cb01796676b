"""Crop, resampling and rotation."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmcl.skeleton.ragged import join
from mmcl.skeleton.transforms import centre_crop, crop_resize, random_crop, rotate, rotation_matrices

GOLDEN = np.load(Path(__file__).parents[1] / "golden/mmcl_transforms.npz")


@pytest.mark.parametrize(("frames", "seed", "suffix"), [(87, 3, ""), (41, 4, "_short41")])
def test_crop_and_resize_equal_the_reference(frames, seed, suffix):
    x = np.random.default_rng(seed).normal(0, 1, (3, frames, 25, 2)).astype(np.float32)
    clips = join([np.zeros((5, 2, 25, 3)), x.transpose(1, 3, 2, 0)], persons=2)
    rows = torch.tensor([1])
    y = crop_resize(clips, rows, *centre_crop(clips.length[rows], 0.95), 64)
    np.testing.assert_allclose(y[0].numpy(), GOLDEN[f"crop_resize_p0.95_w64{suffix}"], rtol=0, atol=1e-6)


def test_rotation_equals_the_reference():
    angles = torch.from_numpy(GOLDEN["rotation_angles"])
    matrices = rotation_matrices(angles)
    np.testing.assert_allclose(matrices.numpy(), GOLDEN["rotation_matrices"], rtol=0, atol=1e-6)
    x = torch.randn(2, 3, 4, 20, 1)
    expected = torch.einsum("bij,bjtvm->bitvm", matrices, x)
    torch.testing.assert_close(rotate(x, angles), expected)


def test_a_ragged_batch_equals_clip_by_clip():
    random = np.random.default_rng(0)
    clips = [random.normal(0, 1, (n, 1 + n % 2, 20, 3)).astype(np.float32) for n in (1, 7, 64, 65, 130, 300)]
    ragged = join(clips, persons=2)
    rows = torch.tensor([5, 0, 3, 4, 1, 2, 4])
    share = torch.from_numpy(random.uniform(0.5, 1, len(rows)))
    position = torch.from_numpy(random.uniform(0, 1, len(rows)))
    first, kept = random_crop(ragged.length[rows], share, position, 64)
    y = crop_resize(ragged, rows, first, kept, 48)
    for i, row in enumerate(rows.tolist()):
        frames = len(clips[row])
        keep = min(max(int(np.floor(frames * share[i].item())), 64), frames)
        begin = int(position[i].item() * (frames - keep + 1))
        part = np.zeros((keep, 2, 20, 3), np.float32)
        part[:, : clips[row].shape[1]] = clips[row][begin : begin + keep]
        lines = torch.from_numpy(part).reshape(1, keep, -1).transpose(1, 2)
        expected = F.interpolate(lines, size=48, mode="linear", align_corners=False)
        expected = expected[0].view(2, 20, 3, 48).permute(2, 3, 1, 0)
        torch.testing.assert_close(y[i], expected, rtol=0, atol=2e-6)


def test_crops_stay_inside():
    length = torch.tensor([1, 40, 64, 100, 300])
    for position in (0.0, 1 - 2**-53):
        first, kept = random_crop(
            length, torch.full((5,), 0.5), torch.full((5,), position, dtype=torch.float64), 64
        )
        assert kept.tolist() == [1, 40, 64, 64, 150]
        assert (first >= 0).all()
        assert (first + kept <= length).all()
    first, kept = centre_crop(torch.tensor([1, 39, 40, 300]), 0.95)
    assert first.tolist() == [0, 0, 1, 7]
    assert kept.tolist() == [1, 39, 38, 286]
