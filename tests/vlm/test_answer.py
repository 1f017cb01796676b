import numpy as np
import pytest
import torch
from PIL import Image
from vlm.tiny_models import write_model

from mmcl import store
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.settings.base import replaced
from mmcl.settings.jobs import Answering
from mmcl.video import jpeg
from mmcl.vlm import open_vlm
from mmcl.vlm.answer import answer_question
from mmcl.vlm.blip import Blip
from mmcl.vlm.questions import freeze_question

HOLDING = "whether the people are holding objects?"
COLOUR = "what colour is it"
COLUMNS = ("states", "mask", "ids", "text", "p_yes")


@pytest.fixture
def montages(tmp_path, pictures):
    """Clips a, b, d; c has failed, e's bytes are no picture."""
    images = {name: jpeg.encode(picture, 95) for name, picture in zip("abd", pictures, strict=True)}
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


def ask(folder, montages, text, settings, also=()):
    question = folder / "questions" / f"{slug(text)}.txt"
    freeze_question(question, text)
    output = folder / slug(text) / "000-of-001.h5"
    output.parent.mkdir(exist_ok=True)
    answer_question(montages, question, output, settings, threads=1, also=also)
    return answers_of(folder, text)


def answers_of(folder, text):
    return store.Shards([folder / slug(text) / "000-of-001.h5"], "mmcl.answers/1")


def same(one, other):
    assert one.names == other.names
    assert one.failed == other.failed
    assert one.settings == other.settings
    assert one.fingerprint == other.fingerprint
    for column in COLUMNS:
        np.testing.assert_array_equal(one.read(column), other.read(column))


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
    together, alone = tmp_path / "together", tmp_path / "alone"
    for folder in (together, alone):
        folder.mkdir()
    ask(together, montages, HOLDING, blip_settings, also=[COLOUR, HOLDING])
    for text in (HOLDING, COLOUR):
        ask(alone, montages, text, blip_settings)
        same(answers_of(together, text), answers_of(alone, text))
        question = f"questions/{slug(text)}.txt"
        assert (together / question).read_bytes() == (alone / question).read_bytes() == text.encode()
    assert answers_of(together, COLOUR).attribute("question") == COLOUR
    assert sorted(path.name for path in together.iterdir()) == sorted(
        [slug(HOLDING), slug(COLOUR), "questions"]
    )
    written = (together / slug(COLOUR) / "000-of-001.h5").stat()
    assert (together / "questions" / f"{slug(COLOUR)}.txt").stat().st_mtime_ns < written.st_mtime_ns


def test_a_stopped_job_continues_with_all_questions(tmp_path, montages, blip_settings, monkeypatch):
    asked = []

    def stopping(self, images, questions):
        asked.append(list(questions))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return answer(self, images, questions)

    answer = Blip.answer
    monkeypatch.setattr(Blip, "answer", stopping)
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, montages, HOLDING, blip_settings, also=[COLOUR])
    # the further question alone, then both: no batch is answered twice
    ask(tmp_path, montages, COLOUR, blip_settings)
    ask(tmp_path, montages, HOLDING, blip_settings, also=[COLOUR])
    assert asked == [[HOLDING, COLOUR], [HOLDING, COLOUR], [COLOUR], [HOLDING]]
    alone = tmp_path / "alone"
    alone.mkdir()
    for text in (HOLDING, COLOUR):
        same(answers_of(tmp_path, text), ask(alone, montages, text, blip_settings))


def test_a_further_question_that_is_answered_already_is_left_alone(tmp_path, montages, blip_settings):
    ask(tmp_path, montages, COLOUR, blip_settings)
    store_of_colour = tmp_path / slug(COLOUR) / "000-of-001.h5"
    before = store_of_colour.stat().st_mtime_ns
    ask(tmp_path, montages, HOLDING, blip_settings, also=[COLOUR])
    assert store_of_colour.stat().st_mtime_ns == before
    ask(tmp_path, montages, HOLDING, replaced(blip_settings, max_new_tokens=2), also=[COLOUR])
    assert answers_of(tmp_path, COLOUR).shape("ids") == (2,)


def test_an_edited_question_is_refused(tmp_path, montages, blip_settings):
    question = tmp_path / f"{slug(HOLDING)}.txt"
    question.write_text(HOLDING.upper())
    with pytest.raises(UserError, match="The file was edited"):
        answer_question(montages, question, tmp_path / "out.h5", blip_settings, threads=1)
    assert not (tmp_path / "out.h5").exists()
    colour = tmp_path / f"{slug(COLOUR)}.txt"
    freeze_question(colour, COLOUR)
    with pytest.raises(UserError, match="The file was edited"):
        answer_question(montages, colour, tmp_path / "out.h5", blip_settings, threads=1, also=[HOLDING])


def test_an_answer_that_is_not_finite_fails_its_clip(tmp_path, montages, blip_settings, monkeypatch):
    answer = Blip.answer

    def overflowing(self, images, questions):
        found = answer(self, images, questions)
        for one in found:
            one.states[0, 0, 0] = np.inf  # the first picture of each batch
        return found

    whole = ask(tmp_path / "whole", montages, HOLDING, blip_settings)
    monkeypatch.setattr(Blip, "answer", overflowing)
    table = ask(tmp_path / "part", montages, HOLDING, blip_settings)
    assert table.names == ["b"]
    np.testing.assert_array_equal(table.row("states", "b"), whole.row("states", "b"))
    assert table.row("text", "b") == whole.row("text", "b")
    assert {"c", "e"} < table.failed.keys()
    for name in "ad":
        assert table.failed[name].startswith("the model's states are not finite")


def test_a_text_with_a_null_character_is_kept(tmp_path, montages, blip_settings, monkeypatch):
    answer = Blip.answer

    def producing(self, images, questions):
        found = answer(self, images, questions)
        return [one._replace(text=[f"a\0b{text}" for text in one.text]) for one in found]

    plain = ask(tmp_path / "plain", montages, HOLDING, blip_settings)
    monkeypatch.setattr(Blip, "answer", producing)
    texts = ask(tmp_path / "null", montages, HOLDING, blip_settings).read("text")
    assert texts.tolist() == [f"a\N{REPLACEMENT CHARACTER}b{text}" for text in plain.read("text")]


def test_a_model_that_sees_videos_is_given_the_crops(tmp_path):
    rng = np.random.default_rng(3)
    crops = {
        name: [rng.integers(0, 256, (40 + 8 * i, 30, 3), dtype=np.uint8) for i in range(5)] for name in "ab"
    }
    stored = {name: [jpeg.encode(crop, 95) for crop in of] for name, of in crops.items()}
    stored["c"] = [b"no picture"] * 5

    def work(names):
        good = [name for name in names if name in stored]
        columns = {
            "boxes": np.zeros((len(good), 5, 4), np.float32),
            "scores": np.ones((len(good), 5), np.float32),
            "frame": np.zeros((len(good), 5), np.int64),
            "images": [stored[name] for name in good],
        }
        return store.Batch(good, columns, {"d": "no person"} if "d" in names else {})

    path, schema = tmp_path / "000-of-001.h5", "mmcl.crops/1"
    columns = store.columns(schema, boxes=(5, 4), scores=(5,), frame=(5,), images=(5,))
    store.write(path, schema=schema, settings={}, names=[*"abcd"], columns=columns, batch_size=4, work=work)
    stated = {"name": "tiny", "adapter": "image_text", "image_size": None, "batch": 2}
    settings = Answering.model_validate(
        {
            **stated,
            "weights": str(write_model("qwen2_5_vl", tmp_path / "model")),
            "options": {"frames_as_video": True},
        }
    )
    answers = ask(tmp_path, path, HOLDING, settings)
    assert answers.names == ["a", "b"]
    assert answers.failed["d"] == "no person"
    assert answers.failed["c"].startswith("crops: 10 bytes that are not")
    model = open_vlm(settings, torch.device("cpu"))
    for name in "ab":
        # on black squares of the longest side, proportions kept
        video = np.zeros((5, 72, 72, 3), np.uint8)
        for frame, data in zip(video, stored[name], strict=True):
            image = Image.fromarray(jpeg.decode(data))
            scale = min(72 / image.width, 72 / image.height)
            width, height = round(image.width * scale), round(image.height * scale)
            top, left = (72 - height) // 2, (72 - width) // 2
            resized = image.resize((width, height), Image.Resampling.BICUBIC)
            frame[top : top + height, left : left + width] = np.asarray(resized)
        (expected,) = model.answer([video], [HOLDING])
        np.testing.assert_allclose(answers.row("states", name), expected.states[0], atol=1e-5)
        np.testing.assert_array_equal(answers.row("ids", name), expected.ids[0])
