import numpy as np

from mmcl.evaluation.metrics import hits, mean_class_accuracy, per_class, percent, summary, wilson

LOGITS = np.array([[3.0, 2, 1], [1, 3, 2], [1, 2, 3], [3, 1, 2]])
LABELS = np.array([0, 1, 0, 2])


def test_hits_count_higher_scores():
    assert hits(LOGITS, LABELS, 1).tolist() == [True, True, False, False]
    assert hits(LOGITS, LABELS, 2).tolist() == [True, True, False, True]
    assert hits(LOGITS, LABELS, 5).all()


def test_ties_go_to_the_lower_index():
    assert hits(np.zeros((3, 3)), np.array([0, 1, 2]), 1).tolist() == [True, False, False]


def test_summary_is_in_percent():
    assert summary(LOGITS, LABELS) == {"top1": 50.0, "top5": 100.0, "mean_class_accuracy": 50.0}
    assert summary(np.empty((0, 3)), np.empty(0, int)) == {
        "top1": None,
        "top5": None,
        "mean_class_accuracy": None,
    }


def test_mean_class_accuracy_weighs_classes_alike():
    hit = np.array([True, True, True, False])
    assert mean_class_accuracy(hit, np.array([0, 0, 0, 1])) == 50.0
    assert per_class(hit, np.array([0, 0, 0, 1]), 3) == [(3, 100.0), (1, 0.0), (0, None)]


def test_percent_rounds():
    assert percent(1, 3) == 33.33
    assert percent(0, 0) is None


def test_wilson_at_the_ends():
    # z² / (n + z²) with z = 1.96: 3.8415 / 13.8415
    assert wilson(0, 10) == [0.0, 27.75]
    assert wilson(10, 10) == [72.25, 100.0]
    assert wilson(0, 0) is None


def test_wilson_half():
    # at p = 1/2 the interval is 1/2 ± z / (2 √(n + z²)) = 50 ± 9.62 %
    assert wilson(50, 100) == [40.38, 59.62]
