"""What terms read of the stores."""

import numpy as np
import pytest
import torch

from mmcl import store
from mmcl.colearn import inputs
from mmcl.colearn.inputs import answer_features, features
from mmcl.colearn.words import WIDTH, embed
from mmcl.errors import UserError
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


@pytest.mark.parametrize("kind", ["hidden", "mean", "last", "p_yes", "text"])
def test_the_control_of_an_input_is_another_clips(answers, kind):
    """Of the clips that have an answer, in the same order for every kind; the others stay without."""
    control = "shuffled" if kind == "hidden" else f"shuffled_{kind}"
    names = [*answers.names, "none"]
    own, shuffled = (answer_features(answers, names, one, 1) for one in (kind, control))
    order = np.random.default_rng(1).permutation(len(answers.names))
    np.testing.assert_array_equal(shuffled.values[:-1], own.values[torch.from_numpy(order)])
    assert shuffled.mask.tolist() == own.mask.tolist()
    assert not shuffled.values[-1].any()


def test_constant_tells_nothing(answers):
    values, has = answer_features(answers, NAMES, "constant", 0)
    assert values.tolist() == [[1], [0], [1], [1]]
    assert has.tolist() == [True, False, True, True]


def written(path, states, mask, texts=None) -> Shards:
    """Answers of clips `c0`, `c1`, … with these states (N, K, D) and masks (N, K)."""
    count, tokens, dim = np.shape(states)
    columns = {
        "states": states,
        "mask": mask,
        "ids": np.zeros((count, tokens)),
        "text": texts or ["yes"] * count,
        "p_yes": np.full(count, np.nan),
    }
    store.write(
        path,
        schema="mmcl.answers/1",
        settings={},
        names=[f"c{i}" for i in range(count)],
        columns=store.columns("mmcl.answers/1", states=(tokens, dim), mask=(tokens,), ids=(tokens,)),
        batch_size=count,
        work=lambda names: store.Batch(names, columns, {}),
    )
    return Shards([path], "mmcl.answers/1")


STATES = [
    [[1, 2], [3, 4], [8, 6], [0, 0]],
    [[5, 0], [0, 0], [0, 0], [0, 0]],
    [[1, 1], [2, 2], [3, 3], [6, 4]],
]
MASK = [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
"""Three tokens, one token, and as many as are kept."""


@pytest.mark.parametrize("together", [1, 2, 256])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("hidden", [[1, 2], [5, 0], [1, 1]]),
        ("mean", [[4, 4], [5, 0], [3, 2.5]]),
        ("last", [[8, 6], [5, 0], [6, 4]]),
    ],
)
def test_an_answer_of_any_length_is_one_state(tmp_path, monkeypatch, kind, expected, together):
    monkeypatch.setattr(inputs, "TOGETHER", together)
    answers = written(tmp_path / "answers.h5", STATES, MASK)
    values, has = answer_features(answers, ["c2", "none", "c0"], kind, 0)
    assert values.tolist() == [expected[2], [0, 0], expected[0]]
    assert has.tolist() == [True, False, True]
    values, _ = answer_features(answers, ["c0", "c1", "c2"], kind, 0)
    assert values.tolist() == expected


def test_no_more_tokens_change_an_answers_features(tmp_path):
    """Answers kept at up to 64 tokens, and at just as many as they have."""
    states, mask = np.random.default_rng(0).normal(size=(3, 64, 5)), np.zeros((3, 64), bool)
    for row, length in enumerate((1, 4, 9)):
        mask[row, :length] = True
    states = (states * mask[..., None]).astype(np.float32)
    long = written(tmp_path / "long.h5", states, mask)
    short = written(tmp_path / "short.h5", states[:, :9], mask[:, :9])
    for kind in ("hidden", "mean", "last"):
        one, other = (answer_features(answers, ["c0", "c1", "c2"], kind, 0)[0] for answers in (long, short))
        assert one.shape == (3, 5)
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("kind", ["mean", "last"])
def test_an_answer_without_a_token_is_named(tmp_path, kind):
    answers = written(tmp_path / "answers.h5", STATES, [MASK[0], [0] * 4, MASK[2]])
    assert answer_features(answers, ["c0", "c2"], kind, 0)[1].all()
    with pytest.raises(UserError, match=rf"answers.h5: frm.input {kind} needs answers of .*: c1"):
        answer_features(answers, ["c0", "c1"], kind, 0)


def test_states_of_two_shards(tmp_path, stores):
    answers = Shards([stores["answers"]], "mmcl.answers/1")
    expected = answer_features(answers, NAMES, "mean", 0)[0]
    other = written(tmp_path / "other.h5", np.ones((2, 3, 7)), np.ones((2, 3)))
    both = Shards([*other.paths, *answers.paths], "mmcl.answers/1")
    values, _ = answer_features(both, ["c1", *NAMES], "mean", 0)
    np.testing.assert_array_equal(values[1:], expected)
    assert values[0].tolist() == [1] * 7
    np.testing.assert_array_equal(answer_features(both, NAMES, "mean", 0)[0], expected)


def test_the_text_itself(tmp_path):
    texts = ["A cup", "", "a cup."]
    answers = written(tmp_path / "answers.h5", STATES, MASK, texts)
    values, has = answer_features(answers, ["c0", "none", "c1", "c2"], "text", 0)
    assert values.shape == (4, WIDTH)
    np.testing.assert_array_equal(values[[0, 3]], embed(texts)[[0, 2]])
    np.testing.assert_array_equal(values[0], values[3])  # neither capitals nor points matter
    assert values[0].norm().item() == pytest.approx(1)
    assert not values[1:3].any()  # a text without words is as good as nothing
    assert has.tolist() == [True, False, True, True]
