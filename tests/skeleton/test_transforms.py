"""Crop, resampling and rotation."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from seeds import shifted

from mmcl.skeleton.ragged import join
from mmcl.skeleton.transforms import (
    centre_crop,
    crop_resize,
    even_frames,
    fit_box,
    random_crop,
    random_frames,
    rotate,
    rotation_matrices,
    whole_clips,
)

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
    random = np.random.default_rng(shifted(0))
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


def test_even_frames_are_those_of_numpy():
    length = torch.arange(1, 700)
    for window in (2, 52, 64):
        frames = even_frames(length, window).numpy()
        expected = [np.linspace(0, n - 1, window).astype(int) for n in length.tolist()]
        np.testing.assert_array_equal(frames, np.stack(expected))


def test_random_frames_are_a_sample_without_replacement():
    generator = torch.Generator().manual_seed(shifted(0))
    length = torch.tensor([1, 2, 40, 300] * 5000)
    uniform = torch.rand(len(length), 52, dtype=torch.float64, generator=generator)
    frames = random_frames(length, uniform)
    assert (frames.diff(dim=1) >= 0).all()
    assert (frames[::4] == 0).all()
    # of 200 numbers, half of them even, 52: hypergeometric with mean 26 and variance 52/4 * 148/199
    ones = frames[1::4].sum(1).double()
    assert abs(ones.mean() - 26) < 0.15
    assert ones.var() == pytest.approx(52 / 4 * 148 / 199, rel=0.06)
    # every frame is as likely as every other
    for part, n in ((frames[2::4], 40), (frames[3::4], 300)):
        share = torch.bincount(part.flatten(), minlength=n) / part.numel()
        assert len(share) == n
        assert (share * n - 1).abs().max() < 0.15
    # the largest random numbers stay inside, and a short clip has enough copies for a long window
    top = torch.full((4, 52), 1 - 2**-53, dtype=torch.float64)
    assert (random_frames(length[:4], top).max(1).values < length[:4]).all()
    assert random_frames(torch.tensor([1]), torch.rand(1, 150, dtype=torch.float64)).tolist() == [[0] * 150]


def test_whole_clips_hold_their_last_frame():
    ragged = join([np.full((n, 1, 20, 3), n) + np.arange(n)[:, None, None, None] for n in (2, 4, 3)], 1)
    x = whole_clips(ragged, torch.tensor([2, 0]))
    assert x.shape == (2, 3, 3, 20, 1)
    assert x[:, 0, :, 0, 0].tolist() == [[3, 4, 5], [2, 3, 3]]


def test_an_axis_without_extent_becomes_zero():
    x = torch.rand(2, 3, 5, 20, 1)
    x[:, 2] = 7
    y = fit_box(x)
    assert (y[:, 2] == 0).all()
    torch.testing.assert_close(y.amin((2, 3, 4))[:, :2], -torch.ones(2, 2))
    torch.testing.assert_close(y.amax((2, 3, 4))[:, :2], torch.ones(2, 2))
