"""The trainers, at a size at which nothing is learned: what they write opens where the workflow opens it."""

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

SETTINGS = {**pictures.SETTINGS, "subjects": [96, 96], "repeats": 1, "frames": [5, 6], "processes_batch": 12}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "pictures.h5"
    pictures.draw_training_pictures(path, SETTINGS)
    return path


def test_a_trained_vlm_answers(drawn, tmp_path):
    settings = {
        **train_vlm.SETTINGS,
        "image_size": 60,
        "patch_size": 20,
        "hidden": 32,
        "epochs": 1,
        "batch": 6,
    }
    loss = train_vlm.train_vlm(drawn, tmp_path / "vlm", settings | {"precision": "fp32"})
    assert np.isfinite(loss).all()
    table = pictures.Pictures(drawn)
    figures = measure_weights.measure_vlm(tmp_path / "vlm", list(table.montages()), table.facts())
    assert figures["holding"]["clips"] == 12
    again = train_vlm.train_vlm(drawn, tmp_path / "again", settings | {"precision": "fp32"})
    assert again == loss


def test_a_trained_cnn_opens(drawn, tmp_path):
    settings = {**train_cnn.SETTINGS, "epochs": 1, "batch": 6, "image_size": 80}
    (loss,) = train_cnn.train_cnn(drawn, tmp_path / "cnn.safetensors", settings)
    assert 1.0 < loss < 3.0
    table = pictures.Pictures(drawn)
    figures = measure_weights.measure_cnn(tmp_path / "cnn.safetensors", list(table.montages()), table.facts())
    assert figures["clips"] == 12


def test_a_trained_detector_opens(drawn, tmp_path):
    settings = {**train_detector.SETTINGS, "epochs": 1, "batch": 6, "frames_per_clip": 1, "precision": "fp32"}
    (loss,) = train_detector.train_detector(drawn, tmp_path / "detector.safetensors", settings)
    assert np.isfinite(loss)
    frames = list(pictures.Pictures(drawn).frames())[:6]
    figures = measure_weights.measure_detector(tmp_path / "detector.safetensors", frames)
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


def test_patches_around_an_object_are_not_asked():
    points = np.full((1, 5, 2), np.nan)
    points[0, 1] = 0.35, 0.15
    labels = train_vlm.patch_labels(points, np.array([3]), 10).reshape(10, 10)
    assert labels[1, 3] == 3
    assert (labels == -100).sum() == 8
    assert (labels == 0).sum() == 91


def test_a_trained_pose_estimator_opens(drawn, tmp_path):
    settings = {**train_pose.SETTINGS, "epochs": 1, "batch": 6, "frames_per_clip": 1, "precision": "fp32"}
    place = tmp_path / "pose.safetensors"
    (loss,) = train_pose.train_pose(drawn, place, settings, detector=FOLDER / "detector.safetensors")
    assert np.isfinite(loss)
    figures = measure_weights.measure_pose(place, list(pictures.Pictures(drawn).people())[:6])
    assert figures["people"] == 6
    # it starts from a detector that finds people
    assert figures["found"] >= 5
    with pytest.raises(UserError, match="is no detector of the body of yolov5n-pose"):
        train_pose.train_pose(drawn, place, settings, detector=FOLDER / "cnn.safetensors")


def test_keypoints_move_with_the_picture_and_change_sides_when_it_is_mirrored():
    rng = np.random.default_rng(3)
    picture = np.full((192, 320, 3), 30, np.uint8)
    keypoints = np.float32([[[110 + 2 * k, 70 + 4 * k] for k in range(17)]])
    x, y = keypoints[0, 7].astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 230
    sides = set()
    for _ in range(20):
        seen, _, moved = train_detector.vary(picture, np.float32([[100, 60, 150, 140]]), keypoints, rng)
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
        seen, boxes = train_detector.augment(picture, np.float32([[100, 60, 150, 140]]), rng)
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
