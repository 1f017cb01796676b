import shutil
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from vlm.test_beams import by_lists

from mmcl.demo import vocabulary
from mmcl.errors import UserError
from mmcl.settings.jobs import Answering
from mmcl.vlm import open_vlm

WIDTH, HEADS, LAYERS, PATCH, SIDE = 128, 2, 2, 8, 5
COLOUR, HOLDING = "what colour is it", "whether the people are holding objects?"
WORDS = [
    word
    for word in vocabulary.entries([COLOUR, HOLDING, "yes no cup food ball"])
    if word != "[DEC]"  # the file is BERT's vocabulary
]
DEC, ENC = len(WORDS), len(WORDS) + 1
FILE = "model_base_vqa_capfilt_large.pth"


def shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint under the names of the original repository."""
    found: dict[str, tuple[int, ...]] = {
        "visual_encoder.cls_token": (1, 1, WIDTH),
        "visual_encoder.pos_embed": (1, SIDE**2 + 1, WIDTH),
        "visual_encoder.patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "visual_encoder.patch_embed.proj.bias": (WIDTH,),
    }

    def linear(name, outputs, inputs):
        found.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def norm(name):
        found.update({f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)})

    for i in range(LAYERS):
        block = f"visual_encoder.blocks.{i}"
        norm(f"{block}.norm1")
        linear(f"{block}.attn.qkv", 3 * WIDTH, WIDTH)
        linear(f"{block}.attn.proj", WIDTH, WIDTH)
        norm(f"{block}.norm2")
        linear(f"{block}.mlp.fc1", 2 * WIDTH, WIDTH)
        linear(f"{block}.mlp.fc2", WIDTH, 2 * WIDTH)
    norm("visual_encoder.norm")
    for bert in ("text_encoder", "text_decoder.bert"):
        found[f"{bert}.embeddings.position_ids"] = (1, 24)
        found[f"{bert}.embeddings.word_embeddings.weight"] = (ENC + 1, WIDTH)
        found[f"{bert}.embeddings.position_embeddings.weight"] = (24, WIDTH)
        norm(f"{bert}.embeddings.LayerNorm")
        for i in range(LAYERS):
            layer = f"{bert}.encoder.layer.{i}"
            for part in ("attention", "crossattention"):
                for one in ("query", "key", "value"):
                    linear(f"{layer}.{part}.self.{one}", WIDTH, WIDTH)
                linear(f"{layer}.{part}.output.dense", WIDTH, WIDTH)
                norm(f"{layer}.{part}.output.LayerNorm")
            linear(f"{layer}.intermediate.dense", 3 * WIDTH, WIDTH)
            linear(f"{layer}.output.dense", WIDTH, 3 * WIDTH)
            norm(f"{layer}.output.LayerNorm")
    head = "text_decoder.cls.predictions"
    found[f"{head}.bias"] = (ENC + 1,)
    linear(f"{head}.transform.dense", WIDTH, WIDTH)
    norm(f"{head}.transform.LayerNorm")
    return found


def made(seed: int = 10) -> dict[str, Tensor]:
    """Random weights; the decoder's words are tied to its embedding, as the original saves them.

    Patches are so faint that the ε of LayerNorm shows.
    """
    torch.manual_seed(seed)
    state = {
        key: torch.arange(shape[1])[None]
        if "position_ids" in key
        else torch.randn(shape) * (0.01 if "_embed" in key or "cls_token" in key else 0.15)
        for key, shape in shapes().items()
    }
    for bert in ("text_encoder", "text_decoder.bert"):
        state[f"{bert}.embeddings.word_embeddings.weight"] *= 4
        state[f"{bert}.embeddings.position_embeddings.weight"] *= 40
    for key in state:
        if key.endswith(("norm1.weight", "norm2.weight", "norm.weight", "LayerNorm.weight")):
            state[key] = 1 + 0.1 * state[key]
    head = "text_decoder.cls.predictions"
    state[f"{head}.decoder.weight"] = state["text_decoder.bert.embeddings.word_embeddings.weight"]
    state[f"{head}.decoder.bias"] = state[f"{head}.bias"]
    return state


class Plain:
    """BLIP's question answering, written out from its architecture on tensors of the original's names."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = {key: value.double() for key, value in state.items()}

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, x: Tensor, name: str, epsilon: float) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt()
        return x * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    @staticmethod
    def gelu(x: Tensor) -> Tensor:
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))

    @staticmethod
    def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
        outputs = []
        for q, k, v in zip(*(x.chunk(HEADS, -1) for x in (query, key, value)), strict=True):
            scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
            if causal:
                later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
                scores = scores.masked_fill(later, -torch.inf)
            outputs.append(scores.softmax(-1) @ v)
        return torch.cat(outputs, -1)

    def picture(self, pixels: Tensor) -> Tensor:
        """Norms before attention and MLP, and one at the end."""
        weight, bias = (self.state[f"visual_encoder.patch_embed.proj.{key}"] for key in ("weight", "bias"))
        x = F.conv2d(pixels.double(), weight, bias, stride=PATCH).flatten(2).transpose(1, 2)
        x = torch.cat([self.state["visual_encoder.cls_token"].expand(len(x), -1, -1), x], 1)
        x = x + self.state["visual_encoder.pos_embed"]
        for i in range(LAYERS):
            block = f"visual_encoder.blocks.{i}"
            qkv = self.linear(self.norm(x, f"{block}.norm1", 1e-6), f"{block}.attn.qkv")
            x = x + self.linear(self.attend(*qkv.chunk(3, -1)), f"{block}.attn.proj")
            inner = self.gelu(self.linear(self.norm(x, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1"))
            x = x + self.linear(inner, f"{block}.mlp.fc2")
        return self.norm(x, "visual_encoder.norm", 1e-6)

    def text(self, ids: Tensor, beside: Tensor, bert: str, causal: bool) -> Tensor:
        """Norms after every part; cross-attention between self-attention and MLP."""
        words, places = (
            self.state[f"{bert}.embeddings.{one}_embeddings.weight"] for one in ("word", "position")
        )
        x = self.norm(words[ids] + places[: ids.shape[1]], f"{bert}.embeddings.LayerNorm", 1e-12)
        for i in range(LAYERS):
            layer = f"{bert}.encoder.layer.{i}"
            for part, to in (("attention", None), ("crossattention", beside)):
                to = x if to is None else to
                qkv = [
                    self.linear(of, f"{layer}.{part}.self.{one}")
                    for one, of in (("query", x), ("key", to), ("value", to))
                ]
                found = self.linear(
                    self.attend(*qkv, causal=causal and part == "attention"), f"{layer}.{part}.output.dense"
                )
                x = self.norm(x + found, f"{layer}.{part}.output.LayerNorm", 1e-12)
            inner = self.gelu(self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm", 1e-12)
        return x

    def logits(self, states: Tensor) -> Tensor:
        head = "text_decoder.cls.predictions"
        x = self.norm(
            self.gelu(self.linear(states, f"{head}.transform.dense")), f"{head}.transform.LayerNorm", 1e-12
        )
        return self.linear(x, f"{head}.decoder")

    def question(self, pixels: Tensor, ids: list[int]) -> Tensor:
        return self.text(
            torch.tensor([ids]).expand(len(pixels), -1), self.picture(pixels), "text_encoder", False
        )

    def decoder(self, ids: Tensor, asked: Tensor) -> Tensor:
        return self.text(ids, asked, "text_decoder.bert", True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with a checkpoint and the vocabulary."""
    folder = tmp_path_factory.mktemp("original")
    torch.save({"model": made(), "epoch": 9, "config": {"image_size": 40}}, folder / FILE)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def settings(folder, **stated):
    plain = {"name": "original", "weights": str(folder), "image_size": 40, "max_new_tokens": 4, "batch": 2}
    return Answering.model_validate({**plain, **stated})


def opened(folder, **stated):
    return open_vlm(settings(folder, **stated), torch.device("cpu"))


@pytest.fixture(scope="module")
def blip(weights):
    return opened(weights)


def pixels_of(pictures) -> Tensor:
    """As the original makes them: torchvision's bicubic resize of a PIL picture, then CLIP's mean and deviation."""
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    transform = transforms.Compose(
        [
            transforms.Resize((40, 40), interpolation=InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    return torch.stack([transform(Image.fromarray(one)) for one in pictures])


def ids_of(text: str) -> list[int]:
    return [ENC, *(WORDS.index(word) for word in text.replace("?", " ?").split()), WORDS.index("[SEP]")]


def test_states_equal_a_plain_forward_of_the_original(blip, pictures):
    plain = Plain(made())
    pixels = pixels_of(pictures)
    torch.testing.assert_close(blip._pixels(pictures), pixels, atol=1e-6, rtol=0)
    for question in (COLOUR, HOLDING):
        (answers,) = blip.answer(pictures, [question])
        asked = plain.question(pixels, ids_of(question))
        ids = torch.full((3, 1), DEC)
        ended = torch.zeros(3, dtype=torch.bool)
        for t in range(4):
            states = plain.decoder(ids, asked)[:, -1]
            logits = plain.logits(states)
            assert (answers.mask[:, t] == ~ended.numpy()).all()
            np.testing.assert_allclose(answers.states[~ended, t], states[~ended], atol=1e-5)
            token = logits.argmax(1)
            np.testing.assert_array_equal(answers.ids[~ended, t], token[~ended])
            if t == 0 and question == HOLDING:
                yes, no = (logits[:, WORDS.index(word)] for word in ("yes", "no"))
                np.testing.assert_allclose(answers.p_yes, torch.sigmoid(yes - no), atol=1e-5)
            ids, ended = torch.cat([ids, token[:, None]], 1), ended | (token == WORDS.index("[SEP]"))
        assert len(np.unique(answers.ids)) > 2
    assert blip.image_size == 40
    assert not blip.interpolate
    assert blip.describe()["weights"] == FILE


def test_beams_find_an_answer_at_least_as_likely(weights, blip, pictures):
    wide = opened(weights, options={"beams": 3})
    assert wide.describe()["beams"] == "3"
    end, plain = WORDS.index("[SEP]"), Plain(made())
    asked = plain.question(pixels_of(pictures), ids_of(COLOUR))
    scores = []
    for model in (wide, blip):
        (answers,) = model.answer(pictures, [COLOUR])
        ids = torch.from_numpy(answers.ids)
        states = plain.decoder(torch.cat([torch.full((3, 1), DEC), ids[:, :-1]], 1), asked)
        np.testing.assert_allclose(answers.states[answers.mask], states[answers.mask], atol=1e-5)
        chosen = plain.logits(states).log_softmax(-1).gather(2, ids[..., None])[..., 0]
        scores.append((chosen * answers.mask).sum(1) / (1 + (answers.mask & (answers.ids != end)).sum(1)))
    assert (scores[0] >= scores[1] - 1e-9).all()

    def steps(row, sequence):
        states = plain.decoder(torch.tensor([sequence]), asked[row : row + 1])[0, -1]
        return plain.logits(states).log_softmax(-1).tolist()

    (found,) = wide.answer(pictures, [COLOUR])
    expected = [by_lists(partial(steps, row), 3, 4, DEC, end, wide.padding) for row in range(3)]
    assert found.ids.tolist() == expected


def test_picture_and_question_encoders_equal_the_plain_ones(blip, pictures):
    plain, pixels = Plain(made()), pixels_of(pictures)
    with torch.no_grad():
        picture = blip._encoded(pictures)
        torch.testing.assert_close(picture.double(), plain.picture(pixels), atol=1e-5, rtol=0)
        asked = blip.encode_question(COLOUR, picture)
    torch.testing.assert_close(asked.double(), plain.question(pixels, ids_of(COLOUR)), atol=1e-5, rtol=0)


def test_the_file_itself_may_be_named(weights, blip, pictures, tmp_path):
    (answers,) = blip.answer(pictures, [COLOUR])
    (named,) = opened(weights / FILE, image_size=None).answer(pictures, [COLOUR])
    np.testing.assert_array_equal(named.states, answers.states)
    # a vocabulary that has the two marks already, with the line ends of Windows
    folder = shutil.copytree(weights, tmp_path / "marked")
    (folder / "vocab.txt").write_bytes("\r\n".join([*WORDS, "[DEC]", "[ENC]", ""]).encode())
    np.testing.assert_array_equal(opened(folder).answer(pictures, [COLOUR])[0].states, answers.states)


def test_another_picture_size_is_interpolated(weights, pictures):
    large = opened(weights, image_size=64)
    assert large.embedding == (65, WIDTH)
    assert np.isfinite(large.answer(pictures, [COLOUR])[0].states).all()


@pytest.fixture
def folder(weights, tmp_path):
    return shutil.copytree(weights, tmp_path / "copy")


def refused(folder) -> str:
    with pytest.raises(UserError) as refusal:
        opened(folder)
    message = str(refusal.value)
    assert len(message) < 700
    return message


def test_what_is_missing_or_too_much_is_named(folder, blip_folder):
    (folder / "vocab.txt").rename(folder / "words.txt")
    assert "vocab.txt: is missing" in refused(folder)
    for content, said in (
        (b"\xff\xfe", "not UTF-8"),
        (b"[PAD]\n[UNK]\n[CLS]\nword\n", r"has no [SEP]; it must be the vocabulary of bert-base-uncased"),
        ("\n".join([*WORDS, "word"]).encode(), f"{ENC + 2} words with [DEC] and [ENC], but {FILE} has"),
        ("\n".join([*WORDS, "yes"]).encode(), "1 words are there twice"),
    ):
        (folder / "vocab.txt").write_bytes(content)
        assert said in refused(folder)
    shutil.copy(folder / FILE, folder / "other.pth")
    assert f"holds {FILE} and other.pth" in refused(folder)
    (folder / "other.pth").unlink()
    shutil.copytree(blip_folder, folder, dirs_exist_ok=True)
    assert f"holds {FILE} and config.json" in refused(folder)


def test_the_sha256_is_that_of_the_folder_with_the_checkpoint(folder):
    from mmcl.naming import sha256

    own = sha256(folder)
    assert opened(folder, sha256=own).dim == WIDTH
    with pytest.raises(UserError, match="but the config states"):
        opened(folder, sha256="0" * 64)
    torch.save({"model": made(4)}, folder / FILE)
    assert sha256(folder) != own


def test_tensors_that_do_not_fit_are_named_as_in_the_file(folder):
    state = made()

    def saved(changed):
        torch.save({"model": changed}, folder / FILE)
        return refused(folder)

    key = "visual_encoder.blocks.1.attn.proj.weight"
    assert f"missing: {key}" in saved({name: value for name, value in state.items() if name != key})
    assert f"of another shape: {key}" in saved(state | {key: torch.zeros(3, 3)})
    assert "left over: pooler.bias" in saved(state | {"pooler.bias": torch.zeros(3)})
    assert "has no visual_encoder.cls" not in saved({"a": torch.zeros(1)})
    assert "no BLIP for question answering: has no visual_encoder.pos_embed" in saved({"a": torch.zeros(1)})
    wrong = state[key].clone()
    wrong[0, 0] = torch.nan
    assert "not finite" in saved(state | {key: wrong})
    # one number that stands for more than any machine has
    huge = torch.zeros(1).expand(1, 10**9, 64 * 10**6)
    assert "promises" in saved(state | {"visual_encoder.pos_embed": huge})
    assert "63 wide" in saved(state | {"visual_encoder.pos_embed": torch.zeros(1, 26, 63)})
    blocks = {f"visual_encoder.blocks.{i}.x": torch.zeros(1) for i in range(1200)}
    assert "layers in visual_encoder.blocks" in saved(state | blocks)
    # wide enough that the model would have 10¹⁴ weights: refused before any of them is allocated
    wide = torch.zeros(1, 2, 64 * 10**5)
    assert "of another shape" in saved(state | {"visual_encoder.pos_embed": wide})


def test_a_file_of_anything_else_is_refused_and_not_executed(folder):
    class Evil:
        def __reduce__(self):
            return open, (str(folder / "CANARY"), "w")

    torch.save({"model": made(), "config": Evil()}, folder / FILE)
    assert "nothing of it was executed" in refused(folder)
    assert not (folder / "CANARY").exists()
    torch.save(made(), folder / FILE)
    assert "no state dict under the key 'model'" in refused(folder)
    torch.save({"model": {"a": 3}}, folder / FILE)
    assert "no state dict under the key 'model'" in refused(folder)
    (folder / FILE).write_bytes(b"\x80")
    refused(folder)
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr("a", "b")
    assert "none of torch.save" in refused(folder)
