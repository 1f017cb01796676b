import json
import shutil

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError
from safetensors.torch import load_file, save_file
from vlm.conftest import write_blip

from mmcl.errors import UserError
from mmcl.settings import base, tables
from mmcl.settings.base import replaced
from mmcl.vlm import is_yes_no, open_vlm
from mmcl.vlm.answer import answers_of
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


def test_pixels_equal_the_image_processors_bit_for_bit(blip, blip_settings, pictures):
    # every byte in every channel, and of the model's size
    every = np.arange(32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    for image in (every, *pictures, pictures[0][:20, :37], pictures[1][:, :1]):
        theirs = blip.processor(images=[image], return_tensors="pt")["pixel_values"]
        assert torch.equal(blip._pixels([image]), theirs)
        # a picture that was prepared stays as it is
        prepared = blip.prepare(image)
        assert (prepared.dtype, prepared.shape) == (np.uint8, (32, 32, 3))
        assert torch.equal(blip._pixels([prepared]), theirs)
    half = open_vlm(replaced(blip_settings, dtype="bfloat16"), torch.device("cpu"))
    theirs = half.processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert torch.equal(half._pixels(pictures), theirs.bfloat16())


def test_answers_of_batches_that_are_queued_are_those_of_single_ones(blip, pictures):
    batches = [
        (pictures[:2], [HOLDING, COLOUR]),
        ([], [COLOUR]),
        (pictures[2:], [COLOUR]),
        (pictures, [HOLDING]),
    ]
    begun = []
    begin = blip.begin
    blip.begin = lambda images, questions: begun.append(len(images)) or begin(images, questions)
    found = answers_of(blip, batches, queued=True)
    first = next(found)
    assert begun == [2]  # an empty batch came next, and nothing was begun for it
    queued = [first, *found]
    assert begun == [2, 1, 3]
    for (images, questions), answers in zip(batches, queued, strict=True):
        assert len(answers) == len(questions)
        for own, single in zip(answers, blip.answer(images, questions) if images else [None], strict=True):
            assert (own is None) == (not images)
            for one, other in zip(own or (), single or (), strict=True):
                np.testing.assert_array_equal(one, other)


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


def test_beams_give_the_states_of_the_chosen_answer(blip, blip_settings, pictures, monkeypatch):
    wide = open_vlm(replaced(blip_settings, options={"beams": 3}), torch.device("cpu"))
    (found,) = wide.answer(pictures, [HOLDING])
    (greedy,) = blip.answer(pictures, [HOLDING])
    np.testing.assert_array_equal(found.ids, greedy.ids)  # these weights prefer one token by far
    np.testing.assert_allclose(found.states, greedy.states, atol=1e-5)
    np.testing.assert_allclose(found.p_yes, greedy.p_yes, atol=1e-6)

    end, padding = wide.end, wide.padding
    chosen = torch.tensor([[90, 7, end, padding], [end, padding, padding, padding], [8, 9, 10, 11]])

    def search(logits_of, rows, beams, *_):
        assert (rows, beams) == (3, 3)
        assert logits_of(torch.full((9, 2), wide.start)).shape == (9, len(wide.tokenizer))
        return chosen

    monkeypatch.setattr("mmcl.vlm.beams.beam_search", search)
    (answers,) = wide.answer(pictures, [HOLDING])
    with torch.no_grad():
        asked = blip.encode_question(HOLDING, blip._encoded(pictures))
        given = torch.cat([torch.full((3, 1), blip.start), chosen[:, :-1]], 1)
        out = blip.model.text_decoder(given, encoder_hidden_states=asked, output_hidden_states=True)
    states = out.hidden_states[-1].numpy()
    np.testing.assert_array_equal(answers.ids, chosen)
    assert answers.mask.sum(1).tolist() == [3, 1, 4]
    assert answers.mask[:, 0].all()
    np.testing.assert_allclose(answers.states[answers.mask], states[answers.mask], atol=1e-5)
    assert (answers.states[~answers.mask] == 0).all()
    np.testing.assert_allclose(answers.p_yes, greedy.p_yes, atol=1e-6)


def test_an_embedding_in_half_precision_gives_nearly_the_same_answers(blip, pictures):
    embedded = blip.embed(pictures)
    assert embedded.dtype == np.float16
    assert embedded.shape == (3, *blip.embedding) == (3, 17, 16)
    direct = blip.answer(pictures, [HOLDING, COLOUR])
    for one, other in zip(direct, blip.answer_embedded([*embedded], [HOLDING, COLOUR]), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_allclose(one.states, other.states, atol=0.01)
        np.testing.assert_allclose(one.p_yes, other.p_yes, atol=0.01)
    half = embedded.astype(np.float32)
    again = blip.answer_embedded([*half], [COLOUR])[0]
    np.testing.assert_array_equal(again.states, blip.answer_embedded([*embedded], [COLOUR])[0].states)


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

        warmth: base.Count = Field(1, description="Of the answer.")


def test_an_adapter_may_have_options_of_its_own(blip_settings, monkeypatch):
    monkeypatch.setitem(tables.ADAPTERS, "mine", f"{__name__}:WithOptions")
    stated = base.replaced(blip_settings, adapter="mine", options={"warmth": 3})
    assert stated.dump()["options"] == {"warmth": 3}
    assert type(blip_settings).model_validate(stated.dump()) == stated
    opened = open_vlm(stated, torch.device("cpu"))
    assert isinstance(opened, WithOptions)
    with pytest.raises(ValidationError, match=r"options\.beams"):
        base.replaced(blip_settings, adapter="mine", options={"beams": 3})
    with pytest.raises(ValidationError, match=r"options\.warmth"):
        base.replaced(blip_settings, options={"warmth": 3})


def test_mistakes_are_named(blip_settings, tmp_path, blip, pictures):
    with pytest.raises(ValidationError, match="not one of the allowed values"):
        replaced(blip_settings, adapter="clip")
    with pytest.raises(UserError, match=r"nowhere.*Salesforce/blip-vqa-capfilt-large"):
        open_vlm(replaced(blip_settings, weights=str(tmp_path / "nowhere")), torch.device("cpu"))
    with pytest.raises(UserError, match=r"config\.json is missing"):
        open_vlm(replaced(blip_settings, weights=str(tmp_path)), torch.device("cpu"))
    with pytest.raises(UserError, match="sha256"):
        open_vlm(replaced(blip_settings, sha256="0" * 64), torch.device("cpu"))
    for question in ("łąka", "", "漢字"):
        with pytest.raises(UserError, match="instruction: the model's vocabulary has no word of"):
            blip.answer(pictures, [question])
    with pytest.raises(UserError, match="the model takes 24"):
        blip.answer(pictures, ["objects " * 30])


@pytest.fixture
def folder(blip_folder, tmp_path):
    """A copy of the tiny BLIP to change."""
    return shutil.copytree(blip_folder, tmp_path / "blip")


def refused(blip_settings, folder) -> str:
    with pytest.raises(UserError) as refusal:
        open_vlm(replaced(blip_settings, weights=str(folder)), torch.device("cpu"))
    message = str(refusal.value)
    assert message.startswith(str(folder))
    assert len(message) < 700
    return message


def asked_with(folder, blip_settings, monkeypatch) -> list[int]:
    """The tokens that the question encoder is given for COLOUR."""
    blip = open_vlm(replaced(blip_settings, weights=str(folder)), torch.device("cpu"))
    given = []
    embeddings = blip.model.text_encoder.embeddings
    embed = embeddings.forward
    monkeypatch.setattr(embeddings, "forward", lambda input_ids: given.append(input_ids) or embed(input_ids))
    with torch.no_grad():
        blip.encode_question(COLOUR, torch.zeros(2, 17, 16))
    assert given[0][0].tolist() == given[0][1].tolist()
    return given[0][0].tolist()


def test_a_question_begins_with_enc_in_the_vocabulary_of_blip(
    blip_settings, blip_folder, tmp_path, monkeypatch
):
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(blip_folder)(COLOUR)["input_ids"]
    # without [ENC], as in the demo's vocabulary: [CLS] … [SEP]
    assert asked_with(blip_folder, blip_settings, monkeypatch) == tokens
    # 30524 words, of which the tokenizer does not know the last, as in the conversions of Salesforce/blip-vqa-*
    published = write_blip(tmp_path / "published", words=30524)
    assert asked_with(published, blip_settings, monkeypatch) == [30523, *tokens[1:]]
    # a tokenizer that knows it
    named = write_blip(tmp_path / "named", words=400)
    tokenizer = AutoTokenizer.from_pretrained(named)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[ENC]"]})
    tokenizer.save_pretrained(named)
    assert asked_with(named, blip_settings, monkeypatch) == [len(tokenizer) - 1, *tokens[1:]]


@pytest.mark.parametrize(("key", "value"), [("num_hidden_layers", 10**20), ("hidden_size", 10**9)])
def test_a_network_that_no_machine_can_build_is_refused_before(blip_settings, folder, key, value):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    assert f"config.json: {key} is " in refused(blip_settings, folder)


def test_weights_that_do_not_fit_are_refused_with_their_names(blip_settings, folder):
    file = folder / "model.safetensors"
    state = load_file(file)
    first = "vision_model.encoder.layers.0.mlp.fc1.weight"

    def saved(changed):
        save_file(changed, file, metadata={"format": "pt"})
        return refused(blip_settings, folder)

    lacking = {key: value for key, value in state.items() if "decoder" not in key}
    assert "missing: text_decoder.bert.embeddings.LayerNorm.bias, " in saved(lacking)
    assert "left over: more" in saved(state | {"more": torch.zeros(3)})
    assert f"of another shape: {first}" in saved(state | {first: torch.zeros(3, 3)})
    infinite = state[first].clone()
    infinite[0, 0] = float("inf")
    assert f"are not finite: {first}" in saved(state | {first: infinite})
    other = saved({f"conv{i}.weight": torch.zeros(2) for i in range(300)})
    assert "missing: " in other
    assert "left over: conv0.weight" in other
    assert "and 295 more" in other
    file.write_bytes(b"\x00" * 100)
    assert "not a BLIP question-answering model" in refused(blip_settings, folder)
    # buffers of older files are no weights
    save_file(
        state | {"text_encoder.embeddings.position_ids": torch.arange(24)}, file, metadata={"format": "pt"}
    )
    assert open_vlm(replaced(blip_settings, weights=str(folder)), torch.device("cpu")).dim == 16


def test_a_model_in_several_files(blip, blip_settings, folder, pictures):
    file = folder / "model.safetensors"
    state = load_file(file)
    names = sorted(state)
    for number, part in enumerate((names[::2], names[1::2])):
        save_file(
            {name: state[name] for name in part}, folder / f"m{number}.safetensors", metadata={"format": "pt"}
        )
    file.unlink()
    index = {"metadata": {}, "weight_map": {name: f"m{i % 2}.safetensors" for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    opened = open_vlm(replaced(blip_settings, weights=str(folder)), torch.device("cpu"))
    np.testing.assert_array_equal(
        opened.answer(pictures, [COLOUR])[0].ids, blip.answer(pictures, [COLOUR])[0].ids
    )
    index["weight_map"][names[0]] = "../m0.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "'../m0.safetensors' is no .safetensors file beside it" in refused(blip_settings, folder)


def test_a_model_without_its_tokenizer_is_refused(blip_settings, folder):
    tokenizer = folder / "tokenizer.json"
    known = json.loads(tokenizer.read_text())
    vocabulary = known["model"]["vocab"]
    known["model"]["vocab"] |= {f"w{i}": len(vocabulary) + i for i in range(200)}
    tokenizer.write_text(json.dumps(known))
    assert "the tokenizer's vocabulary" in refused(blip_settings, folder)
    tokenizer.write_text("{}")
    assert "not a BLIP question-answering model" in refused(blip_settings, folder)
    tokenizer.unlink()
    assert "has no tokenizer" in refused(blip_settings, folder)


@pytest.mark.parametrize("part", ["", "preprocessor_", "tokenizer_", "processor_"])
@pytest.mark.parametrize("deep", [False, True])
def test_code_in_a_folder_is_refused_without_a_question(blip_settings, folder, part, deep, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    (folder / "evil.py").write_text(f"open({str(folder / 'CANARY')!r}, 'w')\nclass Evil: pass\n")
    path = folder / f"{part}config.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    classes = ("AutoConfig", "AutoImageProcessor", "AutoTokenizer")
    stated = {"auto_map": dict.fromkeys(classes, "evil.Evil")}
    path.write_text(json.dumps(content | ({"image_processor": stated} if deep else stated)))
    assert "states auto_map" in refused(blip_settings, folder)
    assert not (folder / "CANARY").exists()


def test_a_folder_of_something_else_is_refused(blip_settings, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llava"}))
    assert "model_type is 'llava', expected 'blip'" in refused(blip_settings, folder)
    for text in ("[1]", "{", "[" * 100_000):
        (folder / "config.json").write_text(text)
        refused(blip_settings, folder)
    config["text_config"]["hidden_size"] = "large"
    (folder / "config.json").write_text(json.dumps(config))
    assert "not a BLIP question-answering model" in refused(blip_settings, folder)
