import numpy as np
import pytest
import torch
from made_stores import make_stores, stream_settings, train

from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.recognise import Recogniser
from mmcl.report.player.recognised import BEGINNINGS, recognise, shortest_piece
from mmcl.settings.training import TrainSettings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    stores = make_stores(folder)
    settings = stream_settings(
        train__epochs=1, model__backbone="stgcn16", model__fam__enabled=False, model__frm__enabled=False
    )
    train(stores, folder, settings)
    return Recogniser.load([folder / "model.pt"], [1.0], torch.device("cpu")), SkeletonStore(
        stores["skeletons"]
    )


def test_the_last_score_is_that_of_the_clip(trained):
    recogniser, store = trained
    clip = store.clip(3)
    found, notes = recognise(recogniser, "mine", clip, "utd20")
    assert notes == []
    assert found.classes == ["a0", "a1", "a2", "a3"]
    assert found.ends[0] == 1
    assert found.ends[-1] == len(clip)
    assert found.scores.shape == (min(BEGINNINGS, len(clip)), 4)
    np.testing.assert_allclose(found.scores[-1], recogniser.scores([clip])[0], atol=1e-6)
    half = len(found.ends) // 2
    np.testing.assert_allclose(
        found.scores[half], recogniser.scores([clip[: found.ends[half]]], unchecked=True)[0], atol=1e-6
    )
    assert found.best(2) == np.argsort(-found.scores[-1])[:2].tolist()


def test_beginnings_without_anybody_are_not_recognised(trained):
    recogniser, store = trained
    clip = np.concatenate([np.zeros((4, 1, 20, 3), np.float32), store.clip(3)])
    found, _ = recognise(recogniser, "mine", clip, "utd20")
    assert found.ends[0] == 5


def test_a_clip_unlike_the_trainings_is_recognised_and_noted(trained):
    recogniser, store = trained
    _, notes = recognise(recogniser, "mine", 1000 * store.clip(3), "utd20")
    assert notes[0].startswith("unlike the model's training clips: its bones are ")
    assert notes[0].endswith("(mmcl predict refuses it)")


def test_a_clip_without_anybody_is_refused(trained):
    recogniser, store = trained
    for value, message in ((0, "has nobody in it"), (np.nan, "not finite")):
        with pytest.raises(UserError, match=message):
            recognise(recogniser, "mine", np.full_like(store.clip(3), value), "utd20")


@pytest.mark.parametrize(
    ("frames", "feeder", "shortest"),
    [(100, "resize", 64), (200, "resize", 100), (40, "resize", 40), (100, "ucla", 100)],
)
def test_the_shortest_piece_of_a_training(frames, feeder, shortest):
    train_settings = TrainSettings.model_validate({"feeder": feeder, "crop": [0.5, 1.0], "min_crop": 64})
    assert shortest_piece(train_settings, frames) == shortest
