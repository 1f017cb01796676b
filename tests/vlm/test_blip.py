import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError

from mmcl.errors import UserError
from mmcl.settings import base, tables
from mmcl.settings.base import replaced
from mmcl.vlm import is_yes_no, open_vlm
from mmcl.vlm.blip import Blip

HOLDING = "whether the people are holding objects?"
COLOUR = "what colour is it"


@pytest.fixture
def blip(blip_settings):
    return open_vlm(blip_settings, torch.device("cpu"))


def test_states_equal_a_teacher_forced_pass(blip, pictures):
    (answers,) = blip.answer(pictures, [COLOUR])
    model = blip.model
    with torch.no_grad():
        picture = model.vision_model(blip._pixels(pictures)).last_hidden_state
        asked = blip.encode_question(COLOUR, picture)
        produced = torch.from_numpy(answers.ids)
        given = torch.cat([torch.full((3, 1), blip.start), produced[:, :-1]], 1)
        out = model.text_decoder(given, encoder_hidden_states=asked, output_hidden_states=True)
    states = out.hidden_states[-1].numpy()
    assert answers.states.shape == (3, 4, 16)
    assert answers.mask[:, 0].all()
    np.testing.assert_allclose(answers.states[answers.mask], states[answers.mask], atol=1e-5)
    greedy = out.logits.argmax(-1).numpy()
    np.testing.assert_array_equal(greedy[answers.mask], answers.ids[answers.mask])


def test_tokens_equal_transformers_generate(blip, pictures):
    (answers,) = blip.answer(pictures, [COLOUR])
    tokens = blip.tokenizer(COLOUR, return_tensors="pt")["input_ids"].expand(3, -1)
    out = blip.model.generate(tokens, blip._pixels(pictures), max_new_tokens=4, do_sample=False, num_beams=1)
    produced = out[:, 1:].numpy()
    np.testing.assert_array_equal(answers.ids[:, : produced.shape[1]], produced)


def test_a_batch_of_three_equals_three_of_one(blip, pictures):
    for question in (HOLDING, COLOUR):
        (together,) = blip.answer(pictures, [question])
        for i, picture in enumerate(pictures):
            (alone,) = blip.answer([picture], [question])
            np.testing.assert_allclose(alone.states[0], together.states[i], atol=1e-5)
            np.testing.assert_array_equal(alone.ids[0], together.ids[i])
            np.testing.assert_allclose(alone.p_yes[0], together.p_yes[i], atol=1e-5)
            assert alone.text[0] == together.text[i]


def test_two_questions_at_once_equal_each_alone(blip, pictures):
    both = blip.answer(pictures, [HOLDING, COLOUR])
    for question, answers in zip((HOLDING, COLOUR), both, strict=True):
        (alone,) = blip.answer(pictures, [question])
        for together, single in zip(answers, alone, strict=True):
            np.testing.assert_array_equal(together, single)


def test_nothing_follows_the_end_token(blip, pictures):
    end = int(blip.answer(pictures[:1], [COLOUR])[0].ids[0, 1])
    blip.end = end  # its second token now ends the answer
    (answers,) = blip.answer(pictures[:1], [COLOUR])
    first = int(np.flatnonzero(answers.ids[0] == end)[0])
    assert answers.mask[0].tolist() == [t <= first for t in range(4)]
    assert (answers.ids[0, first + 1 :] == blip.padding).all()
    assert (answers.states[0, first + 1 :] == 0).all()
    assert (answers.states[0, first] != 0).all()


def test_p_yes_is_the_softmax_over_yes_and_no(blip, pictures):
    holding, colour = blip.answer(pictures, [HOLDING, COLOUR])
    logits = blip.model.text_decoder.cls(torch.from_numpy(holding.states[:, 0])).detach().numpy()
    ratio = np.exp(logits[:, blip.no] - logits[:, blip.yes])
    np.testing.assert_allclose(holding.p_yes, 1 / (1 + ratio), rtol=1e-4)
    assert np.isnan(colour.p_yes).all()


def test_another_picture_size_is_interpolated(blip_settings, pictures):
    large = open_vlm(replaced(blip_settings, image_size=64), torch.device("cpu"))
    assert large._pixels(pictures).shape == (3, 3, 64, 64)
    assert np.isfinite(large.answer(pictures, [HOLDING])[0].states).all()


def test_versions_are_described(blip):
    assert blip.describe()["image_processor"] == "BlipImageProcessorPil"
    assert blip.describe()["transformers"][0].isdigit()


@pytest.mark.parametrize(
    ("question", "answer"),
    [("Whether the people sit?", True), ("is it red", True), ("what is it", False), ("", False)],
)
def test_yes_no_questions_are_known_by_their_first_word(question, answer):
    assert is_yes_no(question) is answer


class WithOptions(Blip):
    """An adapter with a setting of its own."""

    class Options(base.Options):
        """Of this adapter."""

        beams: base.Count = Field(1, description="Answers that are followed at the same time.")


def test_an_adapter_may_have_options_of_its_own(blip_settings, monkeypatch):
    monkeypatch.setitem(tables.ADAPTERS, "mine", f"{__name__}:WithOptions")
    stated = base.replaced(blip_settings, adapter="mine", options={"beams": 3})
    assert stated.dump()["options"] == {"beams": 3}
    assert type(blip_settings).model_validate(stated.dump()) == stated
    opened = open_vlm(stated, torch.device("cpu"))
    assert isinstance(opened, WithOptions)
    with pytest.raises(ValidationError, match=r"options\.beam"):
        base.replaced(blip_settings, adapter="mine", options={"beam": 3})
    with pytest.raises(ValidationError, match=r"options\.beams"):
        base.replaced(blip_settings, options={"beams": 3})


def test_mistakes_are_named(blip_settings, tmp_path, blip, pictures):
    with pytest.raises(ValidationError, match="not one of the allowed values"):
        replaced(blip_settings, adapter="clip")
    with pytest.raises(UserError, match=r"nowhere.*Salesforce/blip-vqa-capfilt-large"):
        open_vlm(replaced(blip_settings, weights=str(tmp_path / "nowhere")), torch.device("cpu"))
    with pytest.raises(UserError, match=r"config\.json is missing"):
        open_vlm(replaced(blip_settings, weights=str(tmp_path)), torch.device("cpu"))
    with pytest.raises(UserError, match="sha256"):
        open_vlm(replaced(blip_settings, sha256="0" * 64), torch.device("cpu"))
    with pytest.raises(UserError, match="the model takes 24"):
        blip.answer(pictures, ["objects " * 30])
