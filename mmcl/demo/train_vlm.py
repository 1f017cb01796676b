"""Training the demo's vision-language model: a small BLIP-VQA on drawn montages (rule ``train_demo_vlm``)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcl.demo import vocabulary
from mmcl.demo.learning import augment, batches, begin
from mmcl.demo.objects import KINDS
from mmcl.demo.pictures import Facts, Pictures
from mmcl.demo.questions import DOING, QUESTIONS, vocabulary_texts

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

SETTINGS = {
    "seed": 0,
    "image_size": 240,
    "patch_size": 16,
    "hidden": 128,
    "vision_layers": 4,
    "text_layers": 2,
    "epochs": 18,
    "batch": 48,
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "warmup_epochs": 1,
    "patch_loss": 1.0,
    "action_loss": 0.3,
    "strange_words": 0.3,
    "precision": "bf16",
}


def train_vlm(pictures: Path, output: Path, settings: dict, threads: int = 1) -> list[float]:
    """Train from random weights and write a folder that ``mmcl.vlm.blip`` and transformers open.

    Args:
        pictures: sealed ``mmcl.training_pictures/2``.
        output: the folder: model.safetensors in half precision, configuration, tokenizer,
            preprocessor.
        settings: see ``SETTINGS``.
        threads: CPU threads of torch.

    Returns:
        The mean loss of every epoch.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from mmcl.training.adamw import adamw

    rng, place = begin(settings, threads)
    tokenizer = vocabulary.write_tokenizer(output, vocabulary_texts())
    processor = _write_processor(output, settings["image_size"])
    model = build(settings, len(tokenizer)).to(place).train()
    table = Pictures(pictures)
    images = np.stack([_resized(image, settings["image_size"]) for image in table.montages()])
    facts, object_at = table.facts(), table.object_at()
    kinds = np.array([KINDS.index(fact.object) for fact in facts])
    grid = settings["image_size"] // settings["patch_size"]
    actions = torch.tensor([list(DOING).index(fact.action) for fact in facts])
    # Helpers for learning only, thrown away afterwards: one names the object in every patch, one the action.
    namer = torch.nn.Linear(settings["hidden"], len(KINDS)).to(place)
    watcher = torch.nn.Linear(settings["hidden"], len(DOING)).to(place)
    rarity = torch.tensor([0.03, *(1.0 for _ in KINDS[1:])], device=place)
    trained = torch.nn.ModuleList([model, namer, watcher])
    optimizer, schedule = adamw(trained, settings, len(images) // settings["batch"])
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (processor.image_mean, processor.image_std))
    history = []
    for epoch in range(settings["epochs"]):
        losses = []
        for rows in batches(len(images), settings["batch"], rng):
            seen = [augment(images[row], object_at[row], rng) for row in rows]
            batch = torch.from_numpy(np.stack([image for image, _ in seen]))
            pixels = ((batch.permute(0, 3, 1, 2).float() / 255 - mean) / std).to(place)
            patches = patch_labels(np.stack([points for _, points in seen]), kinds[rows], grid).to(place)
            asked = _ask([facts[row] for row in rows], tokenizer, settings["strange_words"], rng)
            with torch.autocast(place.type, torch.bfloat16, enabled=settings["precision"] == "bf16"):
                picture = model.vision_model(pixels).last_hidden_state
                loss = sum(_loss(model, picture, *(x.to(place) for x in one)) for one in asked) / len(asked)
                named = namer(picture[:, 1:]).flatten(0, 1).float()
                watched = watcher(picture[:, 1:].mean(1)).float()
            loss = loss + settings["patch_loss"] * cross_entropy(named, patches.flatten(), weight=rarity)
            loss = loss + settings["action_loss"] * cross_entropy(watched, actions[rows].to(place))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        history.append(float(np.mean(losses)))
        log.info("epoch %d of %d: loss %.3f", epoch + 1, settings["epochs"], history[-1])
    model.half().save_pretrained(output)
    return history


def build(settings: dict, words: int) -> torch.nn.Module:
    """A ``BlipForQuestionAnswering`` with random weights for a vocabulary of ``words`` entries."""
    from transformers import BlipConfig, BlipForQuestionAnswering

    hidden = settings["hidden"]
    # the answer decoder attends to the question encoder's states, so both towers have one width
    size = {"hidden_size": hidden, "intermediate_size": 2 * hidden, "num_attention_heads": hidden // 32}
    vision = {
        **size,
        "num_hidden_layers": settings["vision_layers"],
        "image_size": settings["image_size"],
        "patch_size": settings["patch_size"],
        "initializer_range": 0.02,
    }
    text = {
        **size,
        "num_hidden_layers": settings["text_layers"],
        "vocab_size": words,
        "max_position_embeddings": 128,
        "bos_token_id": vocabulary.START,
        "sep_token_id": vocabulary.END,
        "eos_token_id": vocabulary.END,
        "pad_token_id": vocabulary.PADDING,
    }
    return BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision))


def patch_labels(points: np.ndarray, kinds: np.ndarray, grid: int) -> torch.Tensor:
    """What the helper has to say of every patch: the object whose centre is in it, nothing elsewhere.

    Args:
        points: (B, 5, 2) object centres in parts of the picture, NaN where not seen.
        kinds: (B,) numbers of the objects.
        grid: patches along a side.

    Returns:
        (B, grid²) object numbers, 0 for none, −100 (not asked) around an object.
    """
    import torch

    labels = np.zeros((len(points), grid, grid), np.int64)
    for label, five, kind in zip(labels, points, kinds, strict=True):
        places = [(int(y * grid), int(x * grid)) for x, y in five[np.isfinite(five[:, 0])]]
        for row, column in places:
            label[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = -100
        for row, column in places:
            label[row, column] = kind
    return torch.from_numpy(labels.reshape(len(points), -1))


def _ask(
    facts: list[Facts], tokenizer, strange: float, rng: np.random.Generator
) -> list[tuple[torch.Tensor, ...]]:
    """Questions of this step, each in one wording for the whole batch, so that nothing is padded.

    Returns per question: question ids (B, L), decoder input (B, A), labels (B, A) with −100 after the end.
    """
    import torch

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
        labels = torch.full((len(facts), length), -100)
        for row, answer in enumerate(answers):
            given[row, : len(answer) + 1] = torch.tensor([vocabulary.START, *answer])
            labels[row, : len(answer) + 1] = torch.tensor([*answer, vocabulary.END])
        asked.append((ids, given, labels))
    return asked


def with_strange_words(wording: str, rng: np.random.Generator) -> str:
    """Put one or two made-up words behind the first: unknown words should not confuse the model."""
    words = wording.split()
    for _ in range(rng.integers(1, 3)):
        made_up = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(2, 8)))
        words.insert(int(rng.integers(1, len(words) + 1)), made_up)
    return " ".join(words)


def _loss(model, picture, question, given, labels) -> torch.Tensor:
    """Cross-entropy of the answer's tokens, teacher-forced."""
    from torch.nn.functional import cross_entropy

    states = model.text_encoder(
        input_ids=question, attention_mask=question.new_ones(question.shape), encoder_hidden_states=picture
    ).last_hidden_state
    logits = model.text_decoder(given, encoder_hidden_states=states).logits
    return cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """As BLIP's own preprocessing resizes: bicubic, in whole numbers."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _write_processor(folder: Path, size: int):
    from transformers import BlipImageProcessorPil

    processor = BlipImageProcessorPil(size={"height": size, "width": size})
    processor.save_pretrained(folder)
    return processor
