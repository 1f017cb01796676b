"""Skeletons that a network cannot know are told from those that it was trained with."""

import zipfile

import numpy as np
import pytest
from made_bodies import body

from mmcl.datasets import open_reader, reader_settings
from mmcl.layouts import get_layout
from mmcl.settings.explain import validated
from mmcl.skeleton.cleaning import centred
from mmcl.skeleton.mapping import map_joints
from mmcl.skeleton.statistics import (
    TrainingClips,
    centred_alike,
    differences,
    training_clips,
)


def made(seed: int, layout: str = "ucla20", turn: float = 0.0) -> np.ndarray:
    """A made body, turned about the vertical by `turn` radians and centred."""
    c, s = np.cos(turn), np.sin(turn)
    clip = body(seed, name=layout) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return centred(clip, np.ones(clip.shape[:2], bool), get_layout(layout).centre)


def axes(*order: int):
    """Axes in another order, 1 to 3; negative ones are negated, 0 is flat."""
    return lambda x: np.stack([np.sign(a) * x[..., abs(a) - 1] for a in order], axis=-1)


def exchanged(x: np.ndarray) -> np.ndarray:
    """Left and right joints exchanged."""
    order = np.arange(x.shape[2])
    for left, right in get_layout("ucla20").left_right:
        order[[left, right]] = right, left
    return x[:, :, order]


@pytest.fixture(scope="module")
def frontal() -> TrainingClips:
    """Of forty people who face the camera."""
    found = training_clips([made(seed) for seed in range(40)], "ucla20")
    assert found
    return found


@pytest.fixture(scope="module")
def all_round() -> TrainingClips:
    """Of forty people seen from anywhere."""
    found = training_clips([made(seed, turn=seed) for seed in range(40)], "ucla20")
    assert found
    return found


def kinds(own, clips, **more) -> list[list[tuple[str, bool]]]:
    found = differences(own, clips, "ucla20", **more)
    return [[(one.kind, one.refused) for one in each] for each in found]


def test_people_like_those_of_the_training_pass(frontal, all_round):
    for clips in ([made(seed) for seed in range(50, 80)], [made(90)], [0.8 * made(91)], [1.2 * made(92)]):
        assert not any(kinds(frontal, clips))
        assert not any(kinds(all_round, clips))
    turned = [made(seed, turn=seed) for seed in range(50, 80)]
    assert not any(kinds(all_round, turned))
    odd = made(95)
    odd[7] *= 50  # a frame out of forty
    assert not any(kinds(frontal, [odd]))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("unit", lambda x: 1000 * x),
        ("unit", lambda x: x / 1000),
        ("unit", lambda x: 3.28 * x),
        ("flat", axes(1, 2, 0)),
        ("upright", axes(1, -2, 3)),
        ("upright", axes(1, -2, -3)),
        ("upright", axes(1, 3, 2)),
        ("upright", axes(1, -3, 2)),
        ("upright", axes(2, 1, 3)),
        ("upright", axes(2, 3, 1)),
        ("layout", lambda x: x[:, :, ::-1]),
        ("layout", lambda x: x[:, :, np.random.default_rng(0).permutation(20)]),
        ("layout", lambda x: map_joints(x, "ucla20", "utd20")),
    ],
)
@pytest.mark.parametrize("training", ["frontal", "all_round"])
def test_a_single_clip_of_another_kind_is_refused(kind, change, training, request):
    own = request.getfixturevalue(training)
    for seed in (60, 61):
        (found,) = kinds(own, [change(made(seed))])
        assert (kind, True) in found


@pytest.mark.parametrize("change", [axes(3, 2, 1), axes(-1, 2, 3), axes(-1, 2, -3), exchanged])
def test_one_side_alone_is_known_where_the_training_saw_one(frontal, all_round, change):
    assert ("facing", True) in kinds(frontal, [change(made(60))])[0]
    assert kinds(all_round, [change(made(60))])[0] in ([], [("mirrored", True)])


@pytest.mark.parametrize("change", [axes(3, 2, 1), axes(-1, 2, 3), axes(1, 2, -3), exchanged])
def test_a_set_that_is_mirrored_is_refused(all_round, change):
    found = kinds(all_round, [change(made(seed, turn=seed)) for seed in range(50, 70)])
    assert found == [[("mirrored", True)]] * 20


def test_a_person_who_lies_is_refused_only_where_nobody_lay_in_the_training(frontal):
    lies = axes(2, -1, 3)
    assert kinds(frontal, [lies(made(60))]) == [[("upright", True)]]
    own = training_clips([made(s) if s % 10 else lies(made(s)) for s in range(40)], "ucla20")
    assert not any(kinds(own, [lies(made(60)), made(61)]))
    # of many clips half would have to lie
    assert kinds(own, [lies(made(seed)) for seed in range(50, 70)]) == [[("upright", True)]] * 20


def test_milder_differences_warn(frontal):
    assert kinds(frontal, [0.55 * made(60)]) == [[("size", False)]]
    longer = made(60)
    legs = [get_layout("ucla20").index(f"{j}_{s}") for j in ("ankle", "foot") for s in ("left", "right")]
    longer[:, :, legs] += np.array([0, -0.5, 0], np.float32)
    assert kinds(frontal, [longer]) == [[("layout", False)]]


def test_flat_training_clips():
    flat = axes(1, 2, 0)
    own = training_clips([flat(made(seed)) for seed in range(40)], "ucla20")
    assert kinds(own, [flat(made(60))]) == [[]]
    assert kinds(own, [made(60)]) == [[("depth", True)]]


def test_messages_name_the_cause_and_what_to_do(frontal):
    def said(clip):
        return differences(frontal, [clip], "ucla20")[0][0].message

    assert "scale (metres per unit), here about 0.001" in said((1000 * made(60)).astype(np.float32))
    assert "scale (metres per unit), here about 100" in said(made(60) / 100)
    assert "upright along −y, the training's along +y" in said(axes(1, -2, 3)(made(60)))
    assert "upright along +z, the training's along +y" in said(axes(1, 3, 2)(made(60)))
    assert "it is flat (2-D)" in said(axes(1, 2, 0)(made(60)))
    assert "the order of another layout" in said(map_joints(made(60), "ucla20", "utd20"))


def test_clips_are_centred_as_those_of_the_training(frontal):
    assert frontal.centre == get_layout("ucla20").centre
    clip = made(60)
    assert np.array_equal(centred_alike(frontal, clip), clip)
    np.testing.assert_allclose(centred_alike(frontal, clip + np.float32(2)), clip, atol=1e-6)
    elsewhere = training_clips([made(seed) + 3 for seed in range(5)], "ucla20")
    assert elsewhere.centre is None
    assert np.array_equal(centred_alike(elsewhere, clip + 1), clip + 1)
    assert np.array_equal(centred_alike(None, clip + 1), clip + 1)


def test_what_is_kept_is_read_back(frontal):
    assert validated(TrainingClips, frontal.dump(), "model.pt") == frontal
    assert training_clips([np.zeros((4, 1, 20, 3), np.float32)], "ucla20") is None
    two = np.concatenate([np.zeros((40, 1, 20, 3), np.float32), made(1)], axis=1)  # person 1 is absent
    assert training_clips([two], "ucla20").size == pytest.approx(training_clips([made(1)], "ucla20").size)


def test_no_real_test_clip_is_refused(mmcl_data, tmp_path):
    """UTD-MHAD: trained on the odd subjects, looked at on the even ones."""
    with zipfile.ZipFile(mmcl_data / "utd-mhad-skeleton.zip") as archive:
        for name in archive.namelist():
            if name.endswith(("_t1_skeleton.mat", "_t2_skeleton.mat")):
                (tmp_path / name.rpartition("/")[2]).write_bytes(archive.read(name))
    reader = open_reader(reader_settings("utd_mhad", {}), tmp_path)
    train, test = (
        [reader.read_clip(e) for e in reader.list_clips() if e.subject % 2 == odd] for odd in (1, 0)
    )
    own = training_clips(train, "utd20")
    assert len(test) > 200
    assert not any(one.refused for found in differences(own, test, "utd20") for one in found)
    for clip in test:
        assert not differences(own, [clip], "utd20")[0]
        for wrong in (
            1000 * clip,
            axes(1, 2, 0)(clip),
            axes(1, -2, 3)(clip),
            axes(1, 3, 2)(clip),
            clip[:, :, ::-1],
        ):
            assert any(one.refused for one in differences(own, [wrong], "utd20")[0])
