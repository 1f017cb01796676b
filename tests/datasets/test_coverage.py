"""Whether the clips of a protocol are enough: expected by counting them."""

import numpy as np
import pytest

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.coverage import coverage
from mmcl.settings.protocol import SelectionSettings

GIVEN = SelectionSettings(protocol="given")


def entry(name: str, action: str, split: str, subject: int = 1, **more) -> ClipEntry:
    rest = {"frames": None, "skeleton": f"{name}.npz", "video": "", "left_out": "", **more}
    return ClipEntry(name, action, subject, 1, 1, split=split, **rest)


ENOUGH = [
    entry("a1", "wave", "train", 1),
    entry("b1", "sit", "train", 1),
    entry("a2", "wave", "train", 2),
    entry("b2", "sit", "train", 2),
    entry("a3", "wave", "test", 3),
]


def problems(entries, settings=GIVEN, excluded=()):
    found = coverage(entries, settings, excluded)
    return {use: found.problem(use) for use in ("encoded", "trained", "tested", "fitted")}


def test_enough_clips_have_no_problem():
    assert not any(problems(ENOUGH).values())
    assert coverage(ENOUGH, GIVEN).warning() == ""
    # a class that only trains is fine
    assert coverage([*ENOUGH, entry("c1", "jump", "train")], GIVEN).warning() == ""


def test_one_class_alone_is_refused_where_classes_are_learned():
    one = problems([clip for clip in ENOUGH if clip.action == "wave"])
    said = (
        "all 2 training clips of protocol given are of one class, 'wave', so there is nothing to tell apart"
    )
    assert one == {"encoded": "", "trained": said, "tested": "", "fitted": said}


@pytest.mark.parametrize("kind", ["train", "test"])
def test_a_side_without_clips_is_named_with_what_decides(kind):
    none = problems([clip for clip in ENOUGH if clip.split != kind])
    uses = {"train": ("encoded", "trained", "fitted"), "test": ("tested",)}[kind]
    count = {"train": 1, "test": 4}[kind]
    for use in uses:
        assert (
            f"has no {'training' if kind == 'train' else 'test'} clip among {count} usable ones" in none[use]
        )
        assert "reader own: column split" in none[use]
    by_camera = problems(ENOUGH, SelectionSettings(protocol="nw_ucla"))
    assert by_camera["tested"].endswith("the number of each clip's camera decides")


def test_clips_without_any_split_are_neither():
    none = problems([entry("a1", "wave", ""), entry("b1", "sit", "")])
    assert "has no training clip among 2 usable ones" in none["trained"]
    assert "has no test clip among 2 usable ones" in none["tested"]


def test_clips_that_take_no_part_do_not_count():
    out = [
        entry("a3", "wave", "test", left_out="no skeleton"),
        entry("b3", "sit", "test", skeleton=""),
        entry("c3", "", "test"),
        entry("d3", "sit", "test"),
    ]
    assert "no test clip among 4 usable ones" in problems([*ENOUGH[:4], *out], excluded={"d3"})["tested"]
    assert problems([*ENOUGH[:4], *out])["tested"] == ""


def test_fitted_weights_need_subjects():
    unknown = [entry(clip.name, clip.action, clip.split, 0) for clip in ENOUGH]
    assert problems(unknown)["fitted"] == (
        "fitted fusion weights need at least two training subjects, found 1; set ensemble.weights: equal"
    )
    assert problems(unknown)["trained"] == ""
    # subject 1 is held out, and subject 2 only waves
    lopsided = [clip for clip in ENOUGH if clip.name != "b2"]
    assert (
        "without every fifth training subject all training clips are of one class"
        in problems(lopsided)["fitted"]
    )


def test_classes_that_are_tested_and_not_trained_are_named():
    more = [entry(f"x{i}", f"new {i}", "test") for i in range(6)]
    warning = coverage([*ENOUGH, more[0]], GIVEN).warning()
    assert warning == (
        "1 test clips of protocol given are of 1 classes that no training clip has ('new 0'); they count as wrong"
    )
    assert "6 test clips of protocol given are of 6 classes" in coverage([*ENOUGH, *more], GIVEN).warning()
    assert "'new 4', …)" in coverage([*ENOUGH, *more], GIVEN).warning()


def test_any_order_of_the_index_gives_the_same():
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(ENOUGH))
        assert not any(problems([ENOUGH[i] for i in order]).values())
