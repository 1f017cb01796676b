"""Random views: crops of mirrored clips, shears, and modalities that belong together."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from seeds import shifted

from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.selfsup import MODALITIES
from mmcl.selfsup.augment import (
    ViewDraw,
    draw_views,
    mirrored_frames,
    shear_matrices,
    stretch_bones,
    transform,
)
from mmcl.selfsup.facing import face_camera
from mmcl.selfsup.pairs import Pairs
from mmcl.selfsup.views import AugmentedViews, Views
from mmcl.settings.selfsup import AugmentationSettings, ViewSettings
from mmcl.skeleton.ragged import join
from mmcl.skeleton.streams import to_streams
from mmcl.skeleton.transforms import crop_resize


def generator(seed=0):
    return torch.Generator().manual_seed(shifted(seed))


def clips(count=6, persons=2):
    random = np.random.default_rng(shifted(3))
    return join([random.normal(0, 1, (9 + i, persons, 20, 3)).astype(np.float32) for i in range(count)], 2)


def test_a_mirrored_crop_is_cut_from_the_padded_clip():
    window, padding = 50, 8
    line = np.arange(window)
    padded = np.concatenate([line[:padding][::-1], line, line[-padding:][::-1]])
    assert len(padded) == 66
    position = torch.arange(17, dtype=torch.float64) / 17 + 0.01
    found = mirrored_frames(position, window, padding)
    for start in range(17):
        assert found[start].tolist() == padded[start : start + window].tolist()
    assert mirrored_frames(torch.rand(50, generator=generator()), 4, 4).unique().tolist() == [0, 1, 2, 3]


def test_a_shear_has_ones_on_its_diagonal():
    matrix = shear_matrices(torch.arange(1.0, 7)[None])[0]
    assert matrix.tolist() == [[1, 1, 2], [3, 1, 4], [5, 6, 1]]
    x = torch.randn(1, 3, 4, 20, 2, generator=generator())
    p = transform(x, matrix[None])[0, :, 2, 5, 1]
    assert torch.allclose(p, matrix @ x[0, :, 2, 5, 1])


def test_what_is_drawn_covers_its_range_and_no_more():
    drawn = draw_views(4000, 20, AugmentationSettings(bones=0.3), generator())
    beside = drawn.matrix[:, ~torch.eye(3, dtype=torch.bool)]
    assert (drawn.matrix.diagonal(dim1=1, dim2=2) == 1).all()
    assert 0.49 < beside.abs().max() <= 0.5
    assert abs(float(beside.std()) - 1 / 12**0.5) < 0.005
    assert 0.7 <= drawn.bones.min() < 0.71 < 1.29 < drawn.bones.max() <= 1.3
    assert 0.5 <= drawn.share.min() < 0.51 < 0.99 < drawn.share.max() < 1
    turned = draw_views(100, 20, AugmentationSettings(shear=0, rotation=0.3), generator()).matrix
    assert torch.allclose(turned @ turned.transpose(1, 2), torch.eye(3).expand(100, 3, 3), atol=1e-6)
    assert not torch.allclose(turned[0], torch.eye(3), atol=0.01)


def test_stretched_bones_keep_their_directions_and_the_root_its_place():
    layout, x = get_layout("utd20"), torch.randn(2, 3, 4, 20, 1, generator=generator())
    factors = 0.5 + torch.rand(2, 20, generator=generator(1))
    given = factors.clone()
    found = stretch_bones(x, factors, "utd20")
    assert torch.equal(factors, given)
    assert torch.allclose(found[:, :, :, layout.root], x[:, :, :, layout.root], atol=1e-6)
    for joint, parent in layout.edges:
        bone, before = (y[:, :, :, joint] - y[:, :, :, parent] for y in (found, x))
        assert torch.allclose(bone, before * factors[:, joint, None, None, None], atol=1e-5)


def test_views_have_stretched_bones_only_if_configured():
    def bones(**more):
        how = AugmentationSettings(shear=0, padding=20, **more)
        one = draw_views(2, 20, how, generator(1))
        views = AugmentedViews(clips(), ViewSettings(window=8), "utd20", how)
        views = views.augmented(torch.tensor([1, 1]), one, ["bone"])
        return one.bones, views["bone"].norm(dim=1).mean((1, 3))

    (ones, before), (factors, after) = bones(), bones(bones=0.4)
    edges = [joint for joint, _ in get_layout("utd20").edges]
    assert (ones == 1).all()
    assert torch.allclose((after / before)[:, edges], factors[:, edges], atol=1e-4)


@pytest.mark.parametrize("convention", ["ctr", "ikem"])
@pytest.mark.parametrize("crop_by", ["mirror", "resize"])
def test_a_view_is_resampled_cropped_and_sheared_before_it_is_split(convention, crop_by):
    """A clip at a time, step by step in the released order."""
    data = clips()
    how = AugmentationSettings(crop_by=crop_by)
    one = draw_views(3, 20, how, generator(1))
    rows = torch.tensor([4, 0, 4])
    views = AugmentedViews(data, ViewSettings(convention=convention, window=12), "utd20", how)
    found = views.augmented(rows, one, MODALITIES)
    for i, row in enumerate(rows):
        row, length = row[None], data.length[row][None]
        first, kept = torch.zeros(1, dtype=torch.int64), length
        if crop_by == "resize":
            kept = (length * one.share[i]).long()
            first = (one.position[i] * (length - kept + 1)).long()
        x = crop_resize(data, row, first, kept, 12)
        if convention == "ikem":
            x = face_camera(x, "utd20")
        if crop_by == "mirror":
            x = x[:, :, mirrored_frames(one.position[i][None], 12, 2)[0]]
        x = torch.einsum("ij,njtvm->nitvm", one.matrix[i], x)
        for name, expected in to_streams(x, MODALITIES, "utd20", convention, kept).items():
            assert torch.allclose(found[name][i], expected[0], atol=1e-5), name


def test_motion_is_timed_by_recorded_frames_only_if_configured():
    data, rows = clips(), torch.tensor([5])  # 14 frames
    timed, untimed = (
        Views(data, ViewSettings(convention="ikem", window=7, true_timeline=by), "utd20").plain(
            rows, ["joint", "joint_motion"]
        )
        for by in (True, False)
    )
    assert torch.equal(timed["joint"], untimed["joint"])
    assert torch.allclose(timed["joint_motion"], untimed["joint_motion"] * 7 / 14)


def pairs(seed=1, same=False, **more):
    views = AugmentedViews(clips(7), ViewSettings(window=8), "utd20", AugmentationSettings(same=same))
    return Pairs(views, ["joint"], ["joint", "bone"], seed=seed, **{"batch": 4} | more)


def seen(source, epoch):
    """The batches of an epoch."""
    return [source.seen(draw) for draw in source.epoch(epoch)]


def test_the_processes_share_out_what_one_would_have_seen():
    whole = seen(pairs(), 3)
    assert len(whole) == pairs().steps == 1
    parts = [seen(pairs(rank=rank, world=2), 3)[0] for rank in (0, 1)]
    for side, names in ((0, ["joint"]), (1, ["joint", "bone"])):
        assert list(whole[0][side]) == names
        for name in names:
            together = torch.cat([part[side][name] for part in parts])
            assert torch.allclose(together, whole[0][side][name], atol=1e-6)
    assert not torch.allclose(whole[0][0]["joint"], whole[0][1]["joint"], atol=0.1)


@pytest.mark.parametrize(("batch", "world"), [(5, 2), (8, 4), (4, 8)])
def test_batches_that_cannot_be_shared_out_are_refused(batch, world):
    with pytest.raises(UserError, match=rf"batch {batch}, of 7 training clips: .* among {world} processes"):
        pairs(batch=batch, world=world)


def test_an_epoch_follows_from_the_seed_and_its_number():
    def joint(seed, epoch, **more):
        return seen(pairs(seed, **more), epoch)[0][0]["joint"]

    assert torch.equal(joint(1, 2), joint(1, 2))
    assert not torch.equal(joint(1, 2), joint(1, 3))
    assert not torch.equal(joint(1, 2), joint(2, 2))


def test_the_same_changes_every_epoch_if_configured():
    """The clips of a batch differ between epochs, the changes of each position in it do not."""
    for same in (True, False):
        views = SimpleNamespace(clips=clips(7), augmentation=AugmentationSettings(same=same))
        loader = Pairs(views, [], [], batch=4, seed=1)
        (rows, one, _), (others, other, _) = (next(loader.epoch(number)) for number in range(2))
        assert not torch.equal(rows, others)
        assert isinstance(one, ViewDraw)
        assert torch.equal(one.matrix, other.matrix) == torch.equal(one.position, other.position) == same
