import math

import numpy as np
import pytest

from mmcl.evaluation.metrics import (
    FIGURES,
    calibration,
    confusion,
    figures,
    hits,
    per_class,
    percent,
    precision_recall_f1,
    rounded,
    summary,
    wilson,
)

LOGITS = np.array([[3.0, 2, 1], [1, 3, 2], [1, 2, 3], [3, 1, 2]])
LABELS = np.array([0, 1, 0, 2])

# true class → predicted class; class 3 has no clip, yet one clip is taken for it
TRUE = np.array([0, 0, 0, 1, 1, 2])
GUESSED = np.array([0, 0, 1, 1, 3, 0])
PREDICTIONS = np.eye(4)[GUESSED]


def test_hits_count_higher_scores():
    assert hits(LOGITS, LABELS, 1).tolist() == [True, True, False, False]
    assert hits(LOGITS, LABELS, 2).tolist() == [True, True, False, True]
    assert hits(LOGITS, LABELS, 5).all()


def test_ties_go_to_the_lower_index():
    assert hits(np.zeros((3, 3)), np.array([0, 1, 2]), 1).tolist() == [True, False, False]
    assert confusion(np.zeros((3, 3)), np.array([0, 1, 2]))[:, 0].tolist() == [1, 1, 1]


def test_confusion_has_true_classes_in_rows():
    assert confusion(PREDICTIONS, TRUE).tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_a_class_without_clips_has_no_precision_and_one_never_predicted_has_zero():
    precision, recall, f1 = precision_recall_f1(PREDICTIONS, TRUE)
    np.testing.assert_allclose(precision, [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(recall, [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(f1, [2 / 3, 1 / 2, 0, np.nan])


def test_precision_and_recall_are_not_one_another():
    # class 0: both its clips found, and one of class 1 taken for it
    precision, recall, f1 = precision_recall_f1(np.eye(2)[[0, 0, 0, 1, 1]], np.array([0, 0, 1, 1, 1]))
    np.testing.assert_allclose(precision, [2 / 3, 1])
    np.testing.assert_allclose(recall, [1, 2 / 3])
    np.testing.assert_allclose(f1, [0.8, 0.8])


def test_per_class_table():
    table = per_class(PREDICTIONS, TRUE, ["A1", "A2", "A3", "A4"], ["drink", "eat", "wave", "sit"])
    assert table[0] == {
        "id": "A1",
        "name": "drink",
        "clips": 3,
        "top1": 66.67,
        "precision": 66.67,
        "f1": 66.67,
    }
    assert table[3] == {"id": "A4", "name": "sit", "clips": 0, "top1": None, "precision": None, "f1": None}


def test_macro_means_leave_out_classes_without_clips():
    result = summary(PREDICTIONS, TRUE)
    assert result["top1"] == 50.0
    # (2/3 + 1/2 + 0) / 3, not / 4
    for key in ("mean_class_accuracy", "macro_recall", "macro_precision", "macro_f1"):
        assert result[key] == 38.89


def test_summary_is_in_percent():
    result = summary(LOGITS, LABELS)
    assert tuple(result) == FIGURES
    assert (result["top1"], result["top5"], result["mean_class_accuracy"]) == (50.0, 100.0, 50.0)
    # class 0: 1 of 2 guesses right, class 1: 1 of 1, class 2: 0 of 1; F1 1/2, 1, 0
    assert (result["macro_precision"], result["macro_recall"], result["macro_f1"]) == (50.0, 50.0, 50.0)
    assert summary(np.empty((0, 3)), np.empty(0, int)) == dict.fromkeys(FIGURES)


def probabilities(*first):
    """Logits of two classes whose softmax gives class 0 these probabilities."""
    first = np.array(first)
    return np.log(np.stack([first, 1 - first], axis=1))


def test_calibration_by_hand():
    # bin (0.6, 0.667]: 0.65 right, 0.65 wrong → |1 − 1.3| = 0.3; bin (0.867, 0.933]: 0.9 right → 0.1
    ece, nll = calibration(probabilities(0.65, 0.65, 0.9), np.array([0, 1, 0]))
    assert ece == pytest.approx(100 * (0.3 + 0.1) / 3)
    assert nll == pytest.approx(-(math.log(0.65) + math.log(0.35) + math.log(0.9)) / 3)


def test_bins_are_a_fifteenth_wide():
    # 0.6 = 9/15 is an edge: just below it right, and above it wrong, do not cancel as they do in one bin
    ece, _ = calibration(probabilities(0.6 - 1e-9, 0.62), np.array([0, 1]))
    assert ece == pytest.approx(100 * (0.4 + 0.62) / 2, abs=1e-4)
    ece, _ = calibration(probabilities(0.61, 0.62), np.array([0, 1]))
    assert ece == pytest.approx(100 * abs(1 - 0.61 - 0.62) / 2)


def test_certainty_falls_in_the_last_bin():
    ece, nll = calibration(np.array([[1000.0, 0], [1000.0, 0]]), np.array([0, 1]))
    assert ece == 50.0
    assert nll == 500.0


def test_the_temperature_divides_logits():
    logits, labels = probabilities(0.65, 0.8), np.array([0, 1])
    assert calibration(3 * logits, labels, 3.0) == pytest.approx(calibration(logits, labels))
    assert figures(3 * logits, labels)["top1"] == 50.0


def test_what_is_written_down_is_rounded():
    assert rounded(12.3456) == 12.35
    assert rounded(0.123456, "nll") == 0.1235
    assert rounded(float("nan")) is None
    assert rounded(None) is None


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
