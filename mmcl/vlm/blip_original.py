"""BLIP's own checkpoints of visual question answering (`model_base_vqa_capfilt_large.pth`), as transformers' model.

A checkpoint of the original repository (github.com/salesforce/BLIP) is a file of `torch.save` with `{"model": state
dict}`. Its picture encoder has the names of timm's ViT, its text models those of BERT with cross-attention in every
layer. What the file does not state, and the repository does: heads are 64 wide, LayerNorms of the picture encoder have
ε 10⁻⁶ (transformers' conversion: 10⁻⁵) and those of the text models 10⁻¹², GELU is the exact one, the
tokenizer is bert-base-uncased with [DEC] and [ENC] behind, pixels are normalised as CLIP's.
"""

import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl.errors import UserError, some
from mmcl.naming import find, find_weights
from mmcl.settings.vlm import VlmSettings
from mmcl.state_dict import read_tensors
from mmcl.vlm.foreign import CONFIG, MOST_LAYERS, load_strictly, misfit

if TYPE_CHECKING:
    import torch

SUFFIX, VOCABULARY = ".pth", "vocab.txt"
WHAT_BELONGS = (
    f"BLIP's own checkpoint belongs there (model_base_vqa_capfilt_large{SUFFIX} of github.com/salesforce/BLIP) and, "
    f"beside it, {VOCABULARY} of bert-base-uncased; `mmcl fetch blip-original` fetches both"
)
MARKS = ("[DEC]", "[ENC]")
"""What BLIP adds to BERT's vocabulary: the first token of an answer, and of a question."""
NEEDED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MOST_VOCABULARY = 16 << 20
"""Bytes; that of bert-base-uncased has 0.2 MB."""
HEAD = 64
"""Width of an attention head."""
PICTURE, TEXT = "visual_encoder.", "text_encoder."
NAMES = (
    ("vision_model.encoder.layers.", f"{PICTURE}blocks."),
    ("vision_model.embeddings.class_embedding", f"{PICTURE}cls_token"),
    ("vision_model.embeddings.position_embedding", f"{PICTURE}pos_embed"),
    ("vision_model.embeddings.patch_embedding.", f"{PICTURE}patch_embed.proj."),
    ("vision_model.post_layernorm.", f"{PICTURE}norm."),
    (".self_attn.projection.", ".attn.proj."),
    (".self_attn.", ".attn."),
    (".layer_norm", ".norm"),
)
"""Parts of transformers' names, and what they are in the original; text models have the same names in both."""


def find_original(settings: VlmSettings) -> Path | None:
    """BLIP's own checkpoint where the settings name one: a .pth file, or a folder that holds it.

    Raises:
        UserError: a folder with two of them, or with a model in transformers' form beside; another sha256 than the
            settings state.
    """
    place = find(settings.weights)
    files = [place] if place.suffix == SUFFIX and place.is_file() else sorted(place.glob(f"*{SUFFIX}"))
    if not files:
        return None
    others = [file.name for file in files[1:]] + [CONFIG] * (place.is_dir() and (place / CONFIG).exists())
    if others:
        raise UserError(
            f"{place}: holds {files[0].name} and {some(others)}, so which model is meant is not known; keep one of "
            "them, or name the .pth file itself in vlm.weights"
        )
    find_weights(settings.weights, settings.sha256, WHAT_BELONGS)
    return files[0]


def open_original(path: Path, dtype: "torch.dtype") -> tuple[Any, Any, Any]:
    """Tokenizer, image processor and `BlipForQuestionAnswering` of a checkpoint, at its own picture size.

    Args:
        path: the .pth file; `vocab.txt` lies beside it.
        dtype: of the model.

    Raises:
        UserError: the vocabulary is missing or not the model's, or the tensors are not those of this architecture.
    """
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipImageProcessorPil

    words = _vocabulary(path.parent / VOCABULARY)
    state = _state(path)
    shapes = _architecture(path, state)
    text, vision = shapes["text_config"], shapes["vision_config"]
    if len(words) != text["vocab_size"]:
        raise UserError(
            f"{path.parent / VOCABULARY}: {len(words)} words with {' and '.join(MARKS)}, but {path.name} has "
            f"{text['vocab_size']}; it must be the vocabulary of bert-base-uncased"
        )
    special = {
        "bos_token_id": words[MARKS[0]],
        "sep_token_id": words["[SEP]"],
        "pad_token_id": words["[PAD]"],
    }
    config = BlipConfig(text_config=text | special, vision_config=vision)
    renamed = _renamed(path, config, state)
    del state
    model = load_strictly(BlipForQuestionAnswering, path, state_dict=renamed, config=config, dtype=dtype)
    size = {"height": vision["image_size"], "width": vision["image_size"]}
    return _tokenizer(words), BlipImageProcessorPil(size=size), model


def _vocabulary(file: Path) -> dict[str, int]:
    """Word → id, [DEC] and [ENC] behind the others unless the file has them."""
    if not file.is_file():
        raise UserError(f"{file}: is missing. {WHAT_BELONGS}")
    if file.stat().st_size > MOST_VOCABULARY:
        raise UserError(f"{file}: has {file.stat().st_size} bytes, no vocabulary")
    try:
        lines = file.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: holds text that is not UTF-8 ({error.reason})") from None
    words = [line.removesuffix("\r") for line in lines]
    words += [mark for mark in MARKS if mark not in words]
    ids = {word: number for number, word in enumerate(words)}
    if lacking := [word for word in NEEDED if word not in ids]:
        raise UserError(f"{file}: has no {some(lacking)}; it must be the vocabulary of bert-base-uncased")
    if len(ids) < len(words):
        raise UserError(f"{file}: {len(words) - len(ids)} words are there twice")
    return ids


def _tokenizer(words: dict[str, int]) -> Any:
    from transformers import BertTokenizer

    start, *others = MARKS
    return BertTokenizer(vocab=words, do_lower_case=True, bos_token=start, additional_special_tokens=others)


def _state(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a checkpoint by their names in the original."""
    import torch

    content = read_tensors(path, "BLIP checkpoint")
    state = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise UserError(f"{path}: holds no state dict under the key 'model', as BLIP's checkpoints do")
    for key, value in state.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{path}: {key} promises {value.numel()} numbers, more than the file has for it")
    return dict(state)


def _architecture(path: Path, state: "Mapping[str, torch.Tensor]") -> dict[str, dict[str, Any]]:
    """Sizes of both configurations, from the shapes of the tensors."""

    def shape(key: str, axes: int) -> tuple[int, ...]:
        if key not in state or state[key].ndim != axes:
            raise UserError(f"{path}: no BLIP for question answering: has no {key} of {axes} axes")
        return tuple(state[key].shape)

    def layers(prefix: str) -> int:
        found = {key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)}
        if len(found) > MOST_LAYERS:
            raise UserError(f"{path}: {len(found)} layers in {prefix[:-1]}")
        return len(found)

    def sizes(width: int, inner: str, prefix: str) -> dict[str, Any]:
        if width % HEAD or not width:
            raise UserError(f"{path}: {prefix[:-1]} are {width} wide, no multiple of {HEAD}")
        return {
            "hidden_size": width,
            "intermediate_size": shape(f"{prefix}0.{inner}", 2)[0],
            "num_hidden_layers": layers(prefix),
            "num_attention_heads": width // HEAD,
            "hidden_act": "gelu",
        }

    positions, width = shape(f"{PICTURE}pos_embed", 3)[1:]
    patch = shape(f"{PICTURE}patch_embed.proj.weight", 4)[3]
    words, text_width = shape(f"{TEXT}embeddings.word_embeddings.weight", 2)
    vision = sizes(width, "mlp.fc1.weight", f"{PICTURE}blocks.")
    text = sizes(text_width, "intermediate.dense.weight", f"{TEXT}encoder.layer.")
    longest = shape(f"{TEXT}embeddings.position_embeddings.weight", 2)[0]
    side = isqrt(max(positions - 1, 0))
    return {
        "vision_config": {**vision, "image_size": side * patch, "patch_size": patch, "layer_norm_eps": 1e-6},
        "text_config": {
            **text,
            "vocab_size": words,
            "max_position_embeddings": longest,
            "layer_norm_eps": 1e-12,
        },
    }


def _renamed(path: Path, config: Any, state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The tensors by transformers' names, if names and shapes are those of the model: nothing is allocated before."""
    import torch
    from transformers import BlipForQuestionAnswering

    with torch.device("meta"):
        expected = BlipForQuestionAnswering(config).state_dict()
    names = {_original_name(key): key for key in expected}
    wrong = {
        "missing": names.keys() - state.keys(),
        "of another shape": [
            name for name, key in names.items() if name in state and state[name].shape != expected[key].shape
        ],
        "left over": state.keys() - names.keys(),
    }
    misfit(path, BlipForQuestionAnswering, wrong)
    return {key: state[name] for name, key in names.items()}


def _original_name(key: str) -> str:
    """An entry of transformers' state dict in the original."""
    if not key.startswith("vision_model."):
        return key
    for ours, theirs in NAMES:
        key = key.replace(ours, theirs)
    return re.sub(r"^vision_model\.", PICTURE, key)
