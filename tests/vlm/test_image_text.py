import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from vlm.conftest import write_blip
from vlm.tiny_models import MAKERS, write_model

from mmcl.errors import UserError
from mmcl.naming import PROJECT
from mmcl.settings.jobs import Answering
from mmcl.vlm import open_vlm

LONG, SHORT, COLOUR = "whether the people are holding objects?", "is it?", "what colour is it"
VIDEOS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v", "internvl", "llava_onevision")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """The folder of each model type, written when it is first asked for."""
    made = {}

    def folder(name):
        if name == "smolvlm" and not importlib.util.find_spec("num2words"):
            pytest.skip("SmolVLM's processor needs the package num2words")
        if name not in made:
            made[name] = write_model(name, tmp_path_factory.mktemp(name))
        return made[name]

    return folder


def settings(folder, **more):
    stated = {"name": "tiny", "adapter": "image_text", "weights": str(folder), "image_size": None}
    return Answering.model_validate(stated | {"max_new_tokens": 4} | more)


def opened(folder, **more):
    return open_vlm(settings(folder, **more), torch.device("cpu"))


@pytest.fixture
def images():
    """Pictures of several sizes: where a model takes them as they are, their rows have other lengths."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, 56, 3), dtype=np.uint8) for height in (56, 112, 56)]


def reference(model, images, question):
    """Ids and last layers by transformers' own `generate` with all hidden states, picture by picture."""
    for image in images:
        with torch.inference_mode():
            out = model.model.generate(
                **model._inputs([image], question),
                generation_config=model.generation,
                output_hidden_states=True,
            )
        hidden = out.get("decoder_hidden_states") or out.hidden_states
        states = torch.stack([step[-1][0, -1] for step in hidden])
        yield out.sequences[0, -len(states) :].numpy(), states.numpy(), out.logits[0][0]


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_equals_one_by_one(folders, images, name):
    model = opened(folders(name))
    assert (
        type(model.model).__name__ in json.loads((folders(name) / "config.json").read_text())["architectures"]
    )
    questions = [LONG, SHORT, COLOUR]
    together = model.answer(images, questions)
    varied = set()
    for question, answers in zip(questions, together, strict=True):
        assert answers.states.shape == (3, 4, 32)
        assert (answers.states.dtype, answers.mask.dtype, answers.ids.dtype) == ("f4", "?", "i8")
        for i, (ids, states, logits) in enumerate(reference(model, images, question)):
            length = answers.mask[i].sum()
            np.testing.assert_array_equal(answers.ids[i, :length], ids[:length])
            assert (answers.ids[i, length:] == model.padding).all()
            np.testing.assert_allclose(answers.states[i, :length], states[:length], atol=1e-5)
            assert (answers.states[i, length:] == 0).all()
            assert answers.mask[i].tolist() == [t < length for t in range(4)]
            assert length == 4 or answers.ids[i, length - 1] in model.ends
            (alone,) = model.answer([images[i]], [question])
            for one, row in zip(alone, answers, strict=True):
                if isinstance(row, list):
                    assert one[0] == row[i]
                else:
                    np.testing.assert_allclose(one[0], row[i], atol=1e-5)
            weights = logits[[*model.yes, *model.no]].double().exp()
            expected = weights[: len(model.yes)].sum() / weights.sum()
            if question == COLOUR:
                assert np.isnan(answers.p_yes[i])
            else:
                np.testing.assert_allclose(answers.p_yes[i], expected, atol=1e-5)
            varied.add(answers.states[i].tobytes())
    assert len(varied) == 9  # picture and question both count


@pytest.mark.parametrize("name", ["blip2_opt", "instructblip_t5", "qwen3_vl", "florence2"])
def test_pictures_are_prepared_and_encoded_once_for_all_questions(folders, images, name):
    model = opened(folders(name))
    vision = getattr(model.model, "vision_model", None)
    encode = vision.forward if vision else model.model.base_model.get_image_features
    calls = []
    for step, remembered in (("prepared", model.processor.image_processor.preprocess), ("encoded", encode)):

        def counting(*args, step=step, function=remembered.function, **kwargs):
            calls.append(step)
            return function(*args, **kwargs)

        remembered.function = counting
    model.answer(images, [LONG, SHORT, COLOUR])
    assert calls == ["prepared", "encoded"]
    images[0][0, 0, 0] ^= 1  # one byte of the same array
    (changed,) = model.answer(images, [LONG])
    assert calls == ["prepared", "encoded"] * 2
    np.testing.assert_array_equal(changed.states, opened(folders(name)).answer(images, [LONG])[0].states)


def test_padding_is_on_the_left_though_the_saved_tokenizer_says_right(folders, images):
    model = opened(folders("qwen3_vl"))
    assert model.tokenizer.padding_side == "right"
    mask = model._inputs(images, SHORT)["attention_mask"]
    assert mask[0, 0] == 0
    assert (mask[:, -1] == 1).all()


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_of_a_clip_as_a_video(folders, name):
    rng = np.random.default_rng(1)
    videos = [rng.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8) for _ in range(2)]
    model = opened(folders(name), options={"frames_as_video": True})
    together = model.answer(videos, [LONG, SHORT])
    for question, answers in zip((LONG, SHORT), together, strict=True):
        for i, video in enumerate(videos):
            (alone,) = model.answer([video], [question])
            np.testing.assert_allclose(alone.states[0], answers.states[i], atol=1e-5)
            np.testing.assert_array_equal(alone.ids[0], answers.ids[i])
    # the order of the frames counts
    backwards = model.answer([videos[0][::-1].copy()], [LONG])[0]
    assert np.abs(backwards.states - together[0].states[:1]).max() > 1e-3


def test_a_model_without_videos_says_so(folders):
    with pytest.raises(
        UserError, match=r"Blip2.* takes no videos; set vlm\.options\.frames_as_video to false"
    ):
        opened(folders("blip2_opt"), options={"frames_as_video": True})


def test_the_folders_own_decoding_settings_are_not_used(folders, images, tmp_path):
    folder = shutil.copytree(folders("qwen2_5_vl"), tmp_path / "model")
    path = folder / "generation_config.json"
    stated = json.loads(path.read_text())
    more = {
        "do_sample": True,
        "temperature": 5.0,
        "repetition_penalty": 9.0,
        "num_beams": 3,
        "min_new_tokens": 4,
    }
    path.write_text(json.dumps(stated | more))
    for one, other in zip(
        opened(folder).answer(images, [LONG])[0],
        opened(folders("qwen2_5_vl")).answer(images, [LONG])[0],
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_an_answer_ends_with_any_of_the_end_tokens(folders, images, tmp_path):
    (answers,) = opened(folders("llava")).answer(images[:1], [LONG])
    folder = shutil.copytree(folders("llava"), tmp_path / "model")
    path = folder / "generation_config.json"
    ends = [2, int(answers.ids[0, 1])]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": ends}))
    (ended,) = opened(folder).answer(images[:1], [LONG])
    assert ended.mask[0].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(ended.ids[0], [*answers.ids[0, :2], 0, 0])
    np.testing.assert_allclose(ended.states[0, :2], answers.states[0, :2], atol=1e-5)
    assert (ended.states[0, 2:] == 0).all()


def test_the_prompt_and_the_picture_size_are_settings(folders, images):
    plain = opened(folders("blip2_opt"))
    assert plain.describe()["prompt"] == "Question: {question} Answer:"
    other = opened(folders("blip2_opt"), options={"prompt": "{question} Yes or no?"})
    asked = other._inputs(images[:1], SHORT)["input_ids"][0, 4:]
    assert other.tokenizer.decode(asked, skip_special_tokens=True) == f"{SHORT} Yes or no?"
    with pytest.raises(ValidationError, match=r"options\.prompt"):
        settings(folders("blip2_opt"), options={"prompt": "no place for it"})
    sized = opened(folders("qwen3_vl"), image_size=64)
    prepared = sized.prepare(images[1])
    assert prepared.shape == (64, 64, 3)
    assert sized.prepare(prepared) is prepared
    np.testing.assert_array_equal(
        sized.answer(images, [SHORT])[0].states,
        sized.answer([sized.prepare(image) for image in images], [SHORT])[0].states,
    )


def test_what_a_store_says_about_the_model(folders):
    said = opened(folders("florence2")).describe()
    assert said["model"] == "Florence2ForConditionalGeneration"
    assert said["chat_template"] == "False"
    assert json.loads(said["yes_tokens"]) == [260, 262]
    assert json.loads(said["no_tokens"]) == [261, 263]
    assert all(isinstance(value, str) for value in said.values())


def test_folders_of_other_models_are_refused(folders, tmp_path):
    with pytest.raises(UserError, match=r"'BlipForQuestionAnswering'.*set vlm\.adapter to blip"):
        opened(write_blip(tmp_path))
    folder = shutil.copytree(folders("blip2_opt"), tmp_path / "model")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    # the automatic class would load the last one with other weights left over
    others = (["MultiModalityCausalLM"], [], None, 3, [[]], ["LlavaForConditionalGeneration"])
    for architectures in others:
        path.write_text(json.dumps(config | {"architectures": architectures}))
        with pytest.raises(UserError, match="no image-text-to-text model of transformers"):
            opened(folder)


@pytest.mark.parametrize("place", ["processor_config.json", "qformer_tokenizer/tokenizer_config.json"])
def test_code_of_a_folder_is_refused_wherever_it_is_named(folders, tmp_path, place):
    folder = shutil.copytree(folders("instructblip_llama"), tmp_path / "model")
    content = json.loads((folder / place).read_text())
    (folder / place).write_text(json.dumps(content | {"auto_map": {"AutoProcessor": "evil.Evil"}}))
    with pytest.raises(UserError, match=r"states auto_map"):
        opened(folder)


def test_a_chat_template_cannot_reach_python(folders, images, tmp_path):
    folder = shutil.copytree(folders("qwen3_vl"), tmp_path / "model")
    for hostile in ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% if %}", "{{ range(10**9)|list }}"):
        (folder / "chat_template.jinja").write_text(hostile)
        with pytest.raises(UserError, match="not a model that can be asked like this"):
            opened(folder).answer(images, [SHORT])


def test_a_question_that_the_model_cannot_read_is_refused(folders, images):
    model = opened(folders("llava"))
    with pytest.raises(UserError, match="vocabulary has no word"):
        model.answer(images, [""])
    model.words = 100
    with pytest.raises(UserError, match="vocabulary is not the model's, which has 100 words"):
        model.answer(images, [SHORT])


@pytest.mark.parametrize("name", ["blip2_opt", "instructblip_t5", "qwen2_5_vl", "florence2"])
def test_other_precision(folders, images, name):
    (answers,) = opened(folders(name), dtype="bfloat16").answer(images, [LONG])
    assert answers.states.dtype == np.float32
    assert np.isfinite(answers.states).all()


def test_the_page_lists_every_type_with_its_prompt(folders):
    rows = re.findall(
        r"^\| (`.*?) \| (.*?) \| `(.*?)` \| (.*?) \|", (PROJECT / "docs/vlm.md").read_text(), re.M
    )
    listed = {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert listed.keys() == MAKERS.keys()
    for name in MAKERS.keys() - {"smolvlm"}:
        model = opened(folders(name))
        model.chat = False
        assert model._usual_prompt() == listed[name][2].replace("\\|", "|").replace("\\n", "\n"), name
        assert (listed[name][3] == "yes") == (name in VIDEOS), name
