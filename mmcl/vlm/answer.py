"""Answers of a vision-language model about every montage (rule `answer_question`)."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mmcl import store
from mmcl.ahead import ahead, behind, depth
from mmcl.device import pick_device
from mmcl.errors import UserError, memory_reported
from mmcl.naming import find, sha256, slug
from mmcl.settings.base import replaced
from mmcl.settings.jobs import Answering
from mmcl.video import jpeg
from mmcl.video.montage import fit
from mmcl.vlm import open_vlm
from mmcl.vlm.protocol import Answers, VisionLanguageModel
from mmcl.vlm.questions import freeze_question, read_question

SCHEMA = "mmcl.answers/1"
NOT_FINITE = "the model's states are not finite; with vlm.dtype float16 take bfloat16 or float32"
REPLACED = "\N{REPLACEMENT CHARACTER}"

Asked = tuple[list[np.ndarray], list[str]]
"""Pictures of a batch and the questions about them."""


def answer_question(
    pictures: Path, question: Path, output: Path, settings: Answering, threads: int, also: Sequence[str] = ()
) -> None:
    """Answer a question about every clip of a shard, `mmcl.answers/1`, and further questions in the same pass.

    Each further question has a store of its own, `../<its slug>/<name of output>`, and a question file beside
    `question`, which is written if it is absent. Such a store equals the one that is written if the question is asked
    alone. If it is complete it is not written again; if another process writes it, it is left to that process.

    Args:
        pictures: sealed `mmcl.montages/1`, or `mmcl.crops/1` for a model that sees a clip's crops as a video; clips
            that failed there fail here for the same reason.
        question: the question, a text file named after its slug.
        output: where to write. If another process writes it along with its own store, it is waited for.
        settings: of the stage.
        threads: CPU threads of torch, and of reading and decoding pictures; they change a result by rounding alone.
        also: texts of further questions.

    Raises:
        UserError: a question file was edited, or the weights are missing.
    """
    import torch

    torch.set_num_threads(threads)
    text = read_question(question)
    asked = {text: (question, output)}
    for other in also:
        name = slug(other)
        asked.setdefault(
            other, (question.with_name(f"{name}.txt"), output.parent.with_name(name) / output.name)
        )
    # before the answers, as a store must be newer than the files that it follows from
    for other, (file, _) in asked.items():
        freeze_question(file, other)
    source = store.Shards([pictures], "mmcl.crops/1" if settings.sees_crops else "mmcl.montages/1")
    device = pick_device()
    vlm = open_vlm(settings, device)
    prepare = getattr(vlm, "prepare", None)
    # with the sha256 of the weights, so that a store begun with other weights is not continued
    settings = replaced(settings, sha256=sha256(find(settings.weights)))
    about = json.dumps(vlm.describe())
    targets = [
        store.Target(
            path,
            schema=SCHEMA,
            settings=settings.dump(),
            names=sorted([*source.names, *source.failed]),
            columns=store.columns(
                SCHEMA, states=(vlm.tokens, vlm.dim), mask=(vlm.tokens,), ids=(vlm.tokens,)
            ),
            batch_size=settings.batch,
            inputs=[pictures, file],
            attributes={"question": other, "vlm": about},
        )
        for other, (file, path) in asked.items()
    ]
    texts = [target.attributes["question"] for target in targets]

    def work(wanted: Sequence[store.Wanted]) -> Iterator[list[store.Batch]]:
        decoded = ahead(
            [names for names, _ in wanted], picture_of, threads, depth(device.type != "cpu", threads)
        )
        begun: deque[tuple[list[str], dict[str, str]]] = deque()

        def batches() -> Iterator[Asked]:
            for (names, lacking), found in zip(wanted, decoded, strict=True):
                failed = {name: why for name, why in zip(names, found, strict=True) if isinstance(why, str)}
                begun.append(([name for name in names if name not in failed], failed))
                good = [picture for picture in found if not isinstance(picture, str)]
                yield good, [texts[number] for number in lacking]

        for answers in answers_of(vlm, batches(), queued=device.type == "cuda"):
            names, failed = begun.popleft()
            yield [_batch(names, answer, failed) for answer in answers]

    def picture_of(name: str) -> np.ndarray | str:
        return _picture(source, name, settings, prepare)

    half = ", or set vlm.dtype: bfloat16" if settings.dtype == "float32" else ""
    with memory_reported(f"lower vlm.batch (now {settings.batch}){half}"):
        store.write_stream(targets, work, wait=True)


def answers_of(
    vlm: VisionLanguageModel, batches: Iterable[Asked], *, queued: bool = False
) -> Iterator[list[Answers | None]]:
    """Answers to batch after batch: per question those of its pictures, None of a batch without pictures.

    Args:
        vlm: the model.
        batches: pictures and questions of each.
        queued: where the model can `begin`, it is given each batch before the answers to the one before are waited for.
    """
    begin = getattr(vlm, "begin", None) if queued else None

    def begun() -> Iterator[Callable[[], list[Answers | None]]]:
        for pictures, questions in batches:
            if begin and pictures:
                yield begin(pictures, questions)
            else:
                yield partial(list, vlm.answer(pictures, questions) if pictures else [None] * len(questions))

    return behind(begun(), 1 if begin else 0)


def _batch(names: list[str], answers: Answers | None, failed: dict[str, str]) -> store.Batch:
    if answers is None:
        return store.Batch([], {}, failed)
    # byte-level vocabularies can produce it, and HDF5 keeps no string with it
    text = [one.replace("\0", REPLACED) for one in answers.text]
    columns = answers._asdict() | {"text": text}
    return store.only_finite(store.Batch(names, columns, failed), "states", NOT_FINITE)


def _picture(
    source: store.Shards,
    name: str,
    settings: Answering,
    prepare: Callable[[np.ndarray], np.ndarray] | None,
) -> np.ndarray | str:
    """A clip's montage (H, W, 3) or crops as a video, prepared for the model, or why there is none."""
    if name in source.failed:
        return source.failed[name]
    stored = source.row("images", name)
    try:
        if settings.sees_crops:
            image = _video([jpeg.decode(bytes(crop)) for crop in stored], settings.image_size)
        else:
            image = jpeg.decode(bytes(stored))
    except UserError as error:
        return f"{'crops' if settings.sees_crops else 'montage'}: {error}"
    return prepare(image) if prepare else image


def _video(crops: Sequence[np.ndarray], size: int | None) -> np.ndarray:
    """Crops (H_i, W_i, 3) as frames (m, size, size, 3), each fitted in on black; without a size the longest side."""
    size = size or max(side for crop in crops for side in crop.shape[:2])
    return np.stack([fit(crop, size, size, keep_aspect=True) for crop in crops])
