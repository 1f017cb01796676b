import numpy as np
import pytest

from mmcl.evaluation import information
from mmcl.evaluation.information import (
    Shuffled,
    Shuffles,
    binned,
    entropy,
    jackknife,
    mutual_information,
    probe,
    share_interval,
    told,
    told_interval,
)
from mmcl.evaluation.paired import t_interval


def crossed(classes: int, subjects: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and subjects of clips in which every subject shows every class equally often."""
    labels = np.tile(np.repeat(np.arange(classes), repeats), subjects)
    return labels, np.repeat(np.arange(subjects), classes * repeats) + 1


def test_mutual_information_by_hand():
    # a symmetric channel with one error in ten: 1 − H(0.1)
    assert mutual_information([[45, 5], [5, 45]]) == pytest.approx(0.531004, abs=1e-6)
    # two of four classes said to be one, two another: one bit, whatever the number of clips
    assert mutual_information([[3, 0], [3, 0], [0, 3], [0, 3]]) == pytest.approx(1.0)
    assert mutual_information(np.eye(8)) == pytest.approx(3.0)
    # p = 1/2, 1/4, 0, 1/4: ½ log₂(4/3) + ¼ log₂(2/3) + ¼ log₂ 2
    assert mutual_information([[2, 1], [0, 1]]) == pytest.approx(0.311278, abs=1e-6)
    # several tables at once
    assert mutual_information([np.eye(2), np.ones((2, 2))]).tolist() == pytest.approx([1.0, 0.0])


def test_one_answer_for_all_tells_exactly_nothing():
    labels, subjects = crossed(7, 5, 3)
    same = np.zeros(len(labels), int)
    assert mutual_information([[17], [3], [29]]) == 0
    found = told(same, Shuffles(labels, subjects, 99))
    assert (found.value, found.excess, found.p) == (0, 0, 1)
    assert told_interval(same, labels, subjects) == (0, 0, 0)
    assert told_interval(same, labels, None) == (0, 0, 0)


def test_an_answer_that_names_the_class_tells_all():
    labels, subjects = crossed(4, 6, 2)
    found = told(labels, Shuffles(labels, subjects, 199))
    assert found.value == pytest.approx(entropy(labels)) == pytest.approx(2.0)
    assert found.p == 1 / 200
    assert told_interval(labels, labels, subjects) == pytest.approx((2.0, 2.0, 2.0))


def test_p_counts_itself_and_ties():
    assert Shuffled(1.0, np.array([0.5, 1.0, 2.0, 0.0])).p == 3 / 5
    assert Shuffled(3.0, np.array([0.5, 1.0, 2.0, 0.0])).p == 1 / 5


def test_all_clips_of_a_subjects_class_go_together():
    labels, subjects = crossed(5, 4, 3)
    shuffles = Shuffles(labels, subjects, 20)
    assert shuffles.units == "classes within subjects"
    for shuffled in shuffles:
        blocks = shuffled.reshape(4, 5, 3)
        assert (blocks == blocks[..., :1]).all()
        assert (np.sort(blocks[..., 0]) == np.arange(5)).all()
    assert [s.tolist() for s in shuffles] == [s.tolist() for s in shuffles]


def test_single_clips_are_shuffled_where_classes_have_too_few_outcomes():
    labels, subjects = crossed(3, 3, 4)  # 3!² = 36 outcomes
    shuffles = Shuffles(labels, subjects, 5)
    assert shuffles.units == "clips within subjects"
    for shuffled in shuffles:
        assert (np.sort(shuffled.reshape(3, 12)) == np.sort(labels.reshape(3, 12))).all()
    assert Shuffles(labels, None, 5).units == "clips"
    # every subject shows one class: nothing to shuffle within
    assert Shuffles(labels, labels, 5).units == "clips"
    assert all(sorted(one) == sorted(labels) for one in Shuffles(labels, labels, 5))


@pytest.mark.parametrize("alike", [False, True])
def test_p_is_uniform_where_nothing_is_told(alike):
    """Also where the clips of a subject's class have one answer, so that they are no independent trials."""
    labels, subjects = crossed(6, 5, 4)
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        values = random.integers(0, 4, len(labels))
        if alike:
            values = np.repeat(random.integers(0, 4, 30), 4)
        found.append(told(values, Shuffles(labels, subjects, 99, seed)).p)
    shares = [np.mean(np.array(found) <= level) for level in (0.05, 0.25, 0.5, 0.75)]
    # three standard deviations of 60 draws
    assert shares == pytest.approx([0.05, 0.25, 0.5, 0.75], abs=0.2)
    assert shares[0] <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5


def test_shuffling_single_clips_would_take_repetitions_for_information():
    labels, subjects = crossed(6, 5, 4)
    values = np.repeat(np.random.default_rng(0).integers(0, 4, 30), 4)
    assert told(values, Shuffles(labels, None, 99)).p == 0.01
    assert told(values, Shuffles(labels, subjects, 99)).p > 0.1


def test_the_jackknife_of_a_mean_is_its_t_interval():
    values = np.array([0.1, 0.5, 0.2, 0.7])
    without = (values.sum() - values) / 3
    found = jackknife(values.mean(), without, np.ones(4, int), 10.0)
    low, high = t_interval(values)
    assert found == pytest.approx((values.mean(), max(0, low), high))
    # equal units counted together
    together = jackknife(0.5, np.array([1 / 3, 2 / 3]), np.array([2, 2]), 10.0)
    assert together == pytest.approx(jackknife(0.5, np.array([1, 1, 2, 2]) / 3, np.ones(4, int), 10.0))


@pytest.mark.parametrize("by_subject", [True, False])
def test_the_interval_holds_the_true_value(by_subject):
    labels, subjects = crossed(2, 10, 5)
    held, values = 0, []
    for seed in range(60):
        wrong = np.random.default_rng(seed).random(len(labels)) < 0.1
        found = told_interval(np.where(wrong, 1 - labels, labels), labels, subjects if by_subject else None)
        held += found.low <= 0.531 <= found.high
        values.append(found.value)
    assert held >= 53  # of 60: with 95 % of each, one in a hundred such tests would fall below
    assert np.mean(values) == pytest.approx(0.531, abs=0.04)


def test_the_interval_is_without_the_bias_of_many_answers():
    labels, subjects = crossed(6, 8, 4)
    values = np.random.default_rng(0).integers(0, 5, len(labels))
    measured = told(values, Shuffles(labels, subjects, 99))
    found = told_interval(values, labels, subjects)
    assert measured.value > 0.05
    assert found.value < measured.value / 2
    assert found.low == 0


def test_bins_hold_equally_many_and_leave_five_a_class():
    values = np.random.default_rng(0).random(400)
    assert np.bincount(binned(values, 4)).tolist() == [50] * 8
    assert np.bincount(binned(values, 27)).tolist() == [200, 200]
    assert binned(np.full(9, 0.3), 2).tolist() == [0] * 9
    # the edge divides what the median does not
    assert binned(np.array([0.1, 0.2, 0.3, 0.9]), 2, (0.5,)).tolist() == [0, 0, 1, 2]


def test_the_probe_is_ridge_regression_without_the_fold():
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    labels, subjects = crossed(4, 6, 3)
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (len(labels), 5)) + 0.8 * np.eye(5)[labels]
    found = probe(features, Shuffles(labels, subjects, 3))
    x = (features - features.mean(0)) / features.std(0)
    hits = np.zeros(len(labels), bool)
    for train, test in GroupKFold(5).split(x, labels, subjects):
        fitted = Ridge(information.RIDGE * len(train)).fit(x[train], np.eye(4)[labels[train]])
        hits[test] = fitted.predict(x[test]).argmax(1) == labels[test]
    assert (found.hits == hits).all()
    assert found.folds == 5
    assert found.accuracy.value == hits.mean() > 0.4
    # under shuffled labels it is fitted and judged by these
    for shuffled, accuracy in zip(Shuffles(labels, subjects, 3), found.accuracy.shuffled, strict=True):
        again = probe(features, Shuffles(shuffled, subjects, 1))
        assert again.accuracy.value == pytest.approx(accuracy)


def test_the_probe_finds_what_all_subjects_share_alone():
    labels, subjects = crossed(6, 8, 2)
    random = np.random.default_rng(2)
    shared = random.normal(0, 1, (6, 20))[labels] + 0.3 * random.normal(0, 1, (len(labels), 20))
    found = probe(shared, Shuffles(labels, subjects, 99))
    assert (found.accuracy.p, found.accuracy.value) == (0.01, pytest.approx(1.0, abs=0.05))
    # each subject has a code of its own for each class
    own = random.normal(0, 1, (9, 6, 20))[subjects, labels]
    assert probe(own, Shuffles(labels, subjects, 99)).accuracy.p > 0.05
    # over clips that code would be found
    assert probe(own, Shuffles(labels, None, 99)).accuracy.p == 0.01


def test_the_probe_takes_wide_states_and_refuses_constant_ones(monkeypatch):
    labels, subjects = crossed(3, 8, 2)
    random = np.random.default_rng(3)
    features = random.normal(0, 1, (3, 60))[labels] + 0.1 * random.normal(0, 1, (48, 60))
    monkeypatch.setattr(information, "COMPONENTS", 8)
    assert information._standardised(features).shape == (48, 8)
    assert probe(features, Shuffles(labels, subjects, 9)).accuracy.value == 1
    # float32 states that differ by rounding alone
    same = np.full((48, 60), 0.7) + 1e-9 * random.normal(0, 1, (48, 60))
    assert probe(same, Shuffles(labels, subjects, 9)) is None


def test_share_intervals():
    hits = np.array([1, 0] * 20, bool)
    assert share_interval(hits, None) == pytest.approx((0.3520, 0.6480), abs=1e-4)  # Wilson
    subjects = np.repeat([1, 2, 3, 4], 10)
    assert share_interval(hits, subjects) == pytest.approx((0.5, 0.5))
    # of subjects of equal size, the t-interval of their shares
    hits = np.repeat([1, 0, 1, 0, 1, 0], [9, 1, 5, 5, 7, 3]).astype(bool)
    assert share_interval(hits, np.repeat([1, 2, 3], 10)) == pytest.approx(
        (0.7 - 4.3027 * 0.2 / 3**0.5, 1.0), abs=1e-4
    )
