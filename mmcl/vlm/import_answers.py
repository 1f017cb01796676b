"""Answers that were made elsewhere as a store (rule `import_answers`)."""

import json
import logging
from pathlib import Path

import numpy as np

from mmcl import store
from mmcl.datasets.index import read_index
from mmcl.errors import UserError, some
from mmcl.naming import members, parse_shard
from mmcl.settings.jobs import Answering
from mmcl.vlm.answer import SCHEMA
from mmcl.vlm.imported import find_answers, lacking, matched, open_answers
from mmcl.vlm.questions import read_question

log = logging.getLogger(__name__)

BATCH = 256
"""Clips."""


def import_answers(index: Path, question: Path, output: Path, settings: Answering, content: str) -> None:
    """Check the answers about a shard's clips and write them as `mmcl.answers/1`.

    A clip without an answer, or whose answer cannot be used, fails with the reason.

    Args:
        index: of the data set, `<data set>.tsv`.
        question: the question, a text file named after its slug.
        output: where to write; its name is the shard's.
        settings: of the stage; `weights` is the folder of answers.
        content: digest of what the folder holds, see `mmcl.datasets.stamps.content`.

    Raises:
        UserError: there are no such answers, they have not the form that is described, or are about other clips.
    """
    text = read_question(question)
    path = find_answers(settings.weights, index.stem, question.stem)
    table = open_answers(path)
    clips = [entry.name for entry in read_index(index)]
    if without := lacking(table, clips):
        log.warning("%s: no answer about %d of %d clips: %s", path, len(without), len(clips), some(without))
    tokens = table.tokens(settings.max_new_tokens)

    def work(names: list[str]) -> store.Batch:
        answers, failed = {}, {}
        for name in names:
            if matched(name) not in table.names:
                failed[name] = f"no answer in {path.name}"
                continue
            try:
                answers[name] = table.answer(matched(name), tokens)
            except UserError as error:
                failed[name] = f"answer: {error}"
        columns = {key: [getattr(answer, key) for answer in answers.values()] for key in ("text", "p_yes")}
        arrays = {
            key: np.array([getattr(answer, key) for answer in answers.values()])
            for key in ("states", "mask", "ids")
        }
        return store.Batch(list(answers), columns | arrays, failed)

    store.write(
        output,
        schema=SCHEMA,
        settings={**settings.dump(), "content": content},
        names=members(clips, parse_shard(output.stem)),
        columns=store.columns(SCHEMA, states=(tokens, table.width), mask=(tokens,), ids=(tokens,)),
        batch_size=BATCH,
        work=work,
        inputs=[question],
        attributes={"question": text, "vlm": json.dumps({"model": "imported", "columns": [*table.shapes]})},
    )
