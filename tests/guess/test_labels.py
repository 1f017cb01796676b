"""Labels and subjects from paths."""

import pytest

from mmcl.guess.labels import read_paths


def columns(*paths):
    return read_paths(paths).columns


def product(form):
    return [
        form.format(label=label, person=person, n=number, take=take)
        for label in ("wave", "sit_down", "jump")
        for number, person in enumerate(("alice", "bob", "carol"), 1)
        for take in (1, 2)
    ]


LABELS = [label for label in ("wave", "sit_down", "jump") for _ in range(6)]
PEOPLE = [person for _ in range(3) for person in ("alice", "alice", "bob", "bob", "carol", "carol")]


@pytest.mark.parametrize(
    ("form", "subjects"),
    [
        ("{label}/{person}_{take}.npz", PEOPLE),
        ("{label}/P0{n}/{take}.npz", [f"P0{1 + 'abc'.index(one[0])}" for one in PEOPLE]),
        ("{person}/{label}_{take:02d}.json", PEOPLE),
        ("{person}_{label}_{take}.csv", PEOPLE),
        ("s{n}/{label}/{take}.npy", [f"s{1 + 'abc'.index(one[0])}" for one in PEOPLE]),
    ],
)
def test_words_of_actions_are_labels_and_who_does_several_is_a_subject(form, subjects):
    found = columns(*product(form))
    assert found["label"] == LABELS
    assert found["subject"] == subjects


def test_letters_and_numbers_say_what_they_count():
    found = columns(
        *(f"S001C{c:03d}P{p:03d}R001A{a:03d}.npy" for a in (1, 2) for p in (3, 4) for c in (1, 2))
    )
    assert found["label"] == ["A001"] * 4 + ["A002"] * 4
    assert found["subject"] == ["P003", "P003", "P004", "P004"] * 2
    assert found["camera"] == ["001", "002"] * 4


def test_beside_performers_s_counts_setups():
    names = [
        f"{label}/S00{s}C00{c}P00{p}.avi"
        for label in ("drink", "squat")
        for s in (1, 2)
        for c in (1, 2)
        for p in (3, 4)
    ]
    told = columns(*names)
    assert told["subject"] == ["P003", "P004"] * 8
    assert told["setup"] == (["001"] * 4 + ["002"] * 4) * 2
    assert told["camera"] == ["001", "001", "002", "002"] * 4


def test_folders_of_sides():
    found = columns(
        *(f"{side}/{label}/{n}.npy" for side in ("train", "val") for label in ("wave", "run") for n in (1, 2))
    )
    assert found["split"] == ["train"] * 4 + ["val"] * 4
    assert found["label"] == ["wave", "wave", "run", "run"] * 2
    assert "subject" not in found


@pytest.mark.parametrize(
    "paths", [("0001.npy", "0002.npy", "0003.npy"), ("a.npy",), ("x/clip1.npy", "x/clip2.npy")]
)
def test_numbers_alone_tell_nothing(paths):
    assert "label" not in columns(*paths)
