"""BLIP visual question answering (Li et al., ICML 2022): its own checkpoint, or a folder in transformers' form.

The picture and the question meet in the question encoder, whose output the answer decoder attends to. What
FRM reads (MMCL, section 3.3.2) is the decoder's last layer at the positions that produce the answer's tokens.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from mmcl.ahead import fetch, upload
from mmcl.errors import UserError
from mmcl.naming import sha256
from mmcl.settings import base
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm import beams, blip_layers, blip_original
from mmcl.vlm.foreign import STRICT, check_words, find_folder, go_offline, load_strictly, opened
from mmcl.vlm.protocol import Answers, is_yes_no

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

WHAT_BELONGS = (
    "A BLIP question-answering model in transformers' form belongs there (config.json, model.safetensors, "
    "preprocessor_config.json and the tokenizer's files), such as the files of "
    "Salesforce/blip-vqa-capfilt-large (`mmcl fetch blip-vqa-capfilt-large`); or BLIP's own checkpoint, "
    "model_base_vqa_capfilt_large.pth, with vocab.txt of bert-base-uncased (`mmcl fetch blip-original`)"
)
ENC = "[ENC]"
BLIP_WORDS = 30524
"""Words of BLIP's vocabulary: the 30522 of BERT's, [DEC], and [ENC]."""
IMAGE_BACKEND = "pil"  # as in the original; with torchvision pixels differ by up to 0.015


class Blip:
    """`BlipForQuestionAnswering`, at most `max_new_tokens` answer tokens, found greedily or by beam search.

    `weights` is a folder with config.json, model.safetensors, the tokenizer and preprocessor_config.json, or BLIP's own
    checkpoint (`blip_original`). For another `image_size` than the model's the position embedding is interpolated.
    """

    class Options(base.Options):
        """What `vlm.options` may hold."""

        beams: int = Field(
            1,
            ge=1,
            le=64,
            description="Answers followed at the same time; 1 is greedy, BLIP's own code has 3.",
        )

    def __init__(self, settings: VlmSettings, device: "torch.device"):
        go_offline()
        import torch

        self.device = device
        self.tokens = settings.max_new_tokens
        self.beams = base.own_options(settings.options, Blip.Options).beams
        self.dtype: torch.dtype = getattr(torch, settings.dtype)
        checkpoint = blip_original.find_original(settings)
        place = checkpoint or find_folder(settings, "blip", WHAT_BELONGS)

        def load() -> tuple[Any, Any, Any]:
            return blip_original.open_original(place, self.dtype) if checkpoint else self._from_folder(place)

        self.tokenizer, self.processor, model = opened(place, "a BLIP question-answering model", load)
        self.source = {"weights": "transformers"}
        if checkpoint:
            words = checkpoint.with_name(blip_original.VOCABULARY)
            self.source = {"weights": checkpoint.name, "vocabulary": sha256(words)}
        self.model = model.to(device).eval()
        text, vision = self.model.config.text_config, self.model.config.vision_config
        self._check_vocabulary(place)
        self.dim = text.hidden_size
        self.start, self.end, self.padding = text.bos_token_id, text.sep_token_id, text.pad_token_id
        self.image_size = int(settings.image_size or vision.image_size)
        self.interpolate = self.image_size != vision.image_size
        self.embedding = ((self.image_size // vision.patch_size) ** 2 + 1, vision.hidden_size)
        self.longest_question = text.max_position_embeddings
        self.question_start = self._question_start()
        self.yes, self.no = (self._first_token(word) for word in ("yes", "no"))
        self.size = {"height": self.image_size, "width": self.image_size}
        self.normalised = self._normalised().to(device)
        self.text_stream: torch.cuda.Stream | None = None
        self._asked: dict[str, torch.Tensor] = {}

    def _from_folder(self, folder: Path) -> tuple[Any, Any, Any]:
        """Tokenizer, image processor and model in transformers' form."""
        from transformers import AutoImageProcessor, AutoTokenizer, BlipForQuestionAnswering

        return (
            AutoTokenizer.from_pretrained(folder, **STRICT),
            AutoImageProcessor.from_pretrained(folder, backend=IMAGE_BACKEND, **STRICT),
            load_strictly(BlipForQuestionAnswering, folder, dtype=self.dtype),
        )

    def describe(self) -> dict[str, str]:
        """Versions and preprocessing."""
        import torch
        import transformers

        return {
            "model": type(self.model).__name__,
            **self.source,
            "beams": str(self.beams),
            "image_processor": type(self.processor).__name__,
            "image_backend": IMAGE_BACKEND,
            "image_size": str(self.image_size),
            "attention": "fused",
            "dtype": str(self.dtype).removeprefix("torch."),
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See `VisionLanguageModel`: the picture (S, S, 3) as the image processor resizes it."""
        if image.shape[:2] == (self.image_size, self.image_size):
            return image  # PIL's resizing to the same size is a copy
        resized = self.processor(
            images=[image], size=self.size, do_rescale=False, do_normalize=False, return_tensors="np"
        )
        picture: np.ndarray = np.moveaxis(resized["pixel_values"][0], 0, 2)
        return picture

    def answer(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """See `VisionLanguageModel`; the vision encoder runs once per picture."""
        return self.begin(images, questions)()

    def begin(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> Callable[[], list[Answers]]:
        """See `VisionLanguageModel`: on a GPU all work is queued, and nothing waits for it."""
        import torch

        with torch.inference_mode():
            return self._begin(self._encoded(images), questions)

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """See `VisionLanguageModel`: the vision encoder's output, the class token first."""
        import torch

        with torch.inference_mode():
            states: np.ndarray = self._encoded(images).half().cpu().numpy()
        return states

    def answer_embedded(self, embeddings: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """See `VisionLanguageModel`."""
        import torch

        with torch.inference_mode():
            picture = torch.from_numpy(np.stack(embeddings)).to(self.device, self.dtype)
            return self._begin(picture, questions)()

    def _encoded(self, images: Sequence[np.ndarray]) -> "torch.Tensor":
        """The vision encoder's output (B, patches + 1, D)."""
        return blip_layers.encode_pictures(self.model.vision_model, self._pixels(images), self.interpolate)

    def _begin(self, picture: "torch.Tensor", questions: Sequence[str]) -> Callable[[], list[Answers]]:
        with self._beside(picture):
            found = [fetch(self._answer(question, picture)) for question in questions]
        return lambda: [self._as_answers(*finish()) for finish in found]

    @contextmanager
    def _beside(self, picture: "torch.Tensor") -> Iterator[None]:
        """On a GPU a stream of its own for the text: its many small kernels run beside those of the next pictures.

        `picture` is what it reads.
        """
        import torch

        if self.device.type != "cuda":
            yield
            return
        with torch.cuda.device(self.device):
            self.text_stream = self.text_stream or torch.cuda.Stream()
            self.text_stream.wait_stream(torch.cuda.current_stream())
            picture.record_stream(self.text_stream)
            with torch.cuda.stream(self.text_stream):
                yield

    def _as_answers(
        self, states: np.ndarray, mask: np.ndarray, ids: np.ndarray, p_yes: np.ndarray
    ) -> Answers:
        text = [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in ids.tolist()]
        return Answers(states=states, mask=mask, ids=ids, text=text, p_yes=p_yes)

    def _pixels(self, images: Sequence[np.ndarray]) -> "torch.Tensor":
        """Pictures (H, W, 3) uint8, resized and normalised: (B, 3, S, S)."""
        import torch

        resized = [self.prepare(image) for image in images]
        # bytes travel, and become numbers on the device
        place = upload(resized, self.device).movedim(3, 0).reshape(3, -1).int()
        pixels = torch.stack([of.index_select(0, at) for of, at in zip(self.normalised, place, strict=True)])
        return pixels.view(3, len(resized), *resized[0].shape[:2]).movedim(0, 1)

    def _normalised(self) -> "torch.Tensor":
        """What the image processor makes of each byte in each channel, (3, 256) in the model's dtype.

        So that pixels are the image processor's own bit for bit on every device.
        """
        import torch

        every = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 4, 256)))
        pixels: torch.Tensor = self.processor(
            images=[every],
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_first",
            return_tensors="pt",
        )["pixel_values"]
        return pixels[0, :, 0].to(self.dtype)

    def _answer(self, question: str, picture: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        """Answers to one question: states, mask, ids and p_yes of `Answers`, on the device.

        `picture` (B, patches + 1, D) is the vision encoder's output. All rows have the same question and so the same
        length: nothing is padded, as `generate` would attend to padding. Nothing waits for the device.
        """
        asked = self.encode_question(question, picture)
        decisive = is_yes_no(question) and self.yes is not None and self.no is not None
        return self._best(asked, decisive) if self.beams > 1 else self._greedy(asked, decisive)

    def _greedy(self, asked: "torch.Tensor", decisive: bool) -> "tuple[torch.Tensor, ...]":
        """The likeliest token after the tokens before, to a question as encoded; `decisive` where p_yes is wanted."""
        import torch

        rows = len(asked)
        sequence = torch.full((rows, 1), self.start, dtype=torch.long, device=self.device)
        states = torch.zeros(rows, self.tokens, self.dim, dtype=torch.float32, device=self.device)
        mask = torch.zeros(rows, self.tokens, dtype=torch.bool, device=self.device)
        active = torch.ones(rows, dtype=torch.bool, device=self.device)
        p_yes = torch.full((rows,), float("nan"), device=self.device)
        decoder = self.model.text_decoder
        for t in range(self.tokens):
            # for a few tokens, decoding the prefix again costs less than a key-value cache and gives the same
            state = blip_layers.encode_tokens(decoder.bert, sequence, asked, causal=True)[:, -1]
            logits = decoder.cls(state).float()
            if t == 0 and decisive:
                p_yes = self._p_yes(logits)
            token = torch.where(active, logits.argmax(1), self.padding)
            states[:, t] = torch.where(active[:, None], state.float(), 0.0)
            mask[:, t] = active
            sequence = torch.cat([sequence, token[:, None]], 1)
            active = active & (token != self.end)
        return states, mask, sequence[:, 1:].contiguous(), p_yes

    def _best(self, asked: "torch.Tensor", decisive: bool) -> "tuple[torch.Tensor, ...]":
        """The best answer of a beam search; its states are those of one pass over it."""
        import torch

        decoder, rows = self.model.text_decoder, len(asked)
        beside = asked.repeat_interleave(self.beams, 0)

        def logits_of(sequences: torch.Tensor) -> torch.Tensor:
            state = blip_layers.encode_tokens(decoder.bert, sequences, beside, causal=True)[:, -1]
            logits: torch.Tensor = decoder.cls(state)
            return logits

        ids = beams.beam_search(
            logits_of, rows, self.beams, self.tokens, self.start, self.end, self.padding, self.device
        )
        before = torch.cat([ids.new_full((rows, 1), self.start), ids[:, :-1]], 1)
        states = blip_layers.encode_tokens(decoder.bert, before, asked, causal=True)
        mask = (before == self.end).cumsum(1) == 0
        p_yes = torch.full((rows,), float("nan"), device=self.device)
        if decisive:
            p_yes = self._p_yes(decoder.cls(states[:, 0]).float())
        return torch.where(mask[..., None], states.float(), 0.0), mask, ids, p_yes

    def _p_yes(self, logits: "torch.Tensor") -> "torch.Tensor":
        """The probability of yes against no, from the logits (B, words) of the first token."""
        import torch

        return torch.stack([logits[:, self.yes], logits[:, self.no]], 1).softmax(1)[:, 0]

    def encode_question(self, question: str, picture: "torch.Tensor") -> "torch.Tensor":
        """The question encoder's last layer (B, L, D), with cross-attention to `picture` (B, patches + 1, D).

        Raises:
            UserError: the question has more tokens than the model takes, or none that it knows.
        """
        if question not in self._asked:
            self._asked[question] = self._tokens(question)
        tokens = self._asked[question].expand(len(picture), -1)
        return blip_layers.encode_tokens(self.model.text_encoder, tokens, picture, causal=False)

    def _tokens(self, question: str) -> "torch.Tensor":
        """The question's tokens (1, L), on the device."""
        import torch

        check_words(self.tokenizer, question)
        ids = self.tokenizer(question)["input_ids"]
        if len(ids) > self.longest_question:
            raise UserError(
                f"instruction: {question[:40]!r}… has {len(ids)} tokens; the model takes {self.longest_question}"
            )
        first = ids[0] if self.question_start is None else self.question_start
        return torch.tensor([[first, *ids[1:]]], device=self.device)

    def _check_vocabulary(self, folder: Path) -> None:
        text, own = self.model.config.text_config, self.tokenizer
        fits = own.sep_token_id == text.sep_token_id and own.pad_token_id == text.pad_token_id
        if not fits or max(len(own), text.bos_token_id + 1) > text.vocab_size:
            raise UserError(
                f"{folder}: the tokenizer's vocabulary ({len(own)} words, [SEP] {own.sep_token_id}, [PAD] "
                f"{own.pad_token_id}) is not the model's ({text.vocab_size} words, {text.sep_token_id}, "
                f"{text.pad_token_id})"
            )

    def _question_start(self) -> int | None:
        """Id of [ENC], which replaces [CLS] at the head of a question as in BLIP's own code; None without it."""
        if ENC in self.tokenizer.get_vocab():
            return int(self.tokenizer.convert_tokens_to_ids(ENC))
        # transformers' conversions have its embedding, but the tokenizer of BERT, which does not know it
        return BLIP_WORDS - 1 if self.model.config.text_config.vocab_size == BLIP_WORDS else None

    def _first_token(self, word: str) -> int | None:
        """Id of the first token of `word`; None if the vocabulary has none."""
        token: int = self.tokenizer(word, add_special_tokens=False)["input_ids"][0]
        if token == self.tokenizer.unk_token_id:
            log.warning("the model's vocabulary has no %r: p_yes stays NaN", word)
            return None
        return token
