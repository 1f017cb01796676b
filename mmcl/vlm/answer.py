"""The stage that asks a vision-language model about every montage (schema ``mmcl.answers/1``)."""

from __future__ import annotations

import json
from pathlib import Path

from mmcl import device, store
from mmcl.errors import UserError
from mmcl.naming import find, sha256, slug
from mmcl.stages import VERSIONS
from mmcl.video import jpeg
from mmcl.vlm import VisionLanguageModel, open_vlm


def answer_question(montages: Path, question: Path, output: Path, settings: dict, threads: int = 1) -> None:
    """Answer one question, and those of ``also_ask``, about every montage of a shard.

    Args:
        montages: sealed ``mmcl.montages/1``; clips that failed there fail here with the same reason.
        question: the frozen question, a text file named after the question's slug.
        output: the ``mmcl.answers/1`` store; further questions are columns ``also/<slug>/…``.
        settings: the ``vlm`` settings: ``adapter``, what the adapter needs, ``batch``, ``also_ask``.
        threads: CPU threads of torch; changes no result beyond rounding.

    Raises:
        UserError: the question file was edited, or the weights are missing.
    """
    import torch

    torch.set_num_threads(threads)
    text = read_question(question)
    also = {slug(other): other for other in settings.get("also_ask") or () if other != text}
    prefixes = ["", *(f"also/{name}/" for name in also)]
    source = store.Shards([montages], "mmcl.montages/1")
    vlm = open_vlm(settings, device.pick())

    def work(names: list[str]) -> store.Batch:
        failed = {name: source.failed[name] for name in names if name in source.failed}
        pictures = {}
        for name in names:
            if name in failed:
                continue
            try:
                pictures[name] = jpeg.decode(bytes(source.row("images", name)))
            except UserError as error:
                failed[name] = f"montage: {error}"
        if not pictures:
            return store.Batch([], {}, failed)
        answers = vlm.answer(list(pictures.values()), [text, *also.values()])
        columns = {
            prefix + field: value
            for prefix, answer in zip(prefixes, answers, strict=True)
            for field, value in answer._asdict().items()
        }
        return store.Batch(list(pictures), columns, failed)

    store.write(
        output,
        schema="mmcl.answers/1",
        # of the weights that are really there, so that work begun with others is not continued
        settings={
            **settings,
            "sha256": sha256(find(settings["weights"])),
            "version": VERSIONS["answer_question"],
        },
        names=sorted([*source.names, *source.failed]),
        columns={prefix + name: column for prefix in prefixes for name, column in _columns(vlm).items()},
        batch_size=settings["batch"],
        work=work,
        inputs=[montages, question],
        attributes={"question": text, "also_ask": json.dumps(also), "vlm": json.dumps(vlm.describe())},
    )


def read_question(path: Path) -> str:
    """The question in a frozen file, which is named after the slug of its exact text.

    Raises ``UserError`` when text and name no longer belong together.
    """
    text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
    if slug(text) != Path(path).stem:
        raise UserError(
            f"{path}: holds {text!r}, whose name is {slug(text)}. The file was edited; "
            "delete it and change `instruction` in the config instead"
        )
    return text


def _columns(vlm: VisionLanguageModel) -> dict[str, store.Column]:
    return {
        "states": store.Column("float32", (vlm.tokens, vlm.dim)),
        "mask": store.Column("bool", (vlm.tokens,)),
        "ids": store.Column("int64", (vlm.tokens,)),
        "text": store.Column("text"),
        "p_yes": store.Column("float32"),
    }
