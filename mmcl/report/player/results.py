"""What the workflow has made of clips: montages, and answers to questions about them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py

from mmcl import paths
from mmcl.errors import UserError
from mmcl.report.player.shown import Answer
from mmcl.store import opened

log = logging.getLogger(__name__)

MONTAGES, ANSWERS = "mmcl.montages/1", "mmcl.answers/1"


class Results(NamedTuple):
    """Clip → what was made of it."""

    montages: dict[str, bytes]
    answers: dict[str, list[Answer]]


def results_of(root: Path, dataset: str, names: Sequence[str]) -> Results:
    """Look for the results of clips.

    Args:
        root: the folder that holds `results`.
        dataset: whose clips they are.
        names: of the clips.
    """
    found = Results({}, {})

    def montage(h5: h5py.File, row: int, name: str) -> None:
        found.montages[name] = h5["images"][row].tobytes()

    _each(root, paths.at(paths.MONTAGES, dataset=dataset, shard="*"), MONTAGES, names, montage)
    pattern = paths.at(paths.ANSWERS, dataset=dataset, vlm="*", question="*", shard="*")

    def answer(h5: h5py.File, row: int, name: str) -> None:
        one = Answer(
            Path(h5.filename).parent.parent.name,
            str(h5.attrs.get("question", "")),
            h5["text"].asstr()[row],
            float(h5["p_yes"][row]),
        )
        found.answers.setdefault(name, []).append(one)

    _each(root, pattern, ANSWERS, names, answer)
    return found


def _each(
    root: Path, pattern: str, schema: str, names: Sequence[str], take: Callable[[h5py.File, int, str], None]
) -> None:
    """Take the rows of clips from all shards; each folder's shards hold every clip once."""
    wanted: dict[Path, set[str]] = {}
    for path in sorted(root.glob(pattern)):
        left = wanted.setdefault(path.parent, set(names))
        if not left:
            continue
        try:
            with opened(path, schema) as h5:
                for row, name in enumerate(h5["names"].asstr()[:]):
                    if name in left:
                        take(h5, row, name)
                        left.discard(name)
        except UserError as error:
            log.warning("not shown: %s", error)
