"""What terms read of the stores."""

import numpy as np
import pytest

from mmcl.colearn.inputs import answer_features, features
from mmcl.store import Shards

NAMES = ["a3_s2", "a1_s1", "a0_s5", "a2_s4"]


@pytest.fixture
def answers(stores):
    return Shards([stores["answers"]], "mmcl.answers/1")


def test_rows_are_joined_by_name_and_masked_where_absent(stores):
    shards = Shards([stores["rgb"]], "mmcl.rgb/1")
    values, has = features(shards, NAMES)
    assert has.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(values[0], shards.row("features", "a3_s2"))
    assert values[1].abs().sum() == 0


def test_hidden_is_the_state_of_the_first_token(answers):
    values, has = answer_features(answers, NAMES, "hidden", 0)
    assert values.shape == (4, 7)
    np.testing.assert_array_equal(values[2], answers.row("states", "a0_s5")[0])
    assert has.tolist() == [True, False, True, True]


def test_answer_ids_are_raw_and_begin_with_bos(answers):
    values, _ = answer_features(answers, NAMES, "answer_ids", 0)
    assert values.tolist() == [[30522, 2749, 102], [0, 0, 0], [30522, 2748, 102], [30522, 2748, 102]]


def test_p_yes(answers):
    assert answer_features(answers, NAMES, "p_yes", 0)[0].tolist() == [[1], [0], [0], [0]]


def test_shuffled_gives_each_clip_the_state_of_some_clip(answers):
    names = answers.names
    hidden, shuffled = (answer_features(answers, names, kind, 1)[0] for kind in ("hidden", "shuffled"))
    assert sorted(hidden[:, 0].tolist()) == sorted(shuffled[:, 0].tolist())
    assert 0 < (hidden == shuffled).all(1).float().mean() < 0.5
    np.testing.assert_array_equal(shuffled, answer_features(answers, names, "shuffled", 1)[0])


def test_constant_tells_nothing(answers):
    values, has = answer_features(answers, NAMES, "constant", 0)
    assert values.tolist() == [[1], [0], [1], [1]]
    assert has.tolist() == [True, False, True, True]
