"""The trainings at a size at which nothing is learned: the weights open where the workflow opens them."""

import numpy as np
import pytest

from mmcl.demo import (
    learning,
    measure_weights,
    pictures,
    train_cnn,
    train_detector,
    train_pose,
    train_vlm,
)
from mmcl.demo.weights import FOLDER
from mmcl.errors import UserError
from mmcl.naming import sha256
from mmcl.settings.demo import DemoWeightsSettings


def settings(**networks):
    """Settings of the demo's networks at a small size."""
    drawn = {"subjects": [96, 96], "repeats": 1, "frames": [5, 6], "batch": 12}
    small = {name: {"epochs": 1, "batch": 6, **changed} for name, changed in networks.items()}
    return DemoWeightsSettings.model_validate({"train": drawn, **small})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "pictures.h5"
    pictures.draw_training_pictures(path, settings().train, processes=1)
    return path


def test_a_trained_vlm_answers(drawn, tmp_path):
    small = settings(vlm={"image_size": 60, "patch_size": 20, "hidden": 32, "epochs": 1, "precision": "fp32"})
    loss = train_vlm.train_vlm(drawn, tmp_path / "vlm", small, tmp_path / "work", 1)
    assert np.isfinite(loss).all()
    table = pictures.Pictures(drawn)
    figures = measure_weights.measure_vlm(tmp_path / "vlm", list(table.montages()), table.facts())
    assert figures["holding"]["clips"] == 12
    again = train_vlm.train_vlm(drawn, tmp_path / "again", small, tmp_path / "work", 1)
    assert again == loss


def test_a_stopped_training_ends_with_the_same_weights(drawn, tmp_path, monkeypatch):
    small = settings(vlm={"image_size": 60, "patch_size": 20, "hidden": 32, "epochs": 2, "precision": "fp32"})
    train_vlm.train_vlm(drawn, tmp_path / "vlm", small, tmp_path / "work", 1)
    assert list((tmp_path / "work").iterdir()) == []

    def stopped(self, epoch):
        if epoch:
            raise KeyboardInterrupt
        return begun(self, epoch)

    begun = train_vlm.VlmTask.begin_epoch
    monkeypatch.setattr(train_vlm.VlmTask, "begin_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_vlm.train_vlm(drawn, tmp_path / "again", small, tmp_path / "work", 1)
    monkeypatch.undo()
    assert (tmp_path / "work" / "last.pt").exists()
    train_vlm.train_vlm(drawn, tmp_path / "again", small, tmp_path / "work", 1)
    assert sha256(tmp_path / "again") == sha256(tmp_path / "vlm")


def test_a_trained_cnn_opens(drawn, tmp_path):
    small = settings(cnn={"image_size": 80})
    (loss,) = train_cnn.train_cnn(drawn, tmp_path / "cnn.safetensors", small, tmp_path / "work", 1)
    assert 1.0 < loss < 3.0
    table = pictures.Pictures(drawn)
    montages = list(table.montages())
    figures = measure_weights.measure_cnn(tmp_path / "cnn.safetensors", small.cnn, montages, table.facts())
    assert figures["clips"] == 12


def test_a_trained_detector_opens(drawn, tmp_path):
    small = settings(detector={"frames_per_clip": 1.0, "precision": "fp32"})
    weights = tmp_path / "detector.safetensors"
    (loss,) = train_detector.train_detector(drawn, weights, small, tmp_path / "work", 1)
    assert np.isfinite(loss)
    frames = list(pictures.Pictures(drawn).frames())[:6]
    figures = measure_weights.measure_detector(weights, small.detector, frames)
    assert figures["frames"] == 6
    assert figures["people"] == 6


def test_points_move_with_the_augmented_montage():
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.uniform(0.02, 0.98, (5, 2))
        points[:, 0] = (np.arange(5) + rng.uniform(0.3, 0.7, 5)) / 5
        points[:, 1] = rng.uniform(0.1, 0.9, 5)
        points[2] = np.nan
        montage = np.full((100, 100, 3), 40, np.uint8)
        for x, y in points[[0, 1, 3, 4]]:
            montage[int(y * 100), int(x * 100)] = 220
        picture, moved = learning.augment(montage, points, rng)
        assert np.isnan(moved[2]).all()
        for x, y in moved[[0, 1, 3, 4]]:
            around = picture[
                max(int(y * 100) - 1, 0) : int(y * 100) + 2, max(int(x * 100) - 1, 0) : int(x * 100) + 2
            ]
            assert around.max() > 150


def test_patches_around_an_object_are_ignored():
    points = np.full((1, 5, 2), np.nan)
    points[0, 1] = 0.35, 0.15
    labels = train_vlm.patch_labels(points, np.array([3]), 10).reshape(10, 10)
    assert labels[1, 3] == 3
    assert (labels == -100).sum() == 8
    assert (labels == 0).sum() == 91


def test_a_trained_pose_estimator_opens(drawn, tmp_path):
    small = settings(pose={"frames_per_clip": 1.0, "precision": "fp32"})
    weights, work = tmp_path / "pose.safetensors", tmp_path / "work"
    (loss,) = train_pose.train_pose(drawn, weights, small, work, 1, FOLDER / "detector.safetensors")
    assert np.isfinite(loss)
    figures = measure_weights.measure_pose(weights, small.pose, list(pictures.Pictures(drawn).people())[:6])
    assert figures["people"] == 6
    # it starts from a detector that finds people
    assert figures["found"] >= 5
    with pytest.raises(UserError, match="is no detector of the body of yolov5n-pose"):
        train_pose.train_pose(drawn, weights, small, work, 1, FOLDER / "cnn.safetensors")


def test_keypoints_move_with_the_picture_and_change_sides_when_it_is_mirrored():
    rng = np.random.default_rng(3)
    picture = np.full((192, 320, 3), 30, np.uint8)
    keypoints = np.float32([[[110 + 2 * k, 70 + 4 * k] for k in range(17)]])
    x, y = keypoints[0, 7].astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 230
    sides = set()
    for _ in range(20):
        example = train_detector.Example(picture, np.float32([[100, 60, 150, 140]]), keypoints)
        seen, _, moved = train_detector.augment(example, rng)
        bright = seen.mean(2)
        y, x = np.argwhere(bright > 0.8 * bright.max()).mean(0) + 0.5
        apart = np.abs(moved[0, [7, 8]] - (x, y)).max(1)
        assert apart.min() < 2.5
        sides.add(int(apart.argmin()))
    assert sides == {0, 1}


def test_a_mirrored_and_scaled_box_stays_around_what_it_marks():
    rng = np.random.default_rng(2)
    picture = np.full((192, 320, 3), 30, np.uint8)
    picture[60:140, 100:150] = 230
    for _ in range(20):
        example = train_detector.Example(picture, np.float32([[100, 60, 150, 140]]), np.empty((1, 0, 2)))
        seen, boxes, _ = train_detector.augment(example, rng)
        bright = np.argwhere(seen.mean(2) > 140)
        top, left = bright.min(0)
        bottom, right = bright.max(0) + 1
        np.testing.assert_allclose(boxes[0], [left, top, right, bottom], atol=1.5)


def test_every_true_box_is_matched_once():
    true = np.float32([[0, 0, 10, 20], [30, 0, 40, 20]])
    found = np.float32([[0, 1, 10, 20], [0, 0, 10, 19], [33, 0, 43, 20]])
    assert measure_weights.overlap(true[1], found[2]) == pytest.approx(140 / 260)
    assert measure_weights.matched(true, found) == 2
    assert measure_weights.matched(true, found[:2]) == 1
    assert measure_weights.matched(true[:0], found) == 0
