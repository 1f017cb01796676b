"""Batches."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_terms import frm
from rounding import assert_same_but_for_rounding, rounding_of
from seeds import shifted

from mmcl import store
from mmcl.colearn.inputs import Clips, Input, Masked, Table
from mmcl.colearn.montages import MontageFiles, Montages, collate
from mmcl.colearn.term import Batch
from mmcl.engine.leaves import split
from mmcl.engine.seeds import epoch_seed
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.settings.model import CnnSettings
from mmcl.settings.tables import STREAMS
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import join
from mmcl.skeleton.streams import to_stream
from mmcl.training.feeders import make_feeder
from mmcl.training.loader import Loader, TrainingData
from mmcl.video import jpeg


def loader_settings(**values):
    return TrainSettings.model_validate({"batch": 4, "min_crop": 3, "window": 6, **values})


TRAIN = loader_settings()


def made_data(count=10, **inputs):
    random = np.random.default_rng(shifted(0))
    clips = [random.normal(0, 1, (5 + i, 2, 20, 3)).astype(np.float32) for i in range(count)]
    names = [f"c{i}" for i in range(count)]
    return TrainingData(names, join(clips, 2), torch.arange(count), "utd20", inputs)


class Values(Input):
    """Values of all clips, without a store."""

    def __init__(self, values, mask):
        self.values = Masked(values, mask)
        self.without = ["a clip"]

    def epoch(self, draw, parts):
        return Table.epoch(self, draw, parts)


def test_an_epoch_shows_every_clip_once_in_an_order_of_its_own():
    def order(seed, epoch):
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        return make_feeder(TRAIN, "joint", "utd20").draw(torch.ones(50), generator, generator).order.tolist()

    assert sorted(order(1, 0)) == list(range(50))
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in range(3)}) == 6


@pytest.mark.parametrize(
    ("count", "batch", "sizes"), [(10, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (10, 2, [2] * 5)]
)
def test_incomplete_batches_are_dropped_and_large_ones_reduced(count, batch, sizes):
    loader = Loader(made_data(count), "bone", loader_settings(batch=batch), seed=1)
    batches = list(loader.epoch(0))
    assert [len(batch.labels) for batch in batches] == sizes
    assert batches[0].x.shape == (sizes[0], 3, 6, 20, 2)
    labels = torch.cat([batch.labels for batch in batches]).tolist()
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(("count", "world"), [(10, 2), (10, 4), (7, 2), (3, 2)])
def test_processes_share_each_batch_out(count, world):
    settings = loader_settings(batch=4 if count > 4 else 8)
    whole, *parts = (
        Loader(made_data(count), "bone_motion", settings, seed=1, rank=rank, world=of)
        for rank, of in [(0, 1), *((rank, world) for rank in range(world))]
    )
    assert whole.steps == parts[0].steps == count // min(4, count)
    for batch, *shares in zip(*(loader.epoch(2) for loader in (whole, *parts)), strict=True):
        assert len({len(share.labels) for share in shares}) == 1
        together = torch.cat([share.x for share in shares])
        # as many as can be shared out evenly, with the crops and rotations that one process would have given them
        torch.testing.assert_close(together, batch.x[: len(together)], rtol=0, atol=0)
        assert len(batch.x) - len(together) == (1 if count == 3 else 0)
        assert (
            torch.cat([share.labels for share in shares]).tolist() == batch.labels[: len(together)].tolist()
        )


def test_crops_and_rotations_differ_from_epoch_to_epoch_and_from_process_to_process():
    clip = np.random.default_rng(shifted(0)).normal(0, 1, (30, 1, 20, 3)).astype(np.float32)
    data = TrainingData(["a", "b"], join([clip, clip], 1), torch.arange(2), "utd20")
    seen = [
        batch.x[0]
        for rank in range(2)
        for epoch in range(3)
        for batch in Loader(data, "joint", loader_settings(batch=2), seed=1, rank=rank, world=2).epoch(epoch)
    ]
    apart = [(a - b).abs().max() for i, a in enumerate(seen) for b in seen[:i]]
    assert len(apart) == 15
    assert min(apart) > 0.01


@pytest.mark.parametrize(("count", "world", "batch"), [(10, 3, 4), (1, 2, 4)])
def test_what_cannot_be_shared_out_evenly_is_an_error(count, world, batch):
    with pytest.raises(UserError, match=f"evenly among {world} GPUs"):
        Loader(made_data(count), "joint", loader_settings(batch=batch), seed=1, world=world)


def one_by_one(clip, share, position, angles, settings):
    """Joints (3, T, V, M) of a training clip (T, M, V, 3) as the reference takes and turns them, in float64."""
    frames = len(clip)
    kept = min(max(int(np.floor(frames * share)), settings.min_crop), frames)
    first = int(np.floor(position * (frames - kept + 1)))
    part = torch.from_numpy(clip[first : first + kept].transpose(3, 2, 1, 0).astype(float))  # (3, V, M, L)
    size = (3 * part.shape[1] * part.shape[2], settings.window)
    part = F.interpolate(part.reshape(1, 1, size[0], kept), size=size, mode="bilinear", align_corners=False)
    x = part.view(3, -1, clip.shape[1], settings.window).permute(0, 3, 1, 2).numpy()
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    turn = (
        np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    )
    return np.einsum("ij,jtvm->itvm", turn, x)


def as_stream(x, stream):
    """Joints (3, T, V, M) as the reference's feeder would show them, without anything of ours."""
    if stream in ("acceleration", "rotation_axis", "angular_velocity"):
        return to_stream(torch.from_numpy(x)[None], stream, "utd20")[0].numpy()  # see test_streams
    if stream.startswith("bone"):
        bone = np.zeros_like(x)
        for child, parent in get_layout("utd20").bone_pairs:
            bone[:, :, child] = x[:, :, child] - x[:, :, parent]
        x = bone
    if stream.endswith("motion"):
        x = np.diff(x, axis=1, append=x[:, -1:])
    return x


@pytest.mark.parametrize("stream", STREAMS)
def test_a_batch_equals_clips_prepared_one_by_one(stream):
    settings = loader_settings(batch=6, window=16, min_crop=8)
    random = np.random.default_rng(shifted(1))
    clips = [random.normal(0, 1, (n, 2, 20, 3)).astype(np.float32) for n in (5, 8, 20, 40, 64, 300)]
    data = TrainingData([f"c{i}" for i in range(6)], join(clips, 2), torch.arange(6), "utd20")
    (batch,) = Loader(data, stream, settings, seed=shifted(3)).epoch(1)
    generator = torch.Generator().manual_seed(epoch_seed(shifted(3), 1))
    draw = make_feeder(settings, stream, "utd20").draw(torch.ones(6), generator, generator)
    assert batch.labels.tolist() == draw.order.tolist()
    for x, row, *numbers in zip(batch.x, *draw, strict=True):
        joints = one_by_one(clips[row], *(part.double().numpy() for part in numbers), settings)
        accepted = rounding_of(partial(as_stream, stream=stream), joints)
        assert_same_but_for_rounding(x.numpy(), as_stream(joints, stream), accepted)


def test_features_follow_their_clips():
    values, mask = torch.arange(10.0)[:, None], torch.arange(10) % 3 > 0
    data = made_data(picture=Values(values, mask), answer=Values(-values, ~mask))
    for batch in Loader(data, "joint", TRAIN, seed=1).epoch(3):
        picture, answer = batch.inputs["picture"], batch.inputs["answer"]
        assert picture.values[:, 0].tolist() == batch.labels.tolist()
        assert answer.values[:, 0].tolist() == (-batch.labels).tolist()
        assert picture.mask.tolist() == (batch.labels % 3 > 0).tolist()
        assert (answer.mask != picture.mask).all()


SMALL_CNN = CnnSettings(architecture="shufflenet_v2_x0_5", weights=None, num_classes=3, image_size=32)


@pytest.fixture
def montages(tmp_path):
    """Pictures of one colour each; c2 is missing, c3 damaged."""

    def work(names):
        images = [jpeg.encode(np.full((8, 8, 3), 10 * int(n[1:]), np.uint8), 95) for n in names]
        if "c3" in names:
            images[names.index("c3")] = b"no picture"
        return store.Batch(names, {"images": images}, {})

    names = [f"c{i}" for i in range(10) if i != 2]
    columns = {"images": store.Column("bytes")}
    path = tmp_path / "m.h5"
    store.write(
        path, schema="mmcl.montages/1", settings={}, names=names, columns=columns, batch_size=20, work=work
    )
    return store.Shards([path], "mmcl.montages/1")


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_follow_their_clips(montages, workers):
    data = made_data()
    clips = Clips(data.names, torch.device("cpu"), 1, workers)
    data.inputs["picture"] = Montages(montages, clips, SMALL_CNN)
    loader = Loader(data, "joint", TRAIN, seed=1)
    seen = set()
    for epoch in range(2):
        for batch in loader.epoch(epoch):
            picture, mask = batch.inputs["picture"]
            assert picture.shape == (4, 8, 8, 3)
            assert picture.dtype == torch.uint8
            there = [label not in (2, 3) for label in batch.labels.tolist()]
            assert mask.tolist() == there
            expected = [10 * label * has for label, has in zip(batch.labels.tolist(), there, strict=True)]
            assert picture.float().mean((1, 2, 3)).tolist() == pytest.approx(expected, abs=2)
            seen |= set(batch.labels.tolist())
    assert len(seen) > 8


def test_a_batch_without_any_picture():
    pictures, has = collate([None, None])
    assert pictures.shape == (2, 1, 1, 3)
    assert not has.any()


def test_montages_are_as_many_as_clips(montages):
    dataset = MontageFiles(montages, ["c1", "c2", "c3"])
    assert len(dataset) == 3
    assert dataset[0].shape == (8, 8, 3)
    assert dataset[1] is None
    assert dataset[2] is None


@pytest.mark.parametrize("accumulate", [2, 3])
def test_masked_means_of_parts_are_those_of_the_batch(accumulate):
    """FRM's loss and gradients in parts of unequal masks and sizes, to the batch's in float64."""
    torch.manual_seed(shifted(0))
    values, mask = torch.randn(10, 6), torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 0, 1], dtype=torch.bool)
    sides = []
    for parts in (1, accumulate):
        data = made_data(answer=Values(values, mask))
        drawn = next(Loader(data, "joint", loader_settings(batch=10, accumulate=parts), seed=1).drawn(0))
        assert (drawn.weights != {}) == (parts > 1)
        torch.manual_seed(shifted(1))
        term = frm(10, 6, input="hidden").double()
        scores, total = torch.randn(10, 10, dtype=torch.float64)[drawn.draw.order].requires_grad_(), 0.0
        for part, share in split((scores, drawn), parts):
            batch = Batch(part[0], data.labels[part[1].draw.order], part[1].inputs, part[1].weights)
            total = total + share * term.loss(part[0], part[0], batch)
        sides.append((total, *torch.autograd.grad(total, [scores, *term.parameters()])))
    for found, expected in zip(*sides, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_a_batch_has_no_more_parts_than_clips():
    with pytest.raises(UserError, match=r"train\.accumulate: a batch of 4 clips has no 5 parts"):
        Loader(made_data(), "joint", loader_settings(batch=4, accumulate=5), seed=1)
