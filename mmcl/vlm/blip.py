"""BLIP visual question answering (Li et al., ICML 2022) from a local folder in transformers' own form.

The picture and the question meet in the question encoder, whose output the answer decoder attends to. What
FRM reads (MMCL, section 3.3.2) is the decoder's last layer at the positions that produce the answer's tokens.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmcl.errors import UserError
from mmcl.naming import find_weights
from mmcl.settings.vlm import VlmSettings
from mmcl.vlm.protocol import Answers, is_yes_no

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
WHAT_BELONGS = (
    "A BLIP question-answering model in transformers' form belongs there (config.json, model.safetensors, "
    "preprocessor_config.json and the tokenizer's files), such as the files of "
    "Salesforce/blip-vqa-capfilt-large"
)
IMAGE_BACKEND = "pil"  # as in the original; with torchvision pixels differ by up to 0.015


class Blip:
    """`BlipForQuestionAnswering`, greedy decoding, at most `max_new_tokens` answer tokens.

    `weights` is a folder with config.json, model.safetensors, the tokenizer and preprocessor_config.json. For another
    `image_size` than the model's the position embedding is interpolated.
    """

    def __init__(self, settings: VlmSettings, device: "torch.device"):
        # the libraries read these while they are imported
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
        import torch
        from transformers import AutoImageProcessor, AutoTokenizer, BlipForQuestionAnswering

        folder = find_folder(settings)
        self.device = device
        self.tokens = settings.max_new_tokens
        self.dtype: torch.dtype = getattr(torch, settings.dtype)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.processor: Any = AutoImageProcessor.from_pretrained(
                folder, backend=IMAGE_BACKEND, local_files_only=True
            )
            model: Any = BlipForQuestionAnswering.from_pretrained(
                folder, local_files_only=True, dtype=self.dtype
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: not a BLIP question-answering model: {error}") from error
        self.model = model.to(device).eval()
        text, vision = self.model.config.text_config, self.model.config.vision_config
        self.dim = text.hidden_size
        self.start, self.end, self.padding = text.bos_token_id, text.sep_token_id, text.pad_token_id
        self.image_size = int(settings.image_size or vision.image_size)
        self.interpolate = self.image_size != vision.image_size
        self.longest_question = text.max_position_embeddings
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
            UserError: the question has more tokens than the model takes.
        """
        import torch

        tokens = self.tokenizer(question, return_tensors="pt")["input_ids"].to(self.device)
        if tokens.shape[1] > self.longest_question:
            raise UserError(
                f"instruction: {question[:40]!r}… has {tokens.shape[1]} tokens; "
                f"the model takes {self.longest_question}"
            )
        tokens = tokens.expand(len(picture), -1)
        states: torch.Tensor = self.model.text_encoder(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), encoder_hidden_states=picture
        ).last_hidden_state
        return states

    def _first_token(self, word: str) -> int | None:
        """Id of the first token of `word`; None if the vocabulary has none."""
        token: int = self.tokenizer(word, add_special_tokens=False)["input_ids"][0]
        if token == self.tokenizer.unk_token_id:
            log.warning("the model's vocabulary has no %r: p_yes stays NaN", word)
            return None
        return token


def find_folder(settings: VlmSettings) -> Path:
    """The weights folder that the settings name.

    Raises:
        UserError: it is missing, incomplete, or has another sha256 than the settings state.
    """
    folder = find_weights(settings.weights, None, WHAT_BELONGS)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: {name} is missing. {WHAT_BELONGS}")
    return find_weights(folder, settings.sha256, WHAT_BELONGS)
