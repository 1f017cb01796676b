import json

import numpy as np
import pytest

from mmcl import store
from mmcl.demo import pictures
from mmcl.demo.actions import OBJECTS
from mmcl.demo.questions import QUESTIONS, vocabulary_texts
from mmcl.demo.vocabulary import SPECIAL, entries
from mmcl.settings.base import replaced
from mmcl.settings.demo import DemoWeightsSettings

WEIGHTS = DemoWeightsSettings()
SMALL = replaced(WEIGHTS.train, subjects=(95, 95), repeats=1, frames=(10, 12))


@pytest.fixture(scope="module")
def drink():
    job = next(job for job in pictures.plan(SMALL) if job.action == 1)
    return pictures.draw_one(job, SMALL)


def test_half_of_the_clips_hold_something_else_than_the_actions_object():
    jobs = pictures.plan(WEIGHTS.train)
    own = [job for job in jobs if job.held is None]
    other = [job.held for job in jobs if job.held is not None]
    assert len(jobs) == 60 * 12 * 4
    assert len({job.name for job in jobs}) == len(jobs)
    assert len(own) == len(jobs) // 2
    assert 0.45 < np.mean([held == "none" for held in other]) < 0.55
    for kind in OBJECTS.values():
        assert 0.07 < np.mean([held == kind for held in other]) < 0.13


def test_training_held_out_and_demo_subjects_are_different(project):
    import yaml

    datasets = yaml.safe_load((project / "resources/demo/config.yaml").read_text())["datasets"].values()
    drawn = [dataset["drawn"] for dataset in datasets if "drawn" in dataset]
    demo = {subject for settings in drawn for subject in settings["subjects"]}
    parts = [
        set(range(first, last + 1)) for first, last in (WEIGHTS.train.subjects, WEIGHTS.held_out.subjects)
    ]
    assert not parts[0] & parts[1]
    assert not demo & (parts[0] | parts[1])


def test_a_row_is_a_montage_five_frames_and_facts(drink):
    from mmcl.video import jpeg

    assert jpeg.decode(drink["montage"]).shape == (480, 480, 3)
    assert [jpeg.decode(frame).shape for frame in drink["frames"]] == [(270, 480, 3)] * 5
    boxes = drink["boxes"]
    assert boxes.shape == (5, 2, 4)
    assert np.isfinite(boxes[:, 0]).all()
    assert np.isnan(boxes[:, 1]).all()
    height = boxes[:, 0, 3] - boxes[:, 0, 1]
    assert ((height > 60) & (height < 270)).all()
    facts = pictures.Facts(**json.loads(drink["facts"]))
    assert (facts.action, facts.object, facts.persons, facts.hand_at_head) == (1, "cup", 1, True)
    assert QUESTIONS["holding"].answer(facts) == "yes"
    assert QUESTIONS["object"].answer(facts) == "cup"
    assert QUESTIONS["holding ball"].answer(facts) == "no"


def test_the_person_is_in_the_box_and_not_in_the_empty_room(drink):
    from mmcl.video import jpeg

    frame, empty = (jpeg.decode(drink[k] if k == "empty" else drink[k][2]) for k in ("frames", "empty"))
    change = np.abs(frame.astype(int) - empty).mean(2)
    x1, y1, x2, y2 = drink["boxes"][2, 0].astype(int)
    assert change[y1:y2, x1:x2].mean() > 4 * change[:, : x1 - 60].mean()


def test_the_same_job_gives_the_same_bytes(drink):
    job = next(job for job in pictures.plan(SMALL) if job.action == 1)
    again = pictures.draw_one(job, SMALL)
    assert again["montage"] == drink["montage"]
    assert again["frames"] == drink["frames"]


def test_the_store_gives_back_what_was_drawn(tmp_path, drink):
    job = next(job for job in pictures.plan(SMALL) if job.action == 1)
    columns = {"montage": "bytes", "empty": "bytes", "facts": "text"}
    shapes = {**{k: store.Column(v) for k, v in columns.items()}, "frames": store.Column("bytes", (5,))}
    shapes |= {
        "boxes": store.Column("float32", (5, 2, 4)),
        "keypoints": store.Column("float32", (5, 2, 17, 2)),
        "object_at": store.Column("float32", (5, 2)),
    }
    rows = {key: [drink[key]] for key in shapes}
    names = {"names": [job.name], "batch_size": 1, "work": lambda names: store.Batch(names, rows, {})}
    store.write(tmp_path / "p.h5", schema=pictures.SCHEMA, settings={}, columns=shapes, **names)
    table = pictures.Pictures(tmp_path / "p.h5")
    assert table.facts()[0].object == "cup"
    assert next(iter(table.montages())).shape == (480, 480, 3)
    frames = list(table.frames())
    assert [len(boxes) for _, boxes in frames] == [1, 1, 1, 1, 1, 0]


def test_the_vocabulary_spells_every_english_word():
    known = entries(vocabulary_texts())
    assert known[: len(SPECIAL)] == list(SPECIAL)
    assert len(known) == len(set(known))
    assert {"holding", "objects", "yes", "no", "cup", "shaking", "a", "##z", "?"} <= set(known)
