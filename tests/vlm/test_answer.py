import json

import h5py
import numpy as np
import pytest
import torch

from mmcl import store
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.video import jpeg
from mmcl.vlm import open_vlm
from mmcl.vlm.answer import answer_question

HOLDING = "whether the people are holding objects?"
COLOUR = "what colour is it"


@pytest.fixture
def montages(tmp_path, pictures):
    """Clips a, b, d; c has failed, e's bytes are no picture."""
    images = {name: jpeg.encode(picture) for name, picture in zip("abd", pictures, strict=True)}
    images["e"] = b"no picture"

    def work(names):
        good = [name for name in names if name != "c"]
        failed = {"c": "no person"} if "c" in names else {}
        return store.Batch(good, {"images": [images[name] for name in good]}, failed)

    path = tmp_path / "000-of-001.h5"
    columns = {"images": store.Column("bytes")}
    schema = "mmcl.montages/1"
    store.write(path, schema=schema, settings={}, names=[*"abcde"], columns=columns, batch_size=5, work=work)
    return path


def ask(folder, montages, text, settings):
    question = folder / f"{slug(text)}.txt"
    question.write_text(text)
    output = folder / f"{slug(text)}.h5"
    answer_question(montages, question, output, settings)
    return store.Shards([output], "mmcl.answers/1")


def test_answers_are_the_models_own(tmp_path, montages, blip_settings):
    answers = ask(tmp_path, montages, HOLDING, blip_settings)
    assert answers.names == ["a", "b", "d"]
    assert answers.attribute("question") == HOLDING
    images = store.Shards([montages], "mmcl.montages/1")
    pictures = [jpeg.decode(images.row("images", name)) for name in answers.names]
    (expected,) = open_vlm(blip_settings, torch.device("cpu")).answer(pictures, [HOLDING])
    np.testing.assert_allclose(answers.read("states"), expected.states, atol=1e-5)
    np.testing.assert_allclose(answers.read("p_yes"), expected.p_yes, atol=1e-5)
    np.testing.assert_array_equal(answers.read("ids"), expected.ids)
    np.testing.assert_array_equal(answers.read("mask"), expected.mask)
    assert answers.read("text").tolist() == expected.text


def test_failed_montages_fail_with_their_reason(tmp_path, montages, blip_settings):
    failed = ask(tmp_path, montages, HOLDING, blip_settings).failed
    assert failed["c"] == "no person"
    assert failed["e"] == "montage: 10 bytes that are not a JPEG picture"


def test_further_questions_equal_asking_each_alone(tmp_path, montages, blip_settings):
    together = ask(tmp_path, montages, HOLDING, {**blip_settings, "also_ask": [COLOUR, HOLDING]})
    alone = ask(tmp_path, montages, COLOUR, blip_settings)
    for column in ("states", "mask", "ids", "text", "p_yes"):
        np.testing.assert_array_equal(together.read(f"also/{slug(COLOUR)}/{column}"), alone.read(column))
    assert json.loads(together.attribute("also_ask")) == {slug(COLOUR): COLOUR}
    with h5py.File(tmp_path / f"{slug(HOLDING)}.h5") as file:
        assert set(file["also"]) == {slug(COLOUR)}


def test_an_edited_question_is_refused(tmp_path, montages, blip_settings):
    question = tmp_path / f"{slug(HOLDING)}.txt"
    question.write_text(HOLDING.upper())
    with pytest.raises(UserError, match="The file was edited"):
        answer_question(montages, question, tmp_path / "out.h5", blip_settings)
    assert not (tmp_path / "out.h5").exists()
