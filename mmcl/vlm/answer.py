"""Answers of a vision-language model about every montage (rule `answer_question`)."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcl import store
from mmcl.device import pick_device
from mmcl.errors import UserError, memory_reported
from mmcl.naming import find, sha256, slug
from mmcl.settings.base import replaced
from mmcl.settings.jobs import Answering
from mmcl.video import jpeg
from mmcl.vlm import open_vlm
from mmcl.vlm.questions import freeze_question, read_question

SCHEMA = "mmcl.answers/1"
NOT_FINITE = "the model's states are not finite; with vlm.dtype float16 take bfloat16 or float32"


def answer_question(
    montages: Path, question: Path, output: Path, settings: Answering, threads: int, also: Sequence[str] = ()
) -> None:
    """Answer a question about every montage of a shard, `mmcl.answers/1`, and further questions in the same pass.

    Each further question has a store of its own, `../<its slug>/<name of output>`, and a question file beside
    `question`, which is written if it is absent. Such a store equals the one that is written if the question is asked
    alone. If it is complete it is not written again; if another process writes it, it is left to that process.

    Args:
        montages: sealed `mmcl.montages/1`; clips that failed there fail here for the same reason.
        question: the question, a text file named after its slug.
        output: where to write. If another process writes it along with its own store, it is waited for.
        settings: of the stage.
        threads: CPU threads of torch; they change a result by rounding alone.
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
    source = store.Shards([montages], "mmcl.montages/1")
    vlm = open_vlm(settings, pick_device())
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
            inputs=[montages, file],
            attributes={"question": other, "vlm": about},
        )
        for other, (file, path) in asked.items()
    ]

    def work(names: list[str], lacking: list[int]) -> list[store.Batch]:
        pictures, failed = _pictures(source, names)
        if not pictures:
            return [store.Batch([], {}, failed) for _ in lacking]
        texts = [targets[number].attributes["question"] for number in lacking]
        answers = vlm.answer(list(pictures.values()), texts)
        batches = [store.Batch(list(pictures), answer._asdict(), failed) for answer in answers]
        return [store.only_finite(batch, "states", NOT_FINITE) for batch in batches]

    half = ", or set vlm.dtype: bfloat16" if settings.dtype == "float32" else ""
    with memory_reported(f"lower vlm.batch (now {settings.batch}){half}"):
        store.write_together(targets, work, wait=True)


def _pictures(source: store.Shards, names: list[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Clip name → montage, and clip name → why there is none."""
    failed = {name: source.failed[name] for name in names if name in source.failed}
    pictures = {}
    for name in names:
        if name in failed:
            continue
        try:
            pictures[name] = jpeg.decode(bytes(source.row("images", name)))
        except UserError as error:
            failed[name] = f"montage: {error}"
    return pictures, failed
