"""MiniGPT-4 (Zhu et al., 2023) from its published parts as a BLIP-2 of transformers with a LLaMA.

Architecture: EVA ViT-g (39 pre-norm blocks, query and value with bias, key without) → LayerNorm → Q-Former of BLIP-2
(32 query tokens, cross-attention in every second layer) → one linear layer → the embeddings of LLaMA, in which the
question stands around them. That is `Blip2ForConditionalGeneration`; only names, and the bias of the key, differ. One
number does too: transformers has one epsilon for all norms of the vision encoder, 1e-6, where the last one's is 1e-5.

The parts, in the order in which the original loads them, later ones on top: `eva_vit_g.pth`, BLIP-2's
`blip2_pretrained_flant5xxl.pth`, MiniGPT-4's own checkpoint.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmcl.errors import UserError, shown, some
from mmcl.files import write_json
from mmcl.state_dict import check_finite, read_tensors
from mmcl.vlm.foreign import CONFIG, STRICT, check_folder, go_offline, opened

if TYPE_CHECKING:
    import torch

VISION_RULES = (
    (r"cls_token", "embeddings.class_embedding"),
    (r"pos_embed", "embeddings.position_embedding"),
    (r"patch_embed\.proj\.(weight|bias)", r"embeddings.patch_embedding.\1"),
    (r"blocks\.(\d+)\.norm([12])\.(weight|bias)", r"encoder.layers.\1.layer_norm\2.\3"),
    (r"blocks\.(\d+)\.attn\.qkv\.weight", r"encoder.layers.\1.self_attn.qkv.weight"),
    (r"blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"encoder.layers.\1.self_attn.projection.\2"),
    (r"blocks\.(\d+)\.mlp\.(fc[12])\.(weight|bias)", r"encoder.layers.\1.mlp.\2.\3"),
)
RULES = (
    *((rf"visual_encoder\.{old}", f"vision_model.{new}") for old, new in VISION_RULES),
    (r"ln_vision\.(weight|bias)", r"vision_model.post_layernorm.\1"),
    (r"query_tokens", "query_tokens"),
    (r"Qformer\.bert\.embeddings\.LayerNorm\.(weight|bias)", r"qformer.layernorm.\1"),
    (
        r"Qformer\.bert\.encoder\.layer\.(\d+)\.(attention|crossattention)\.self\.(.+)",
        r"qformer.encoder.layer.\1.\2.attention.\3",
    ),
    (
        r"Qformer\.bert\.encoder\.layer\.(\d+)\.((?:attention|crossattention)\.output|intermediate_query|output_query)\.(.+)",
        r"qformer.encoder.layer.\1.\2.\3",
    ),
    (r"llama_proj\.(weight|bias)", r"language_projection.\1"),
)
"""Names of the original → names of transformers."""

SYSTEM = (
    "Give the following image: <Img>ImageContent</Img>. You will be able to see the image once I provide it to you. "
    "Please answer my questions."
)
CONVERSATION = (
    "{{ system }}{% for message in messages %}{{ user if message.role == 'user' else assistant }}"
    "{% for part in message.content %}{{ picture if part.type == 'image' else part.text }}{% endfor %}"
    "{{ separator }}{% endfor %}{% if add_generation_prompt %}{{ assistant }}{% endif %}"
)
"""The chat template, over texts that are set before it."""
PARTS = "model-{:05d}-of-{:05d}.safetensors"
INDEX = "model.safetensors.index.json"
LANGUAGE_FILES = ("*.safetensors", "pytorch_model*.bin")


class Talk(NamedTuple):
    """How a language model is asked: what stands before the user's turn, before the answer, and between turns."""

    user: str
    assistant: str
    separator: str


TALKS = {"vicuna": Talk("Human: ", "Assistant: ", "###"), "llama2": Talk("<s>[INST] ", " [/INST] ", "")}


class Form(NamedTuple):
    """What of the architecture the weights do not tell.

    Attributes:
        vision_layers: blocks of the vision encoder that are used; the file may have more.
        vision_heads, qformer_heads: of the attentions.
    """

    vision_layers: int = 39
    vision_heads: int = 16
    qformer_heads: int = 12


def convert_minigpt4(
    output: Path,
    *,
    vision: Path,
    qformer: Path,
    projection: Path,
    language: Path,
    talk: str = "vicuna",
    form: Form = Form(),  # noqa: B008 - a tuple
    report: Callable[[str], None] = lambda text: None,
) -> None:
    """Write MiniGPT-4 as a folder for `vlm.adapter: image_text`. It appears whole or not at all.

    The language model's files are read, renamed and written one at a time: the memory needed is less than twice that of
    the largest one.

    Args:
        output: the folder, which must not exist.
        vision, qformer, projection: see the module.
        language: folder of a LLaMA in transformers' form, such as Vicuna, with tokenizer.json.
        talk: how it is asked, of TALKS.
        form: of the architecture.
        report: takes lines about what was left out and what differs.

    Raises:
        UserError: a part is missing, damaged, of another architecture, or names anything but tensors.
    """
    if output.exists():
        raise UserError(f"{output}: is there already; name another folder or remove it")
    go_offline()
    check_folder(language, "llama")
    files = _language_files(language)
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        state = _seeing(vision, qformer, projection, form, report)
        config = _config(state, language, form)
        expected = _expected(config)
        writer = _Writer(part, expected, 1 + len(files))
        writer.add(state, vision)
        del state
        for file in files:
            writer.add(_language(file), file)  # not kept: the next file is read when this one is gone
        writer.finish(language)
        _write_processor(part, config, language, TALKS[talk], report)
        part.replace(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _state(path: Path, what: str) -> "dict[str, torch.Tensor]":
    """The tensors of a file, or of its entry `model`."""
    import torch

    content = read_tensors(path, what)
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise UserError(f"{path}: no {what}: expected tensors by name, or such under `model`")
    return {str(name): value for name, value in content.items()}


def _language(path: Path) -> "dict[str, torch.Tensor]":
    """A file of the language model under transformers' names, without what older versions saved beside it."""
    found = _state(path, "language model").items()
    return {
        f"language_model.{name}": value for name, value in found if not name.endswith("rotary_emb.inv_freq")
    }


def _seeing(
    vision: Path, qformer: Path, projection: Path, form: Form, report: Callable[[str], None]
) -> "dict[str, torch.Tensor]":
    """All but the language model, under transformers' names."""
    import torch

    old = {f"visual_encoder.{name}": value for name, value in _state(vision, "vision encoder").items()}
    old |= _state(qformer, "Q-Former")
    own = _state(projection, "checkpoint of MiniGPT-4")
    if missing := {"llama_proj.weight", "llama_proj.bias"} - own.keys():
        raise UserError(f"{projection}: no checkpoint of MiniGPT-4: has no {some(sorted(missing))}")
    old |= own
    found = {new: value for name, value in old.items() if (new := _renamed(name, form))}
    for layer in range(form.vision_layers):
        place = f"visual_encoder.blocks.{layer}.attn"
        query, value = old.get(f"{place}.q_bias"), old.get(f"{place}.v_bias")
        if query is None or value is None:
            raise UserError(
                f"{vision}: no vision encoder of MiniGPT-4: has no blocks.{layer}.attn.q_bias or v_bias"
            )
        bias = torch.cat([query, torch.zeros_like(query), value])
        found[f"vision_model.encoder.layers.{layer}.self_attn.qkv.bias"] = bias
    used = [name for name in old if _renamed(name, form) or name.endswith((".q_bias", ".v_bias"))]
    if unused := sorted({re.sub(r"\.\d+\..*|\.[^.]+$", "", name) for name in old.keys() - set(used)}):
        report(f"left out, as MiniGPT-4 does not use it: {', '.join(unused)[:500]}")
    return found


def _renamed(name: str, form: Form) -> str:
    """A tensor's name in transformers; "" for one that is not used."""
    for old, new in RULES:
        if match := re.fullmatch(old, name):
            if name.startswith("visual_encoder.blocks.") and int(match[1]) >= form.vision_layers:
                return ""
            return match.expand(new)
    return ""


def _config(state: "dict[str, torch.Tensor]", language: Path, form: Form) -> Any:
    """The configuration, by the shapes of the weights.

    Raises:
        UserError: a weight that tells it is missing or has another number of axes.
    """
    from transformers import Blip2Config, LlamaConfig

    def shape(name: str, axes: int) -> tuple[int, ...]:
        found = tuple(state[name].shape) if name in state else ()
        if len(found) != axes:
            raise UserError(f"parts of MiniGPT-4: {name} is {found or 'missing'}, expected {axes} axes")
        return found

    width, _, patch, _ = shape("vision_model.embeddings.patch_embedding.weight", 4)
    positions = shape("vision_model.embeddings.position_embedding", 3)[1]
    side = round((positions - 1) ** 0.5)
    _, queries, hidden = shape("query_tokens", 3)
    layers = {
        int(match[1]) for name in state if (match := re.match(r"qformer\.encoder\.layer\.(\d+)\.", name))
    }

    def load() -> Any:
        text = LlamaConfig(**json.loads((language / CONFIG).read_bytes()))
        return Blip2Config(
            vision_config={
                "hidden_size": width,
                "intermediate_size": shape("vision_model.encoder.layers.0.mlp.fc1.weight", 2)[0],
                "num_hidden_layers": form.vision_layers,
                "num_attention_heads": form.vision_heads,
                "image_size": side * patch,
                "patch_size": patch,
                "layer_norm_eps": 1e-6,
                "qkv_bias": True,
            },
            qformer_config={
                "hidden_size": hidden,
                "intermediate_size": shape("qformer.encoder.layer.0.intermediate_query.dense.weight", 2)[0],
                "num_hidden_layers": len(layers),
                "num_attention_heads": form.qformer_heads,
                "encoder_hidden_size": width,
                "cross_attention_frequency": 2,
            },
            text_config=text,
            num_query_tokens=queries,
            architectures=["Blip2ForConditionalGeneration"],
        )

    return opened(language, "a LLaMA", load)


def _expected(config: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the model."""
    import torch
    from transformers import Blip2ForConditionalGeneration

    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(config)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


class _Writer:
    """Writes tensors in parts, and their index."""

    def __init__(self, folder: Path, expected: dict[str, tuple[int, ...]], parts: int):
        self.folder, self.expected, self.parts = folder, expected, parts
        self.places: dict[str, str] = {}
        self.size = 0

    def add(self, tensors: "dict[str, torch.Tensor]", source: Path) -> None:
        """Write one part.

        Raises:
            UserError: a tensor is unknown, there twice, of another shape, or not finite.
        """
        from safetensors.torch import save_file

        for name, value in tensors.items():
            if name not in self.expected or name in self.places:
                raise UserError(
                    f"{source}: {shown(name)} is {'there twice' if name in self.places else 'unknown'}"
                )
            if tuple(value.shape) != self.expected[name]:
                raise UserError(f"{source}: {name} is {tuple(value.shape)}, expected {self.expected[name]}")
        check_finite(source, tensors)
        file = PARTS.format(len(set(self.places.values())) + 1, self.parts)
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            self.folder / file,
            metadata={"format": "pt"},
        )
        self.places |= dict.fromkeys(tensors, file)
        self.size += sum(value.numel() * value.element_size() for value in tensors.values())

    def finish(self, language: Path) -> None:
        """Write the index.

        Raises:
            UserError: a tensor is missing.
        """
        if missing := sorted(self.expected.keys() - self.places.keys()):
            raise UserError(f"{language}: parts of MiniGPT-4 lack {len(missing)} tensors: {some(missing)}")
        index = {"metadata": {"total_size": self.size}, "weight_map": self.places}
        write_json(self.folder / INDEX, index)


def _language_files(folder: Path) -> list[Path]:
    """Files of a language model's weights: all parts of .safetensors, else of .bin."""
    for pattern in LANGUAGE_FILES:
        if files := sorted(folder.glob(pattern)):
            return files
    raise UserError(f"{folder}: has no weights ({' or '.join(LANGUAGE_FILES)})")


def _write_processor(
    folder: Path, config: Any, language: Path, talk: Talk, report: Callable[[str], None]
) -> None:
    """Configuration, tokenizer, preparation of pictures and chat template.

    The places of the picture's features are marked by the unknown token, which no text contains, as LLaMA's vocabulary
    has all bytes: so the vocabulary keeps its size.
    """
    from transformers import AutoTokenizer, Blip2Processor, BlipImageProcessor, GenerationConfig

    def load(**more: Any) -> Any:
        return opened(
            language,
            "a tokenizer of LLaMA",
            lambda: AutoTokenizer.from_pretrained(language, **STRICT, **more),
        )

    mark = load().unk_token
    tokenizer = load(extra_special_tokens={"image_token": mark})
    if mark is None or tokenizer.eos_token is None:
        raise UserError(f"{language}: its tokenizer has no unknown token or no end token")
    ends = [tokenizer.eos_token_id]
    if tokenizer.pad_token is None or tokenizer.pad_token == mark:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    if talk.separator:
        vocabulary = tokenizer.get_vocab()
        ends += sorted(
            vocabulary[word] for word in (talk.separator, f"▁{talk.separator}") if word in vocabulary
        )
    config.image_token_index = tokenizer.unk_token_id
    config.save_pretrained(folder)
    side = config.vision_config.image_size
    # no number of queries: the template has their places, within the text
    processor = Blip2Processor(BlipImageProcessor(size={"height": side, "width": side}), tokenizer)
    processor.chat_template = _template(tokenizer, talk, mark, config.num_query_tokens, report)
    processor.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)


def _template(tokenizer: Any, talk: Talk, mark: str, queries: int, report: Callable[[str], None]) -> str:
    """The chat template whose tokens are the original's, which takes the texts before and after the picture apart."""
    before = f"{SYSTEM}{talk.separator}{talk.user}<Img>"
    after = f"</Img> a question{talk.separator}{talk.assistant}"

    def tokens(text: str, special: bool) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids

    picture = [tokenizer.unk_token_id] * queries
    original = [*tokens(before, True), *picture, *tokens(after, False)]
    fits = [space for space in ("", " ") if tokens(before + mark * queries + space + after, True) == original]
    if not fits:
        report("the tokens behind the picture differ from the original's by a space at the head of </Img>")
    return _jinja(talk, mark * queries + (fits[0] if fits else ""))


def _jinja(talk: Talk, picture: str) -> str:
    texts = {
        "system": SYSTEM + talk.separator,
        "user": talk.user,
        "picture": f"<Img>{picture}</Img> ",
        "assistant": talk.assistant,
        "separator": talk.separator,
    }
    return (
        "".join(f"{{%- set {name} = {json.dumps(text)} -%}}" for name, text in texts.items()) + CONVERSATION
    )
