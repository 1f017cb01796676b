"""The committed weights do what their card states."""

import json

import numpy as np
import pytest

from mmcl.demo import measure_weights, pictures
from mmcl.demo.weights import FOLDER, draw_part
from mmcl.naming import sha256
from mmcl.settings.base import replaced
from mmcl.settings.demo import DemoWeightsSettings

SETTINGS = DemoWeightsSettings()
FILES = {
    "vlm": "vlm",
    "cnn": "cnn.safetensors",
    "detector": "detector.safetensors",
    "pose": "pose.safetensors",
}


@pytest.fixture(scope="module")
def card():
    return json.loads((FOLDER / "figures.json").read_text())


@pytest.fixture(scope="module")
def clips():
    """One clip per action of a held-out subject: montages, facts, frames with boxes."""
    from mmcl.video import jpeg

    settings = replaced(SETTINGS.held_out, subjects=(92, 92), repeats=1)
    rows = [pictures.draw_one(job, settings) for job in pictures.plan(settings)]
    montages = [jpeg.decode(row["montage"]) for row in rows]
    facts = [pictures.Facts(**json.loads(row["facts"])) for row in rows]
    frames = [(jpeg.decode(r["frames"][2]), r["boxes"][2][np.isfinite(r["boxes"][2][:, 0])]) for r in rows]
    return montages, facts, frames


@pytest.mark.parametrize("kind", FILES)
def test_the_card_is_about_these_files(card, kind):
    place = FOLDER / FILES[kind]
    file = place / "model.safetensors" if place.is_dir() else place
    assert card[kind]["sha256"] == sha256(place)
    assert card[kind]["bytes"] == file.stat().st_size < 6_000_000
    assert card[kind]["sha256"] in (FOLDER / "README.md").read_text()


def test_the_figures_reach_the_goals(card):
    def share(counts: dict, right: str = "right", of: str = "clips") -> float:
        return counts[right] / counts[of]

    for measured in ("held_out", "demo"):
        assert share(card["vlm"][measured]["holding"]) >= 0.9
        assert share(card["cnn"][measured]) >= 0.8
        assert share(card["detector"][measured], "found", "people") >= 0.98
        assert share(card["detector"][measured], "both", "pairs") >= 0.95
    pose = card["pose"]["held_out"]
    assert share(pose, "found", "people") >= 0.98
    assert share(pose, "near", "keypoints") >= 0.75
    assert pose["median_px"] < 6
    assert pose["worst_median_px"] < 15


def test_the_vlm_answers_a_handful_of_clips(clips):
    montages, facts, _ = clips
    figures = measure_weights.measure_vlm(FOLDER / "vlm", montages, facts)
    assert figures["holding"]["clips"] == 12
    assert figures["holding"]["right"] >= 11
    assert figures["object"]["right"] >= 9
    assert figures["count"]["right"] >= 11


def test_an_unknown_instruction_is_answered_with_yes_or_no(clips):
    import torch

    from mmcl.vlm import open_vlm

    vlm = open_vlm(measure_weights.vlm_settings(FOLDER / "vlm"), torch.device("cpu"))
    (answers,) = vlm.answer(clips[0][:4], ["Are these people carrying any objects with them, or not?"])
    assert set(answers.text) <= {"yes", "no"}
    assert np.isfinite(answers.p_yes).all()
    assert answers.mask.sum(1).tolist() == [2, 2, 2, 2]


def test_the_cnn_names_a_handful_of_objects(clips):
    montages, facts, _ = clips
    assert (
        measure_weights.measure_cnn(FOLDER / "cnn.safetensors", SETTINGS.cnn, montages, facts)["right"] >= 10
    )


def test_the_pose_estimator_finds_a_handful_of_joints():
    from mmcl.video import jpeg

    settings = replaced(SETTINGS.held_out, subjects=(93, 93), repeats=1)
    rows = [pictures.draw_one(job, settings) for job in pictures.plan(settings)]
    frames = [(jpeg.decode(r["frames"][2]), r["boxes"][2], r["keypoints"][2]) for r in rows]
    there = [np.isfinite(boxes[:, 0]) for _, boxes, _ in frames]
    frames = [(image, b[on], k[on]) for (image, b, k), on in zip(frames, there, strict=True)]
    figures = measure_weights.measure_pose(FOLDER / "pose.safetensors", SETTINGS.pose, frames)
    assert figures["found"] >= figures["people"] - 1
    assert figures["near"] >= 0.6 * figures["keypoints"]
    assert figures["median_px"] < 8
    assert figures["worst_median_px"] < 25  # none of the 17 keypoints lies elsewhere altogether


def test_the_detector_finds_a_handful_of_people(clips):
    figures = measure_weights.measure_detector(FOLDER / "detector.safetensors", SETTINGS.detector, clips[2])
    assert figures["people"] == 14
    assert figures["found"] >= 13


@pytest.mark.slow
def test_the_figures_of_the_card_come_out_again(card, tmp_path):
    draw_part("held_out", tmp_path / "held_out.h5", SETTINGS, threads=2)
    figures = measure_weights.measure_pictures(tmp_path / "held_out.h5", FOLDER, SETTINGS)
    assert SETTINGS.held_out.subjects == (91, 99)
    # other processors round differently: a clip may change
    for question, counts in figures["vlm"].items():
        assert abs(counts["right"] - card["vlm"]["held_out"][question]["right"]) <= 2
    assert abs(figures["cnn"]["right"] - card["cnn"]["held_out"]["right"]) <= 2
    assert abs(figures["detector"]["found"] - card["detector"]["held_out"]["found"]) <= 3
    assert abs(figures["pose"]["near"] - card["pose"]["held_out"]["near"]) <= 100
