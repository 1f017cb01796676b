import numpy as np
import pytest

from mmcl.evaluation.paired import bootstrap, mcnemar, t_interval


def test_t_interval_by_the_table():
    # t(0.975, 2) = 4.303; s = 1
    assert t_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx(
        (2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3
    )
    assert t_interval(np.array([1.0])) is None


def test_mcnemar_counts_what_one_alone_has_right():
    a = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    b = np.array([1, 0, 1, 1, 1, 1, 1, 0], bool)
    # two-sided, 5 or more of 6 at 1/2: 2 · (6 + 1) / 64
    assert mcnemar(a, b) == {"only_baseline": 1, "only_candidate": 5, "p": pytest.approx(14 / 64, abs=1e-4)}
    assert mcnemar(a, a) == {"only_baseline": 0, "only_candidate": 0, "p": 1.0}


def test_the_bootstrap_of_a_share_is_binomial():
    # 2.5 and 97.5 % points of a binomial of 100 at 1/2
    assert bootstrap(np.array([0.0, 1.0] * 50), np.zeros(100, int)) == pytest.approx((0.40, 0.60))


def test_a_mean_over_classes_draws_within_classes():
    values, classes = np.array([100.0, 0, 0, 0]), np.array([0, 1, 1, 1])
    assert bootstrap(values, classes) == (50.0, 50.0)
    # of four clips drawn at 1/4: 0 … 3 times the first
    assert bootstrap(values, np.zeros(4, int)) == (0.0, 75.0)
