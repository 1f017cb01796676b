import numpy as np
import pytest

from mmcl.datasets.ntu import missing_names, parse_name
from mmcl.datasets.protocols import fit_split, protocols, split
from mmcl.errors import UserError


def numbers(protocol, by, count):
    ids = np.arange(1, count + 1)
    other = np.ones(count, int)
    arrays = {key: ids if key == by else other for key in ("subject", "camera", "setup")}
    train, test = split(protocol, **arrays)
    return ids[train].tolist(), ids[test].tolist()


def test_ntu_ids():
    train, test = numbers("ntu60_xsub", "subject", 40)
    assert train == [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38]
    assert len(test) == 20
    train, test = numbers("ntu120_xsub", "subject", 106)
    spans = "1-2 4-5 8-9 13-19 25 27-28 31 34-35 38 45-47 49-50 52-59 70 74 78 80-86 89 91-95 97-98 100 103"
    bounds = [[int(number) for number in span.split("-")] for span in spans.split()]
    assert train == [number for bound in bounds for number in range(bound[0], bound[-1] + 1)]
    assert len(train) == len(test) == 53
    assert test[-1] == 106
    assert numbers("ntu60_xview", "camera", 3) == ([2, 3], [1])
    assert numbers("nw_ucla", "camera", 3) == ([1, 2], [3])
    train, test = numbers("ntu120_xset", "setup", 32)
    assert train == list(range(2, 33, 2))
    assert test == list(range(1, 33, 2))


@pytest.mark.parametrize(
    ("name", "setups", "usable", "recorded"),
    [
        ("ntu60_xsub", 17, (40091, 16487), (40320, 16560)),
        ("ntu60_xview", 17, (37646, 18932), (37920, 18960)),
        ("ntu120_xsub", 32, (63026, 50919), (63360, 51120)),
        ("ntu120_xset", 32, (54468, 59477), (54720, 59760)),
    ],
)
def test_missing_list_accounts_for_the_published_counts(name, setups, usable, recorded):
    # clips with a skeleton (as every public preparation counts them) + missing ones = clips recorded, which
    # come in blocks: 60 actions × 3 cameras × 2 replications for each subject in each setup
    clips = [parsed for parsed in map(parse_name, missing_names()) if parsed.setup <= setups]
    subject, camera, setup = (
        np.array([getattr(c, key) for c in clips]) for key in ("subject", "camera", "setup")
    )
    train, test = split(name, subject, camera, setup)
    assert (usable[0] + train.sum(), usable[1] + test.sum()) == recorded
    block = 120 if name == "ntu60_xview" else 360
    assert recorded[0] % block == recorded[1] % block == 0
    assert sum(recorded) == (56880 if setups == 17 else 114480)


def test_odd_subjects():
    assert numbers("odd_subjects", "subject", 8) == ([1, 3, 5, 7], [2, 4, 6, 8])


@pytest.mark.parametrize("name", sorted(protocols()))
def test_every_protocol_parts_its_numbers(name):
    by = protocols()[name]["by"]
    count = {"subject": 40 if name == "ntu60_xsub" else 106, "camera": 3, "setup": 32}[by]
    train, test = numbers(name, by, count)
    assert sorted(train + test) == list(range(1, count + 1))
    assert protocols()[name]["source"]


def test_unknown_number_is_in_neither():
    assert numbers("ntu60_xsub", "subject", 45)[1][-1] == 40


def test_unknown_protocol():
    with pytest.raises(UserError, match=r"no protocol 'xsub'; there are: ntu60_xsub, "):
        split("xsub", np.ones(1), np.ones(1), np.ones(1))


def test_fit_split_holds_out_every_fifth_subject():
    subject = np.repeat([9, 1, 2, 4, 5, 8, 13, 3], 2)
    train = subject != 3
    fit, held_out = fit_split(subject, train)
    assert sorted(set(subject[held_out])) == [1, 9]  # sorted: 1 2 4 5 8 9 13
    assert not (fit & held_out).any()
    assert ((fit | held_out) == train).all()
    assert held_out.sum() == 4


def test_fit_split_needs_two_subjects():
    fit, held_out = fit_split(np.array([3, 7]), np.array([True, True]))
    assert fit.tolist() == [False, True]
    assert held_out.tolist() == [True, False]
    with pytest.raises(UserError, match=r"at least two training subjects, found 1"):
        fit_split(np.array([3, 3, 4]), np.array([True, True, False]))
