"""Training the demo's vision-language model: a small BLIP-VQA on drawn montages."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmcl.demo import vocabulary
from mmcl.demo.learning import PicturesTask, augment, begin
from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import Facts, Pictures
from mmcl.demo.questions import DOING, QUESTIONS, vocabulary_texts
from mmcl.engine.loop import Losses, fit
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark
from mmcl.settings.demo import DemoWeightsSettings, VlmDemoSettings

IGNORED = -100
"""Label of what does not enter a cross-entropy."""


def train_vlm(
    pictures: Path, output: Path, settings: DemoWeightsSettings, work: Path, threads: int
) -> list[float]:
    """Train from random weights and write a folder that `mmcl.vlm.blip` and transformers open.

    Args:
        pictures: sealed `mmcl.training_pictures/2`.
        output: the folder: model.safetensors in half precision, configuration, tokenizer, preprocessor.
        settings: of the demo's networks.
        work: a folder for the state of an unfinished training.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    rng, device = begin(settings.seed, threads)
    tokenizer = vocabulary.write_tokenizer(output, vocabulary_texts())
    processor = _write_processor(output, settings.vlm.image_size)
    model = build(settings.vlm, len(tokenizer)).to(device)
    table = Pictures(pictures)
    task = VlmTask(model, tokenizer, processor, table, settings, rng, device)
    mark = Mark({"seed": settings.seed, **settings.vlm.dump()}, {"pictures": table.store.fingerprint})
    processes = Processes(device=device)
    with fit(task, settings.vlm, target=work / "vlm", mark=mark, processes=processes) as fitted:
        model.half().save_pretrained(output)
    return [row["loss"] for row in fitted.history]


class Asked(NamedTuple):
    """A question in one wording about a batch of pictures.

    Attributes:
        question: (B, L) token ids.
        given: (B, A) input of the answer decoder, the answer's tokens after the start token.
        labels: (B, A) the answer's tokens and the end token, IGNORED after it.
    """

    question: Tensor
    given: Tensor
    labels: Tensor


class Presented(NamedTuple):
    """A batch.

    Attributes:
        pixels: (B, 3, S, S), normalised.
        patches: (B, patches) the object in each patch, see `patch_labels`.
        actions: (B) numbers of the actions.
        asked: the questions of this step.
    """

    pixels: Tensor
    patches: Tensor
    actions: Tensor
    asked: list[Asked]


class VlmTask(PicturesTask[Presented]):
    """The training of the BLIP, with two classifiers that are discarded afterwards: of the object in each patch, and
    of the action."""

    label = "vlm"
    max_gradient_norm = 1.0

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        processor: Any,
        table: Pictures,
        settings: DemoWeightsSettings,
        rng: np.random.Generator,
        device: torch.device,
    ):
        part = settings.vlm
        self.model = model
        self.tokenizer = tokenizer
        self.settings = part
        self.device = device
        self.images = np.stack([_resized(image, part.image_size) for image in table.montages()])
        self.facts, self.object_at = table.facts(), table.object_at()
        self.kinds = np.array([KINDS.index(fact.object) for fact in self.facts])
        self.actions = torch.tensor([list(DOING).index(fact.action) for fact in self.facts])
        self.mean, self.std = (
            torch.tensor(x).view(3, 1, 1) for x in (processor.image_mean, processor.image_std)
        )
        self.of_object = nn.Linear(part.hidden, len(KINDS)).to(device)
        self.of_action = nn.Linear(part.hidden, len(DOING)).to(device)
        self.rarity = torch.tensor([0.03, *(1.0 for _ in KINDS[1:])], device=device)
        net = nn.ModuleList([model, self.of_object, self.of_action])
        super().__init__(net, len(self.images), part, settings.seed, rng)

    def clipped_parameters(self) -> Any:
        """See `Task`: those of the BLIP alone."""
        return self.model.parameters()

    def presented(self, rows: np.ndarray) -> Presented:
        """See `PicturesTask`."""
        seen = [augment(self.images[row], self.object_at[row], self.rng) for row in rows]
        images = torch.from_numpy(np.stack([image for image, _ in seen]))
        grid = self.settings.image_size // self.settings.patch_size
        patches = patch_labels(np.stack([points for _, points in seen]), self.kinds[rows], grid)
        asked = _ask([self.facts[row] for row in rows], self.tokenizer, self.settings.strange_words, self.rng)
        return Presented(
            ((images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std).to(self.device),
            patches.to(self.device),
            self.actions[rows].to(self.device),
            [Asked(*(part.to(self.device) for part in one)) for one in asked],
        )

    def losses(self, batch: Presented) -> Losses:
        """See `Task`."""
        with autocast(self.settings.precision, self.device):
            picture = self.model.vision_model(batch.pixels).last_hidden_state
            answers = [self._answer_loss(picture, one) for one in batch.asked]
            answer = sum(answers, torch.zeros((), device=self.device)) / len(answers)
            objects = self.of_object(picture[:, 1:]).flatten(0, 1).float()
            actions = self.of_action(picture[:, 1:].mean(1)).float()
        patch = cross_entropy(objects, batch.patches.flatten(), weight=self.rarity)
        action = cross_entropy(actions, batch.actions)
        total = answer + self.settings.patch_loss * patch
        total = total + self.settings.action_loss * action
        return Losses(total, {"answer": answer, "patch": patch, "action": action})

    def _answer_loss(self, picture: Tensor, asked: Asked) -> Tensor:
        """Cross-entropy of the answer's tokens, with teacher forcing."""
        states = self.model.text_encoder(
            input_ids=asked.question,
            attention_mask=asked.question.new_ones(asked.question.shape),
            encoder_hidden_states=picture,
        ).last_hidden_state
        logits = self.model.text_decoder(asked.given, encoder_hidden_states=states).logits
        return cross_entropy(logits.flatten(0, 1).float(), asked.labels.flatten(), ignore_index=IGNORED)


def build(settings: VlmDemoSettings, words: int) -> Any:
    """A `BlipForQuestionAnswering` with random weights for a vocabulary of `words` entries."""
    from transformers import BlipConfig, BlipForQuestionAnswering

    hidden = settings.hidden
    # the answer decoder attends to the question encoder's states, so both transformers have the same width
    size = {"hidden_size": hidden, "intermediate_size": 2 * hidden, "num_attention_heads": hidden // 32}
    vision = {
        **size,
        "num_hidden_layers": settings.vision_layers,
        "image_size": settings.image_size,
        "patch_size": settings.patch_size,
        "initializer_range": 0.02,
    }
    text = {
        **size,
        "num_hidden_layers": settings.text_layers,
        "vocab_size": words,
        "max_position_embeddings": 128,
        "bos_token_id": vocabulary.START,
        "sep_token_id": vocabulary.END,
        "eos_token_id": vocabulary.END,
        "pad_token_id": vocabulary.PADDING,
    }
    return BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision))


def patch_labels(points: np.ndarray, kinds: np.ndarray, grid: int) -> Tensor:
    """The target of the patch classifier: the object whose centre is in a patch, none elsewhere.

    Args:
        points: (B, 5, 2) object centres in parts of the picture, NaN where not seen.
        kinds: (B,) numbers of the objects.
        grid: patches along a side.

    Returns:
        (B, grid²) object numbers, 0 for none, IGNORED around an object.
    """
    labels = np.zeros((len(points), grid, grid), np.int64)
    for label, five, kind in zip(labels, points, kinds, strict=True):
        places = [(int(y * grid), int(x * grid)) for x, y in five[np.isfinite(five[:, 0])]]
        for row, column in places:
            label[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = IGNORED
        for row, column in places:
            label[row, column] = kind
    return torch.from_numpy(labels.reshape(len(points), -1))


def _ask(facts: list[Facts], tokenizer: Any, strange: float, rng: np.random.Generator) -> list[Asked]:
    """Questions of this step, each in one wording for the whole batch, so that nothing is padded."""
    asked = []
    for question in QUESTIONS.values():
        if rng.random() >= question.share:
            continue
        wording = question.wordings[0] if rng.random() < 0.4 else str(rng.choice(question.wordings))
        if rng.random() < strange:
            wording = with_strange_words(wording, rng)
        ids = torch.tensor(tokenizer(wording)["input_ids"]).expand(len(facts), -1)
        answers = [tokenizer(question.answer(fact), add_special_tokens=False)["input_ids"] for fact in facts]
        length = 1 + max(map(len, answers))
        given = torch.full((len(facts), length), vocabulary.PADDING)
        labels = torch.full((len(facts), length), IGNORED)
        for row, answer in enumerate(answers):
            given[row, : len(answer) + 1] = torch.tensor([vocabulary.START, *answer])
            labels[row, : len(answer) + 1] = torch.tensor([*answer, vocabulary.END])
        asked.append(Asked(ids, given, labels))
    return asked


def with_strange_words(wording: str, rng: np.random.Generator) -> str:
    """Insert one or two made-up words after the first, so that the model learns to ignore unknown words."""
    words = wording.split()
    for _ in range(rng.integers(1, 3)):
        made_up = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(2, 8)))
        words.insert(int(rng.integers(1, len(words) + 1)), made_up)
    return " ".join(words)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """Resized as in BLIP's preprocessing: bicubic, to uint8."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _write_processor(folder: Path, size: int) -> Any:
    """Write the preprocessor into a folder, and return it."""
    from transformers import BlipImageProcessorPil

    processor = BlipImageProcessorPil(size={"height": size, "width": size})
    processor.save_pretrained(folder)
    return processor
