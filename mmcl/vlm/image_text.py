"""Every image-text-to-text model of transformers (BLIP-2, InstructBLIP, LLaVA, Qwen-VL …) from a local folder.

The class is the one that config.json names under `architectures`; the automatic class would load some folders as
another model without an error. The question is put with the processor's chat template where it has one. What FRM reads
(MMCL, section 3.3.2) is the decoder's last layer at the positions that produce the answer's tokens.
"""

import copy
import functools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from mmcl.errors import UserError, shown
from mmcl.settings import base
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm.foreign import CONFIG, STRICT, check_words, find_folder, go_offline, load_strictly, opened
from mmcl.vlm.protocol import Answers, is_yes_no

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

WHAT_BELONGS = (
    "An image-text-to-text model in transformers' form belongs there (config.json, model.safetensors or its parts, "
    "processor_config.json or preprocessor_config.json, the tokenizer's files, chat_template.jinja if it has one), "
    "such as the files of Qwen/Qwen2.5-VL-3B-Instruct"
)
PROMPTS = {
    "Blip2ForConditionalGeneration": "Question: {question} Answer:",
    "Florence2ForConditionalGeneration": "{question}",
    "InstructBlipForConditionalGeneration": "{question}",
    "LlavaForConditionalGeneration": "USER: <image>\n{question} ASSISTANT:",
    "PaliGemmaForConditionalGeneration": "<image>answer en {question}",
}
"""How models whose processor has no chat template were trained to be asked; others: the picture, then the question."""
SPACES = ("", "Ġ", "▁")
"""How vocabularies write a space at the head of a word, and none."""
PROCESSORS = ("image_processor", "video_processor")
PICTURES = ("get_image_features", "get_video_features")
"""Methods of transformers' models that encode pictures."""


class ImageTextOptions(base.Options):
    """What `vlm.options` may hold."""

    prompt: Annotated[str, Field(pattern=r"\{question\}")] | None = Field(
        None,
        description="The text around {question}, inside the chat template where the model has one; null for the "
        "one that the model was trained with.",
    )
    frames_as_video: bool = Field(
        False, description="The model sees the crops of a clip as frames of a video instead of a montage."
    )
    frames_per_second: base.Positive = Field(2.0, description="Rate of these frames that the model is told.")


class ImageText:
    """Greedy answers of a `…ForConditionalGeneration` with at most `max_new_tokens` tokens.

    Of the folder's generation settings only the special tokens are used: no penalty, beam or sampling. `image_size`
    is the side to which a picture is resized before the model's own processor sees it.
    """

    Options = ImageTextOptions

    def __init__(self, settings: VlmSettings, device: "torch.device"):
        go_offline()
        import torch
        import transformers

        self.folder = find_folder(settings, None, WHAT_BELONGS)
        model_class = _class_of(self.folder)
        self.device = device
        self.options = base.own_options(settings.options, self.Options)
        self.tokens = settings.max_new_tokens
        self.image_size = settings.image_size
        self.dtype: torch.dtype = getattr(torch, settings.dtype)

        def load() -> tuple[Any, Any]:
            return (
                transformers.AutoProcessor.from_pretrained(self.folder, **STRICT),
                load_strictly(model_class, self.folder, dtype=self.dtype),
            )

        self.processor, model = opened(self.folder, f"a {model_class.__name__}", load)
        self.tokenizer = self.processor.tokenizer
        own = getattr(self.tokenizer, "chat_template", None)
        # some processors, such as Blip2Processor, do not take the template that they have saved
        if isinstance(own, str) and "image" in own and not getattr(self.processor, "chat_template", None):
            self.processor.chat_template = own
        self.model = model.to(device).eval()
        self.dim = int(self.model.config.get_text_config(decoder=True).hidden_size)
        self.words = int(self.model.get_input_embeddings().num_embeddings)
        self.chat = bool(getattr(self.processor, "chat_template", None))
        if self.options.frames_as_video and not (self.chat and hasattr(self.processor, "video_processor")):
            raise UserError(
                f"{self.folder}: {model_class.__name__} takes no videos; set vlm.options.frames_as_video to false"
            )
        self.prompt = self.options.prompt or self._usual_prompt()
        self.decoder = _decoder_of(self.model)
        self.generation, self.head = self._greedy()
        self.ends: list[int] = self.generation.eos_token_id
        self.padding = int(self.generation.pad_token_id)
        self.yes, self.no = self._yes_and_no()
        self.remembered = self._encode_once()

    def describe(self) -> dict[str, str]:
        """Versions and preprocessing."""
        import torch
        import transformers

        image_processor = getattr(self.processor, "image_processor", None)
        return {
            "model": type(self.model).__name__,
            "processor": type(self.processor).__name__,
            "image_processor": type(image_processor).__name__,
            "image_size": str(self.image_size),
            "chat_template": str(self.chat),
            "prompt": self.prompt,
            "yes_tokens": json.dumps(self.yes),
            "no_tokens": json.dumps(self.no),
            "attention": str(self.model.config._attn_implementation),
            "dtype": str(self.dtype).removeprefix("torch."),
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `VisionLanguageModel`: the picture with sides `image_size`; a video stays as it is."""
        size = self.image_size
        if size is None or image.ndim == 4 or image.shape[:2] == (size, size):
            return image
        from PIL import Image

        return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))

    def answer(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """See `VisionLanguageModel`; a picture is encoded once for all questions where no question enters that.

        Args:
            images: B pictures (H, W, 3), or with `frames_as_video` B videos (m, H, W, 3), uint8.
            questions: the texts.
        """
        prepared = [self.prepare(image) for image in images]
        try:
            return [self._answer(prepared, question) for question in questions]
        finally:
            for remembered in self.remembered:
                remembered.forget()

    def _answer(self, images: Sequence[np.ndarray], question: str) -> Answers:
        """All rows have the same question; pictures of other sizes may still take another number of tokens."""
        import torch

        inputs = self._inputs(images, question)
        found: list[torch.Tensor] = []
        # not `output_hidden_states`, which keeps every layer at every token of the picture
        hook = self.decoder.register_forward_hook(lambda *_: found.append(_[2][0][:, -1]))
        try:
            with torch.inference_mode():
                out = self.model.generate(**inputs, generation_config=self.generation)
        finally:
            hook.remove()
        if len(found) != len(out.logits):
            raise UserError(f"{self.folder}: the decoder of {type(self.model).__name__} is not known")
        produced = torch.stack(found, 1).float()
        rows, steps, dim = produced.shape
        ids = torch.full((rows, self.tokens), self.padding, device=self.device)
        ids[:, :steps] = out.sequences[:, -steps:]
        ended = torch.isin(ids, torch.tensor(self.ends, device=self.device)).cumsum(1)
        mask = torch.zeros(rows, self.tokens, dtype=torch.bool, device=self.device)
        mask[:, 0] = True
        mask[:, 1:steps] = ended[:, : steps - 1] == 0  # the end token itself belongs to the answer
        states = torch.zeros(rows, self.tokens, dim, device=self.device)
        states[:, :steps] = produced
        states = torch.where(mask[..., None], states, 0.0)
        ids = torch.where(mask, ids, self.padding)
        return Answers(
            states=states.cpu().numpy(),
            mask=mask.cpu().numpy(),
            ids=ids.cpu().numpy(),
            text=[str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in ids.tolist()],
            p_yes=self._p_yes(out.logits[0].float(), question),
        )

    def _p_yes(self, logits: "torch.Tensor", question: str) -> np.ndarray:
        """Softmax over the tokens of yes and no at the first step, those of yes summed: logits (B, words) → (B,)."""
        if not (is_yes_no(question) and self.yes and self.no):
            return np.full(len(logits), np.nan, np.float32)
        probabilities = logits[:, [*self.yes, *self.no]].softmax(1)
        summed: np.ndarray = probabilities[:, : len(self.yes)].sum(1).cpu().numpy()
        return summed

    def _inputs(self, images: Sequence[np.ndarray], question: str) -> dict[str, Any]:
        """What `generate` is given: tokens padded on the left, pictures in the model's dtype, on the device.

        Raises:
            UserError: the vocabulary has no word of the question, or the processor cannot take it.
        """
        import torch

        check_words(self.tokenizer, question)
        text = self.prompt.replace("{question}", question)
        # a saved tokenizer loses the side, and a state after padding depends on the rest of the batch
        how: dict[str, Any] = {"padding": True, "padding_side": "left"}

        def process() -> Any:
            if not self.chat:
                return self.processor(
                    images=list(images),
                    text=[text] * len(images),
                    return_tensors="pt",
                    **how,
                )
            if self.options.frames_as_video:
                how["do_sample_frames"] = False
                how["video_metadata"] = [[self._metadata(video)] for video in images]
            kind = "video" if self.options.frames_as_video else "image"
            asked = [
                [
                    {
                        "role": "user",
                        "content": [{"type": kind, kind: image}, {"type": "text", "text": text}],
                    }
                ]
                for image in images
            ]
            return self.processor.apply_chat_template(
                asked,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs=how,
            )

        made = opened(self.folder, "a model that can be asked like this", process)
        if int(made["input_ids"].max()) >= self.words:
            raise UserError(
                f"{self.folder}: the tokenizer's vocabulary is not the model's, which has {self.words} words"
            )
        inputs = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in made.items()
            if name != "labels"  # PaliGemma's, for training
        }
        if self.head:
            inputs["decoder_input_ids"] = torch.tensor([self.head], device=self.device).expand(
                len(images), -1
            )
        return inputs

    def _metadata(self, video: np.ndarray) -> dict[str, Any]:
        """Of a video (m, H, W, 3), as processors that write times into the prompt want it."""
        frames, height, width, _ = video.shape
        rate = self.options.frames_per_second
        return {
            "total_num_frames": frames,
            "fps": rate,
            "frames_indices": list(range(frames)),
            "duration": frames / rate,
            "height": height,
            "width": width,
        }

    def _usual_prompt(self) -> str:
        name = type(self.model).__name__
        if self.chat:
            return "{question}"
        return PROMPTS.get(name, f"{getattr(self.processor, 'image_token', '')}{{question}}")

    def _greedy(self) -> tuple[Any, list[int]]:
        """Settings of `generate` with nothing of the folder's but its special tokens, and the head of every answer.

        The head is the decoder's start token and the one that BART forces behind it, so that the first token that is
        produced is the answer's; empty where `generate` makes it itself.
        """
        from transformers import GenerationConfig

        text = self.model.config.get_text_config(decoder=True)
        places = [module.generation_config for module in self.model.modules() if _generates(module)]

        def token(name: str) -> Any:
            found = (getattr(place, name, None) for place in (*places, text, self.tokenizer))
            return next((one for one in found if one is not None), None)

        ends = token("eos_token_id")
        ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
        padding, start, forced = (
            token(f"{name}_token_id") for name in ("pad", "decoder_start", "forced_bos")
        )
        if padding is None:
            padding = ends[0] if ends else 0
        greedy = GenerationConfig(
            max_new_tokens=self.tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=ends,
            pad_token_id=padding,
            bos_token_id=token("bos_token_id"),
            decoder_start_token_id=start,
            output_logits=True,
            return_dict_in_generate=True,
        )
        for module in self.model.modules():
            if _generates(module):
                module.generation_config = copy.deepcopy(greedy)  # what is unset is taken from there
        encodes = bool(self.model.config.is_encoder_decoder)
        return greedy, [start, forced] if encodes and forced is not None else []

    def _yes_and_no(self) -> tuple[list[int], list[int]]:
        """Ids of the tokens that begin yes and no: yes and Yes with a space before it and without, likewise no.

        Where the vocabulary has none of these as one token, the first token of yes and Yes.
        """
        vocabulary = self.tokenizer.get_vocab()

        def tokens(word: str) -> set[int]:
            forms = (word, word.capitalize())
            whole = {vocabulary[s + form] for s in SPACES for form in forms if s + form in vocabulary}
            first = {self.tokenizer(form, add_special_tokens=False)["input_ids"][0] for form in forms}
            return (whole or first) - {self.tokenizer.unk_token_id}

        yes, no = tokens("yes"), tokens("no")
        if not yes - no or not no - yes:
            log.warning("the model's vocabulary does not tell yes from no: p_yes stays NaN")
        return sorted(yes - no), sorted(no - yes)

    def _encode_once(self) -> "list[_Remembered]":
        """Let a batch of pictures be prepared and encoded for the first question alone."""
        parts = [getattr(self.processor, name, None) for name in PROCESSORS]
        places = [(part, "preprocess") for part in parts if part]
        if hasattr(self.model, "vision_model"):  # BLIP-2 and InstructBLIP, whose `generate` calls it directly
            places.append((self.model.vision_model, "forward"))
        else:
            inner = self.model.base_model
            places += [(inner, name) for name in PICTURES if hasattr(inner, name)]
        found = []
        for place, name in places:
            found.append(_Remembered(getattr(place, name)))
            setattr(place, name, found[-1])
        return found


class _Remembered:
    """A function that gives its last result again to the same arguments; tensors are compared by value."""

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)  # `generate` reads its signature
        self.function = function
        self.forget()

    def forget(self) -> None:
        """Call the function the next time."""
        self.given: Any = None
        self.result: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.given is None or not _same(self.given, (args, kwargs)):
            self.forget()
            self.result = self.function(*args, **kwargs)
            self.given = (args, kwargs)
        return copy.copy(self.result)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "shape"):
        return one is other or bool(one.shape == other.shape and (one == other).all())
    return bool(one == other)


def _decoder_of(model: Any) -> Any:
    """The module whose output is the last layer that the words are read from."""
    inner = model.get_decoder()
    return model if inner is model else _decoder_of(inner)


def _generates(module: Any) -> bool:
    return getattr(module, "generation_config", None) is not None


def _class_of(folder: Path) -> Any:
    """The class of transformers that config.json names.

    Raises:
        UserError: it is none of the image-text-to-text models.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    config = json.loads((folder / CONFIG).read_bytes())
    stated, kind = config.get("architectures"), config.get("model_type")
    name = stated[0] if isinstance(stated, list) and stated else None
    if isinstance(name, str) and name == MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(str(kind)):
        return getattr(transformers, name)
    advice = (
        "set vlm.adapter to blip"
        if name == "BlipForQuestionAnswering"
        else "take a checkpoint in transformers' own form, or import answers that were made elsewhere"
    )
    raise UserError(
        f"{folder / CONFIG}: architectures is {shown(stated)} of model_type {shown(kind)}, no image-text-to-text model "
        f"of transformers; {advice}"
    )
