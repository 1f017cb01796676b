import numpy as np
import pytest
from pydantic import ValidationError

from mmcl.datasets.ntu import missing_names, parse_name
from mmcl.datasets.protocols import Clips, count_folds, find_rule, fit_split, protocols, split
from mmcl.errors import UserError
from mmcl.settings.protocol import Folds, Rule


def clips(count, **columns):
    """Clips c0001 … of one class, subject, camera and setup, but for the columns given."""
    ones = np.ones(count, int)
    named = {"names": [f"c{i:04d}" for i in range(1, count + 1)], "action": np.full(count, "a1", object)}
    numbers = {"subject": ones, "camera": ones, "setup": ones, "split": np.full(count, "", object)}
    return Clips(**{**named, **numbers, **columns})


def numbers(protocol, by, count, rule=None):
    ids = np.arange(1, count + 1)
    train, test = split(protocol, clips(count, **{by: ids}), rule)
    return ids[train].tolist(), ids[test].tolist()


def sysu():
    """As recorded: 40 subjects do each of 12 activities once."""
    pairs = [(action, subject) for action in range(1, 13) for subject in range(1, 41)]
    return clips(
        480,
        names=[f"a{action}_s{subject}" for action, subject in pairs],
        action=np.array([f"a{action}" for action, _ in pairs], object),
        subject=np.array([subject for _, subject in pairs]),
    )


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
    missing = [parsed for parsed in map(parse_name, missing_names()) if parsed.setup <= setups]
    ids = {key: np.array([getattr(m, key) for m in missing]) for key in ("subject", "camera", "setup")}
    train, test = split(name, clips(len(missing), **ids))
    assert (usable[0] + train.sum(), usable[1] + test.sum()) == recorded
    block = 120 if name == "ntu60_xview" else 360
    assert recorded[0] % block == recorded[1] % block == 0
    assert sum(recorded) == (56880 if setups == 17 else 114480)


def test_odd_subjects():
    assert numbers("odd_subjects", "subject", 8) == ([1, 3, 5, 7], [2, 4, 6, 8])


@pytest.mark.parametrize("name", sorted(protocols()))
def test_every_protocol_names_its_source(name):
    assert protocols()[name].source


@pytest.mark.parametrize("name", [n for n, r in protocols().items() if r.by not in (None, "split")])
def test_every_protocol_parts_its_numbers(name):
    by = protocols()[name].by
    count = {"subject": 40 if name == "ntu60_xsub" else 106, "camera": 3, "setup": 32}[by]
    train, test = numbers(name, by, count)
    assert sorted(train + test) == list(range(1, count + 1))


def test_unknown_number_is_in_neither():
    assert numbers("ntu60_xsub", "subject", 45)[1][-1] == 40
    for protocol in ("odd_subjects", "sysu_setting2"):
        train, test = split(protocol, clips(3, subject=np.array([0, 1, 2])))
        assert [train[0], test[0], (train | test)[1:].all()] == [False, False, True]
    train, test = split("sysu_setting1", clips(3, action=np.array(["", "a1", "a1"], object)))
    assert (train | test).tolist() == [False, True, True]


def test_unknown_protocol():
    with pytest.raises(
        UserError, match=r"no protocol 'odd_subject'; did you mean 'odd_subjects'.*ntu60_xsub"
    ):
        split("odd_subject", clips(1))


def test_what_the_data_set_says():
    said = np.array(["train", "", "test", "train"], object)
    train, test = split("given", clips(4, split=said))
    assert (train.tolist(), test.tolist()) == ([True, False, False, True], [False, False, True, False])
    with pytest.raises(UserError, match="protocol given: the data set does not state which clips train"):
        split("given", clips(4))


def test_a_protocol_of_ones_own():
    rule = Rule(by="camera", train=[1, 3], test="even")
    assert numbers("mine", "camera", 6, rule) == ([1, 3], [2, 4, 6])
    assert numbers("mine", "subject", 2, rule) == ([1, 2], [])


def test_sysu_setting_1_halves_each_activity():
    recorded = sysu()
    train, test = split("sysu_setting1", recorded)
    assert (train ^ test).all()
    for action in set(recorded.action):
        assert train[recorded.action == action].sum() == 20
    assert len(set(recorded.subject[train])) > 30  # not by subject


def test_sysu_setting_2_halves_the_subjects():
    recorded = sysu()
    train, test = split("sysu_setting2", recorded)
    assert (train ^ test).all()
    assert len(set(recorded.subject[train])) == len(set(recorded.subject[test])) == 20
    assert train.sum() == 240
    # written down once: another order of hashing would be another protocol
    trains = [2, 3, 5, 6, 7, 8, 9, 10, 13, 16, 17, 18, 19, 21, 22, 24, 28, 32, 33, 34]
    assert sorted(set(recorded.subject[train])) == trains


@pytest.mark.parametrize("protocol", ["sysu_setting1", "sysu_setting2"])
def test_thirty_folds_that_differ_and_do_not_depend_on_the_order_of_clips(protocol):
    recorded = sysu()
    folds = [split(f"{protocol}/{k}", recorded)[0] for k in range(1, 31)]
    assert len({fold.tobytes() for fold in folds}) == 30
    assert (folds[0] == split(protocol, recorded)[0]).all()
    # every clip trains in about half of the folds: 15 ± 2.7 of 30
    assert 2.2 < np.sum(folds, axis=0).std() < 3.3
    order = np.random.default_rng(0).permutation(480)
    shuffled = Clips([recorded.names[i] for i in order], *(column[order] for column in recorded[1:]))
    assert (split(f"{protocol}/9", shuffled)[0] == folds[8][order]).all()


def test_of_an_odd_number_the_training_half_has_one_more():
    train, test = split("sysu_setting1", clips(7, action=np.array(list("aaabbbb"), object)))
    assert (train[:3].sum(), test[:3].sum(), train[3:].sum(), test[3:].sum()) == (2, 1, 2, 2)


def test_folds_are_named_from_one():
    assert find_rule("sysu_setting1/30") == (protocols()["sysu_setting1"], 30)
    for wrong, message in [
        ("sysu_setting1/31", "the folds of sysu_setting1 are 1 to 30"),
        ("sysu_setting1/0", "are 1 to 30"),
        ("sysu_setting1/x", "are 1 to 30"),
        ("ntu60_xsub/2", "protocol ntu60_xsub has no folds"),
    ]:
        with pytest.raises(UserError, match=message):
            find_rule(wrong)


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


# ---------------------------------------------------------------------------------------------- k folds


def people(count, takes=4):
    """`count` subjects, the n-th with n clips more than the first, of two classes by turns."""
    subjects = [subject for subject in range(1, count + 1) for _ in range(takes + subject)]
    action = np.array([f"a{i % 2 + 1}" for i in range(len(subjects))], object)
    return clips(len(subjects), subject=np.array(subjects), action=action)


def folds(protocol, made, rule=None):
    """(train, test) of every fold; all clips test once, and no fold tests what it trains."""
    name = protocol.partition("/")[0]
    count = count_folds(name, made, rule)
    sides = [split(f"{name}/{fold}", made, rule) for fold in range(1, count + 1)]
    assert (np.sum([test for _, test in sides], axis=0) == 1).all()
    assert all((train == ~test).all() for train, test in sides)
    return sides


def test_folds_by_subject_have_about_as_many_clips():
    made = people(13)
    tested = [set(made.subject[test].tolist()) for _, test in folds("folds5", made)]
    assert sum(map(len, tested)) == len(set.union(*tested)) == 13
    sizes = [sum(4 + subject for subject in part) for part in tested]
    assert sorted(sizes) == [25, 25, 30, 31, 32]
    # the order of the clips and clips without a label move none
    order = np.random.default_rng(0).permutation(len(made.names))
    shuffled = Clips([made.names[i] for i in order], *(column[order] for column in made[1:]))
    assert [set(shuffled.subject[test].tolist()) for _, test in folds("folds5", shuffled)] == tested
    assert [side.tolist() for side in split("folds5", made)] == [
        side.tolist() for side in split("folds5/1", made)
    ]


def test_one_subject_is_left_out_in_each_fold_in_ascending_order():
    made = people(4)
    assert count_folds("leave_one_subject_out", made) == 4
    sides = folds("leave_one_subject_out", made)
    assert [sorted(set(made.subject[test].tolist())) for _, test in sides] == [[1], [2], [3], [4]]
    texts = made._replace(subject=np.array([f"p{n}" for n in made.subject], object))
    sides = folds("leave_one_subject_out", texts)
    assert [set(texts.subject[test].tolist()) for _, test in sides] == [{"p1"}, {"p2"}, {"p3"}, {"p4"}]
    with pytest.raises(UserError, match="the folds of leave_one_subject_out are 1 to 4"):
        split("leave_one_subject_out/5", made)


def test_without_subjects_every_class_is_dealt_out():
    made = clips(23, action=np.array(["a1"] * 11 + ["a2"] * 12, object), subject=np.zeros(23, int))
    for _, test in folds("folds5", made):
        counts = [int((made.action[test] == name).sum()) for name in ("a1", "a2")]
        assert counts[0] in (2, 3)
        assert counts[1] in (2, 3)
        assert sum(counts) in (4, 5)


def test_a_clip_without_label_is_in_no_fold():
    made = people(6)
    made.action[:3] = ""
    train, test = split("folds5/2", made)
    assert not (train | test)[:3].any()
    assert (train | test)[3:].all()


def test_fewer_subjects_than_folds_are_refused():
    with pytest.raises(
        UserError, match="protocol folds5: 5 folds need as many subjects, and the data set names 3"
    ):
        split("folds5", people(3))
    rule = Rule(folds=Folds(k=3, of="clips_per_class"))
    assert len(folds("mine", people(2), rule)) == 3


def test_all_folds_are_of_subjects():
    with pytest.raises(ValidationError, match="k: all is one fold for each subject"):
        Folds(k="all", of="clips_per_class")
    with pytest.raises(ValidationError, match="needs one of by, random and folds"):
        Rule(by="split", folds=Folds(k=2))
