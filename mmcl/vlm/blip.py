"""BLIP visual question answering (Li et al., ICML 2022) from a local folder in transformers' own form.

The picture and the question meet in the question encoder, whose output the answer decoder attends to. What
FRM reads (MMCL, section 3.3.2) is the decoder's last layer at the positions that produce the answer's tokens.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmcl.errors import UserError
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm.foreign import STRICT, check_words, find_folder, go_offline, load_strictly, opened
from mmcl.vlm.protocol import Answers, is_yes_no

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

WHAT_BELONGS = (
    "A BLIP question-answering model in transformers' form belongs there (config.json, model.safetensors, "
    "preprocessor_config.json and the tokenizer's files), such as the files of "
    "Salesforce/blip-vqa-capfilt-large"
)
ENC = "[ENC]"
BLIP_WORDS = 30524
"""Words of BLIP's vocabulary: the 30522 of BERT's, [DEC], and [ENC]."""
IMAGE_BACKEND = "pil"  # as in the original; with torchvision pixels differ by up to 0.015


class Blip:
    """`BlipForQuestionAnswering`, greedy decoding, at most `max_new_tokens` answer tokens.

    `weights` is a folder with config.json, model.safetensors, the tokenizer and preprocessor_config.json. For another
    `image_size` than the model's the position embedding is interpolated.
    """

    def __init__(self, settings: VlmSettings, device: "torch.device"):
        go_offline()
        import torch
        from transformers import AutoImageProcessor, AutoTokenizer, BlipForQuestionAnswering

        folder = find_folder(settings, "blip", WHAT_BELONGS)
        self.device = device
        self.tokens = settings.max_new_tokens
        self.dtype: torch.dtype = getattr(torch, settings.dtype)

        def load() -> tuple[Any, Any, Any]:
            return (
                AutoTokenizer.from_pretrained(folder, **STRICT),
                AutoImageProcessor.from_pretrained(folder, backend=IMAGE_BACKEND, **STRICT),
                load_strictly(BlipForQuestionAnswering, folder, dtype=self.dtype),
            )

        self.tokenizer, self.processor, model = opened(folder, "a BLIP question-answering model", load)
        self.model = model.to(device).eval()
        text, vision = self.model.config.text_config, self.model.config.vision_config
        self._check_vocabulary(folder)
        self.dim = text.hidden_size
        self.start, self.end, self.padding = text.bos_token_id, text.sep_token_id, text.pad_token_id
        self.image_size = int(settings.image_size or vision.image_size)
        self.interpolate = self.image_size != vision.image_size
        self.longest_question = text.max_position_embeddings
        self.question_start = self._question_start()
        self.yes, self.no = (self._first_token(word) for word in ("yes", "no"))

    def describe(self) -> dict[str, str]:
        """Versions and preprocessing."""
        import torch
        import transformers

        return {
            "model": type(self.model).__name__,
            "image_processor": type(self.processor).__name__,
            "image_backend": IMAGE_BACKEND,
            "image_size": str(self.image_size),
            "dtype": str(self.dtype).removeprefix("torch."),
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def answer(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[Answers]:
        """See `VisionLanguageModel`; the vision encoder runs once per picture."""
        import torch

        with torch.inference_mode():
            vision = self.model.vision_model(self._pixels(images), interpolate_pos_encoding=self.interpolate)
            return [self._answer(question, vision.last_hidden_state) for question in questions]

    def _pixels(self, images: Sequence[np.ndarray]) -> "torch.Tensor":
        """Resize and normalise to (B, 3, S, S)."""
        size = {"height": self.image_size, "width": self.image_size}
        pixels: torch.Tensor = self.processor(images=list(images), size=size, return_tensors="pt")[
            "pixel_values"
        ]
        return pixels.to(self.device, self.dtype)

    def _answer(self, question: str, picture: "torch.Tensor") -> Answers:
        """Greedy answers to one question; `picture` (B, patches + 1, D) is the vision encoder's output.

        All rows have the same question and so the same length: nothing is padded, as `generate` would attend to
        padding.
        """
        import torch

        asked = self.encode_question(question, picture)
        rows = len(picture)
        sequence = torch.full((rows, 1), self.start, dtype=torch.long, device=self.device)
        states = torch.zeros(rows, self.tokens, self.dim, dtype=torch.float32, device=self.device)
        mask = torch.zeros(rows, self.tokens, dtype=torch.bool, device=self.device)
        active = torch.ones(rows, dtype=torch.bool, device=self.device)
        p_yes = torch.full((rows,), float("nan"), device=self.device)
        for t in range(self.tokens):
            # for a few tokens, decoding the prefix again costs less than a key-value cache and gives the same
            state = self.model.text_decoder.bert(
                sequence, encoder_hidden_states=asked, is_decoder=True, use_cache=False
            ).last_hidden_state[:, -1:]
            logits = self.model.text_decoder.cls(state)[:, 0].float()
            if t == 0 and is_yes_no(question) and None not in (self.yes, self.no):
                p_yes = logits[:, [self.yes, self.no]].softmax(1)[:, 0]
            token = torch.where(active, logits.argmax(1), self.padding)
            states[:, t] = torch.where(active[:, None], state[:, 0].float(), 0.0)
            mask[:, t] = active
            sequence = torch.cat([sequence, token[:, None]], 1)
            active = active & (token != self.end)
        ids = sequence[:, 1:]
        text = [str(self.tokenizer.decode(row.tolist(), skip_special_tokens=True)).strip() for row in ids]
        return Answers(
            states=states.cpu().numpy(),
            mask=mask.cpu().numpy(),
            ids=ids.cpu().numpy(),
            text=text,
            p_yes=p_yes.cpu().numpy(),
        )

    def encode_question(self, question: str, picture: "torch.Tensor") -> "torch.Tensor":
        """The question encoder's last layer (B, L, D), with cross-attention to `picture` (B, patches + 1, D).

        Raises:
            UserError: the question has more tokens than the model takes, or none that it knows.
        """
        import torch

        check_words(self.tokenizer, question)
        tokens = self.tokenizer(question, return_tensors="pt")["input_ids"].to(self.device)
        if tokens.shape[1] > self.longest_question:
            raise UserError(
                f"instruction: {question[:40]!r}… has {tokens.shape[1]} tokens; "
                f"the model takes {self.longest_question}"
            )
        if self.question_start is not None:
            tokens[:, 0] = self.question_start
        tokens = tokens.expand(len(picture), -1)
        states: torch.Tensor = self.model.text_encoder(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), encoder_hidden_states=picture
        ).last_hidden_state
        return states

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
