"""MiniGPT-4's parts under their original names, converted, against a plain forward written from the architecture."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional as f
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner
from vlm.tiny_models import LANGUAGE, tokenizer

from mmcl.cli import app
from mmcl.errors import UserError
from mmcl.settings.jobs import Answering
from mmcl.vlm import open_vlm
from mmcl.vlm.minigpt4 import SYSTEM, TALKS, Form, _template, convert_minigpt4

FORM = Form(vision_layers=3, vision_heads=2, qformer_heads=2)
V, Q, L = 24, 16, 32
"""Widths of vision encoder, Q-Former and language model."""
SIDE, PATCH, QUERIES, QFORMER_LAYERS = 28, 14, 3, 4
HOLDING = "whether the people are holding objects?"


def linear(state, name, inputs, outputs, bias=True):
    state[f"{name}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
    if bias:
        state[f"{name}.bias"] = torch.randn(outputs) / 4


def norm(state, name, width):
    state[f"{name}.weight"], state[f"{name}.bias"] = 1 + torch.randn(width) / 4, torch.randn(width) / 4


def vision_part():
    """One block more than is used, and the head of a classifier, as in eva_vit_g.pth."""
    state = {"cls_token": torch.randn(1, 1, V), "pos_embed": torch.randn(1, 1 + (SIDE // PATCH) ** 2, V)}
    state["patch_embed.proj.weight"] = torch.randn(V, 3, PATCH, PATCH) / 24
    state["patch_embed.proj.bias"] = torch.randn(V)
    for block in range(FORM.vision_layers + 1):
        here = f"blocks.{block}"
        norm(state, f"{here}.norm1", V)
        norm(state, f"{here}.norm2", V)
        linear(state, f"{here}.attn.qkv", V, 3 * V, bias=False)
        state[f"{here}.attn.q_bias"], state[f"{here}.attn.v_bias"] = torch.randn(2, V)
        linear(state, f"{here}.attn.proj", V, V)
        linear(state, f"{here}.mlp.fc1", V, 40)
        linear(state, f"{here}.mlp.fc2", 40, V)
    norm(state, "norm", V)
    return state


def qformer_part():
    """With the parts for text, which MiniGPT-4 does not use, and T5's projection."""
    state = {"query_tokens": torch.randn(1, QUERIES, Q)}
    norm(state, "ln_vision", V)
    norm(state, "Qformer.bert.embeddings.LayerNorm", Q)
    state["Qformer.bert.embeddings.position_ids"] = torch.arange(8)[None]
    state["Qformer.bert.embeddings.word_embeddings.weight"] = torch.randn(9, Q)
    linear(state, "t5_proj", Q, 20)
    for layer in range(QFORMER_LAYERS):
        here = f"Qformer.bert.encoder.layer.{layer}"
        for kind, width in (("attention", Q), *([("crossattention", V)] if layer % 2 == 0 else [])):
            linear(state, f"{here}.{kind}.self.query", Q, Q)
            linear(state, f"{here}.{kind}.self.key", width, Q)
            linear(state, f"{here}.{kind}.self.value", width, Q)
            linear(state, f"{here}.{kind}.output.dense", Q, Q)
            norm(state, f"{here}.{kind}.output.LayerNorm", Q)
        for suffix in ("", "_query"):
            linear(state, f"{here}.intermediate{suffix}.dense", Q, 30)
            linear(state, f"{here}.output{suffix}.dense", 30, Q)
            norm(state, f"{here}.output{suffix}.LayerNorm", Q)
    return state


def features(vision, qformer, projection, pixels):
    """What enters the language model for pixels (B, 3, SIDE, SIDE): (B, QUERIES, L)."""

    def normed(x, state, name, eps):
        return f.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def lin(x, state, name):
        return f.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def attend(query, key, value, heads):
        split = [x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value)]
        weights = (split[0] @ split[1].mT / split[0].shape[-1] ** 0.5).softmax(-1)
        return (weights @ split[2]).transpose(1, 2).flatten(2)

    v = vision
    patches = f.conv2d(pixels, v["patch_embed.proj.weight"], v["patch_embed.proj.bias"], stride=PATCH)
    x = torch.cat([v["cls_token"].expand(len(pixels), -1, -1), patches.flatten(2).mT], 1) + v["pos_embed"]
    for block in range(FORM.vision_layers):
        here = f"blocks.{block}"
        y = normed(x, v, f"{here}.norm1", 1e-6) @ v[f"{here}.attn.qkv.weight"].T
        query, key, value = y.chunk(3, -1)
        query, value = query + v[f"{here}.attn.q_bias"], value + v[f"{here}.attn.v_bias"]
        x = x + lin(attend(query, key, value, FORM.vision_heads), v, f"{here}.attn.proj")
        y = f.gelu(lin(normed(x, v, f"{here}.norm2", 1e-6), v, f"{here}.mlp.fc1"))
        x = x + lin(y, v, f"{here}.mlp.fc2")
    picture = normed(x, qformer, "ln_vision", 1e-5)

    q, bert = qformer, "Qformer.bert"
    x = normed(q["query_tokens"].expand(len(pixels), -1, -1), q, f"{bert}.embeddings.LayerNorm", 1e-12)
    for layer in range(QFORMER_LAYERS):
        here = f"{bert}.encoder.layer.{layer}"
        for kind, seen in (("attention", None), ("crossattention", picture)):
            if f"{here}.{kind}.self.query.weight" in q:
                of = x if seen is None else seen
                query = lin(x, q, f"{here}.{kind}.self.query")
                key, value = lin(of, q, f"{here}.{kind}.self.key"), lin(of, q, f"{here}.{kind}.self.value")
                y = lin(attend(query, key, value, FORM.qformer_heads), q, f"{here}.{kind}.output.dense")
                x = normed(x + y, q, f"{here}.{kind}.output.LayerNorm", 1e-12)
        y = lin(f.gelu(lin(x, q, f"{here}.intermediate_query.dense")), q, f"{here}.output_query.dense")
        x = normed(x + y, q, f"{here}.output_query.LayerNorm", 1e-12)
    return lin(x, projection, "llama_proj")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The files and folders as they are published, and their content."""
    folder = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    vision, qformer, projection = vision_part(), qformer_part(), {}
    linear(projection, "llama_proj", Q, L)
    torch.save(vision, folder / "eva_vit_g.pth")
    torch.save({"model": qformer}, folder / "blip2.pth")
    torch.save({"model": projection, "epoch": 3}, folder / "minigpt4.pth")
    llama = LlamaForCausalLM(LlamaConfig(**LANGUAGE))
    with torch.no_grad():
        for value in llama.parameters():
            value.normal_(0, 0.3)
    llama.save_pretrained(folder / "vicuna", max_shard_size="40KB")
    assert len(list((folder / "vicuna").glob("*.safetensors"))) > 1
    tokenizer().save_pretrained(folder / "vicuna")
    return folder, (vision, qformer, projection), llama.eval()


def files(folder):
    named = {"vision": "eva_vit_g.pth", "qformer": "blip2.pth", "projection": "minigpt4.pth"}
    return {key: folder / file for key, file in named.items()} | {"language": folder / "vicuna"}


@pytest.fixture(scope="module")
def converted(parts, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "minigpt4"
    said = []
    convert_minigpt4(output, **files(parts[0]), form=FORM, report=said.append)
    assert len(said) == 1
    assert said[0].startswith("left out, as MiniGPT-4 does not use it: ")
    assert "t5_proj" in said[0]
    return output


def opened(folder):
    settings = {"name": "tiny", "adapter": "image_text", "weights": str(folder), "image_size": None}
    return open_vlm(Answering.model_validate(settings | {"max_new_tokens": 4}), torch.device("cpu"))


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(2)]


def test_features_equal_a_plain_forward(parts, converted, pictures):
    vlm = opened(converted)
    pixels = torch.from_numpy(np.stack(pictures)).movedim(3, 1) / 255
    prepares = vlm.processor.image_processor
    mean, std = (torch.tensor(x)[:, None, None] for x in (prepares.image_mean, prepares.image_std))
    pixels = (pixels - mean) / std
    with torch.inference_mode():
        expected = features(*parts[1], pixels)
        given = vlm._inputs(pictures, HOLDING)
        torch.testing.assert_close(given["pixel_values"], pixels, atol=1e-6, rtol=0)
        found = vlm.model.language_projection(
            vlm.model.qformer(
                query_embeds=vlm.model.query_tokens.expand(2, -1, -1),
                encoder_hidden_states=vlm.model.vision_model(pixel_values=pixels).last_hidden_state,
            ).last_hidden_state
        )
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_answers_equal_the_language_model_given_the_prompt(parts, converted, pictures):
    """As the original does it: text before the picture, its features, text behind, tokenised apart."""
    vlm, llama = opened(converted), parts[2]
    (answers,) = vlm.answer(pictures, [HOLDING])
    words = tokenizer()
    before = words(f"{SYSTEM}###Human: <Img>", return_tensors="pt")["input_ids"]
    after = words(f"</Img> {HOLDING}###Assistant: ", add_special_tokens=False, return_tensors="pt")[
        "input_ids"
    ]
    embed = llama.model.embed_tokens
    pixels = vlm._inputs(pictures, HOLDING)["pixel_values"]
    with torch.inference_mode():
        pictured = features(*parts[1], pixels)
        for row, one in enumerate(pictured):
            x = torch.cat([embed(before)[0], one, embed(after)[0]])[None]
            for step, token in enumerate(answers.ids[row][answers.mask[row]]):
                out = llama(inputs_embeds=x, output_hidden_states=True)
                torch.testing.assert_close(
                    torch.from_numpy(answers.states[row, step]),
                    out.hidden_states[-1][0, -1],
                    atol=1e-4,
                    rtol=1e-4,
                )
                assert out.logits[0, -1].argmax() == token
                x = torch.cat([x, embed(torch.tensor([[token]]))], 1)


def test_a_batch_equals_one_by_one(converted, pictures):
    vlm = opened(converted)
    (together,) = vlm.answer(pictures, [HOLDING])
    for row, picture in enumerate(pictures):
        (alone,) = vlm.answer([picture], [HOLDING])
        np.testing.assert_allclose(alone.states[0], together.states[row], atol=1e-5)
        np.testing.assert_allclose(alone.p_yes[0], together.p_yes[row], atol=1e-5)


def test_what_the_folder_holds(converted):
    config = json.loads((converted / "config.json").read_bytes())
    assert config["architectures"] == ["Blip2ForConditionalGeneration"]
    assert config["text_config"]["model_type"] == "llama"
    assert config["vision_config"]["num_hidden_layers"] == FORM.vision_layers
    parts = sorted(converted.glob("*.safetensors"))
    index = json.loads((converted / "model.safetensors.index.json").read_bytes())
    assert sorted(set(index["weight_map"].values())) == [part.name for part in parts]
    assert sum(len(load_file(part)) for part in parts) == len(index["weight_map"])
    generation = json.loads((converted / "generation_config.json").read_bytes())
    assert generation["eos_token_id"] == [2]  # this vocabulary has no token ###


def test_llama2_is_asked_in_its_way(parts, tmp_path, pictures):
    convert_minigpt4(tmp_path / "out", **files(parts[0]), talk="llama2", form=FORM)
    vlm = opened(tmp_path / "out")
    text = vlm.tokenizer.decode(vlm._inputs(pictures[:1], HOLDING)["input_ids"][0])
    places = "<unk>" * QUERIES
    assert text.endswith(f"{SYSTEM}<s>[INST] <Img>{places}</Img> {HOLDING} [/INST] ")
    assert set(TALKS) == {"vicuna", "llama2"}


def test_a_language_model_in_torch_files_of_half_precision(parts, converted, tmp_path):
    whole = {
        name: value for part in converted.glob("*.safetensors") for name, value in load_file(part).items()
    }
    own = {
        name.removeprefix("language_model."): value.half()
        for name, value in whole.items()
        if name.startswith("language_model.")
    }
    folder = tmp_path / "vicuna"
    folder.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((parts[0] / "vicuna" / file).read_bytes())
    names = sorted(own)
    own["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)  # as older files have it
    halves = names[:5], [*names[5:], "model.layers.0.self_attn.rotary_emb.inv_freq"]
    for number, half in enumerate(halves, 1):
        torch.save({name: own[name] for name in half}, folder / f"pytorch_model-0000{number}-of-00002.bin")
    convert_minigpt4(tmp_path / "out", **{**files(parts[0]), "language": folder}, form=FORM)
    found = [load_file(part) for part in sorted((tmp_path / "out").glob("*.safetensors"))]
    assert [len(part) for part in found[1:]] == [5, len(names) - 5]
    for part in found[1:]:
        for name, value in part.items():
            assert value.equal(own[name.removeprefix("language_model.")])


@pytest.mark.parametrize(("scheme", "space"), [("first", " "), ("always", "")])
def test_tokens_behind_the_picture_are_those_of_a_text_of_its_own(scheme, space):
    """LLaMA's vocabulary begins every text with a space; tokenizers differ in whether what follows a mark does."""
    letters = [*sorted({*SYSTEM, *"#Human: Assistant<>/aquestion"} - {" "}), "▁"]
    signs = ["<unk>", "<s>", "</s>", *letters]
    model = Tokenizer(
        models.BPE(vocab={sign: i for i, sign in enumerate(signs)}, merges=[], unk_token="<unk>")
    )
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    words = PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    said = []
    template = _template(words, TALKS["vicuna"], "<unk>", 2, said.append)
    assert not said
    assert f"<Img><unk><unk>{space}</Img> " in template


def test_the_original_has_39_blocks():
    assert Form() == Form(vision_layers=39, vision_heads=1408 // 88, qformer_heads=12)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "minigpt4.pth",
            {"model": {"other": torch.zeros(1)}},
            "no checkpoint of MiniGPT-4: has no llama_proj.bias",
        ),
        (
            "minigpt4.pth",
            {"model": {"llama_proj.weight": torch.zeros(5, Q), "llama_proj.bias": torch.zeros(L)}},
            r"language_projection.weight is \(5, 16\), expected \(32, 16\)",
        ),
        ("eva_vit_g.pth", {"cls_token": torch.zeros(1, 1, V)}, "has no blocks.0.attn.q_bias or v_bias"),
        ("blip2.pth", {"model": {}}, "query_tokens is missing, expected 3 axes"),
        ("blip2.pth", [1], "no Q-Former: expected tensors by name"),
    ],
)
def test_parts_of_something_else_are_refused(parts, tmp_path, part, change, message):
    given = files(parts[0])
    key = next(key for key, path in given.items() if path.name == part)
    torch.save(change, tmp_path / part)
    with pytest.raises(UserError, match=message):
        convert_minigpt4(tmp_path / "out", **{**given, key: tmp_path / part}, form=FORM)
    assert sorted(path.name for path in tmp_path.iterdir()) == [part]


def test_nothing_of_a_part_is_executed(parts, tmp_path):
    mark = tmp_path / "executed"

    class Bad:
        def __reduce__(self):
            return mark.touch, ()

    torch.save({"model": Bad()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad.pth: not a checkpoint of MiniGPT-4 that can be read safely"):
        convert_minigpt4(
            tmp_path / "out", **{**files(parts[0]), "projection": tmp_path / "bad.pth"}, form=FORM
        )
    assert not mark.exists()


def test_a_part_of_the_language_model_that_is_missing_is_named(parts, tmp_path):
    shutil.copytree(parts[0] / "vicuna", tmp_path / "vicuna")
    next((tmp_path / "vicuna").glob("*.safetensors")).unlink()
    with pytest.raises(UserError, match=r"is no .safetensors file beside it"):
        convert_minigpt4(tmp_path / "out", **{**files(parts[0]), "language": tmp_path / "vicuna"}, form=FORM)
    (tmp_path / "vicuna/model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"parts of MiniGPT-4 lack \d+ tensors: language_model\."):
        convert_minigpt4(tmp_path / "out", **{**files(parts[0]), "language": tmp_path / "vicuna"}, form=FORM)
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_wrong(parts, tmp_path):
    options = [part for key, path in files(parts[0]).items() for part in (f"--{key}", str(path))]
    said = CliRunner().invoke(app, ["convert-weights", "minigpt4", str(tmp_path / "out"), *options])
    # these parts have 4 blocks, and MiniGPT-4's own 39
    assert said.exit_code == 1
    assert "no vision encoder of MiniGPT-4: has no blocks.4.attn.q_bias" in said.stderr
    said = CliRunner().invoke(
        app, ["convert-weights", "minigpt4", str(tmp_path / "out"), *options, "--talk", "polite"]
    )
    assert said.exit_code == 2
