"""What networks are shown of clips."""

import math

import numpy as np
import pytest
import torch
from made_stores import changed
from made_stores import train as train_made
from seeds import shifted

from mmcl.datasets.prepare import SkeletonStore
from mmcl.engine.seeds import epoch_seed
from mmcl.errors import UserError
from mmcl.evaluation.score import load_model, predict
from mmcl.layouts import get_layout
from mmcl.settings.base import replaced
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import join
from mmcl.training.feeders import make_feeder
from mmcl.training.loader import Loader, TrainingData

TRAIN = TrainSettings(repeat=5, batch=4, min_crop=3, window=6)
UCLA = TrainSettings(feeder="ucla", repeat=5, batch=7, window=52)
STREAMS = ["joint", "bone", "joint_motion", "bone_motion"]
LENGTHS = (1, 2, 5, 39, 52, 201)


def test_resize_draws_lie_within_the_settings():
    generator = torch.Generator().manual_seed(shifted(0))
    draw = make_feeder(TRAIN, "joint", "utd20").draw(torch.ones(200), generator, generator)
    assert torch.bincount(draw.order).tolist() == [5] * 200
    assert 0.5 <= draw.share.min() < 0.51
    assert 0.99 < draw.share.max() <= 1
    assert -0.3 <= draw.angles.min() < -0.299
    assert 0.299 < draw.angles.max() <= 0.3


def test_resize_shows_the_middle_of_the_clip():
    ramp = np.tile(np.arange(100, dtype=np.float32)[:, None, None, None], (1, 1, 20, 3))
    feeder = make_feeder(replaced(TRAIN, window=96), "joint", "utd20")
    x = feeder.test_view(join([ramp], 1), torch.tensor([0]))
    assert x.shape == (1, 3, 96, 20, 1)
    np.testing.assert_array_equal(x[0, 0, :, 0, 0], np.arange(2, 98))


def made_clips():
    random = np.random.default_rng(shifted(4))
    return [
        random.normal(0, 0.4, (n, 1, 20, 3)).astype(np.float32) + np.float32([0, 0.5, 3]) for n in LENGTHS
    ]


def filled(clip, agx, agy):
    """A clip (T, 20, 3) seen from (agx, agy) degrees and stretched to -1 ... 1, by the formulas, in float64."""
    x = clip.astype(np.float64) - clip[0, 1]
    cx, sx, cy, sy = (f(math.radians(a)) for a in (agx, agy) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    scale = 1.3 * np.eye(3)  # drawn by the feeder, without effect
    points = x.reshape(-1, 3) @ (about_y @ (about_x @ scale))
    points = (points - points.min(0)) / (points.max(0) - points.min(0)) * 2 - 1
    return points.reshape(x.shape)


def shown(frames, stream):
    """Frames (T, 20, 3) as a stream (3, T, 20, 1)."""
    x = frames.copy()
    if stream.startswith("bone"):
        for child, parent in get_layout("ucla20").bone_pairs:
            x[:, child] = frames[:, child] - frames[:, parent]
    if stream.endswith("motion"):
        x[:-1] = x[1:] - x[:-1]
        x[-1] = 0
    return x.transpose(2, 0, 1)[..., None]


def drawn_one_by_one(length, uniform):
    """Floyd's algorithm on 100 copies of the frames."""
    pool = max(100 * length, len(uniform))
    chosen = set()
    for step, u in enumerate(uniform):
        last = pool - len(uniform) + step
        pick = int(u * (last + 1))
        chosen.add(last if pick in chosen else pick)
    assert len(chosen) == len(uniform)
    return sorted(number % length for number in chosen)


@pytest.mark.parametrize("stream", STREAMS)
def test_ucla_batches_equal_clips_prepared_one_by_one(stream):
    clips = made_clips()
    data = TrainingData([f"c{i}" for i in range(6)], join(clips, 1), torch.arange(6), "ucla20")
    loader = Loader(data, stream, UCLA, seed=shifted(3))
    generator = torch.Generator().manual_seed(epoch_seed(shifted(3), 2))
    draw = loader.feeder.draw(torch.tensor(LENGTHS), generator, generator)
    uniform = torch.Generator().manual_seed(epoch_seed(shifted(3), 2))
    torch.randperm(30, generator=uniform), torch.randint(-60, 61, (30, 2), generator=uniform)
    uniform = torch.rand(30, 52, dtype=torch.float64, generator=uniform)
    assert torch.bincount(draw.order).tolist() == [5] * 6
    batches = list(loader.epoch(2))
    assert [len(batch.labels) for batch in batches] == [7] * 4
    x = torch.cat([batch.x for batch in batches])
    assert x.shape == (28, 3, 52, 20, 1)
    assert torch.cat([batch.labels for batch in batches]).tolist() == draw.order[:28].tolist()
    for own, row, degrees, _, numbers in zip(x, *draw, uniform, strict=False):
        frames = drawn_one_by_one(len(clips[row]), numbers.tolist())
        expected = shown(filled(clips[row][:, 0], *degrees.tolist())[frames], stream)
        np.testing.assert_allclose(own.numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("stream", STREAMS)
def test_ucla_shows_even_frames_of_the_whole_clip(stream):
    clips = made_clips()
    rows = torch.tensor([5, 0, 3, 4, 1, 2])
    # centring and float32 as the reader does it
    x = make_feeder(UCLA, stream, "ucla20").test_view(join([c - c[0, 0, 1] for c in clips], 1), rows)
    assert x.shape == (6, 3, 52, 20, 1)
    for own, row in zip(x, rows.tolist(), strict=True):
        frames = np.linspace(0, len(clips[row]) - 1, 52).astype(int)
        expected = shown(filled(clips[row][:, 0], 0, 0)[frames], stream)
        np.testing.assert_allclose(own.numpy(), expected, rtol=0, atol=2e-5)


def test_ucla_draws():
    generator = torch.Generator().manual_seed(shifted(0))
    draw = make_feeder(UCLA, "joint", "ucla20").draw(torch.full((1000,), 3), generator, generator)
    assert draw.degrees.shape == (5000, 2)
    assert (draw.degrees.min(), draw.degrees.max()) == (-60, 60)
    assert sorted(set(draw.degrees.flatten().tolist())) == list(range(-60, 61))
    assert draw.frames.shape == (5000, 52)
    assert (draw.frames.diff(dim=1) >= 0).all()
    assert torch.bincount(draw.frames.flatten()).tolist() == pytest.approx([260_000 / 3] * 3, rel=0.01)


def test_ucla_is_for_one_person():
    clips = join([np.ones((4, 2, 20, 3), np.float32)], 2)
    with pytest.raises(UserError, match=r"train.feeder ucla shows one person"):
        Loader(TrainingData(["a", "b"], clips, torch.arange(2), "ucla20"), "joint", UCLA, seed=1)


def test_epochs_and_seeds_show_other_views():
    data = TrainingData(["a", "b"], join(made_clips()[-2:], 1), torch.arange(2), "ucla20")

    def first(seed, epoch):
        return next(Loader(data, "joint", replaced(UCLA, batch=10), seed=seed).epoch(epoch)).x

    torch.testing.assert_close(first(1, 0), first(1, 0), rtol=0, atol=0)
    views = [first(1, 0), first(1, 1), first(2, 0)]
    assert min((views[i] - views[i - 1]).abs().max() for i in range(3)) > 0.1


def test_a_model_is_shown_clips_as_it_was_trained(stores, settings, tmp_path):
    off = {"model__fam__enabled": False, "model__frm__enabled": False}
    options = {"train__feeder": "ucla", "train__epochs": 1, "stream": "bone_motion", **off}
    train_made(stores, tmp_path, changed(settings, **options))
    trained = load_model(tmp_path / "model.pt")
    assert trained.about["feeder"] == "ucla"
    source = SkeletonStore(stores["skeletons"])
    clips = [source.clip(row) for row in range(5)]
    logits = predict(trained, clips)
    for feeder, same in (("ucla", True), ("resize", False)):
        view = make_feeder(replaced(trained.settings.train, feeder=feeder), "bone_motion", source.layout)
        x = view.test_view(join(clips, 1), torch.arange(5))
        with torch.no_grad():
            expected = trained.model.backbone(x).numpy()
        assert np.allclose(logits, expected, rtol=1e-4, atol=1e-4) is same
