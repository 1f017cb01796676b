"""Pictures beside what vision-language models answered about them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.answers import SCHEMA, Part, Request, clips_of
from mmcl.report.contact_sheet import ACROSS, contact_sheet
from mmcl.report.plots import short
from mmcl.report.spread import spread
from mmcl.store import Shards

FEW = 12
"""Classes up to which three clips of each are shown; with more, one."""


@dataclass(frozen=True)
class Answered:
    """A clip with its picture's answers.

    Attributes:
        name: of the clip.
        action: id and name of its class.
        answers: text and p(yes) for each question, None where it was not asked; p(yes) is NaN for a question that is
            not answered with yes or no.
    """

    name: str
    action: tuple[str, str]
    answers: tuple[tuple[str, float] | None, ...]


@dataclass(frozen=True)
class Gallery:
    """Some clips of all classes.

    Attributes:
        questions: model and text of each question.
        extremes: the clips with the lowest and the highest p(yes) of the first question; none if it has no p(yes).
        clips: the others, class by class, in the order of the mean p(yes).
        montages: the stores of their pictures.
    """

    questions: tuple[tuple[str, str], ...]
    extremes: tuple[Answered, ...]
    clips: tuple[Answered, ...]
    montages: tuple[Path, ...]

    @property
    def shown(self) -> tuple[Answered, ...]:
        """All clips in their order."""
        return self.extremes + self.clips


def gather(request: Request, part: Part = "all", each: int | None = None) -> Gallery:
    """Choose clips that have a picture and an answer to the first question.

    Args:
        request: answers, pictures and labels of a data set.
        part: which clips of the protocol.
        each: clips of a class; None for three, or one of more than 12 classes. Of each class the lowest p(yes), the
            highest and those between.

    Raises:
        UserError: there are no pictures, or no clip has a picture and an answer.
    """
    if not request.montages:
        raise UserError(f"{request.dataset}: no montages (results/montages/{request.dataset}), so no gallery")
    source, asked = SkeletonStore(request.skeletons), [Shards(one.stores, SCHEMA) for one in request.asked]
    rows = {source.names[row]: int(row) for row in clips_of(source, request, part)}
    pictured = set(Shards(request.montages, "mmcl.montages/1").names)
    names = sorted(name for name in rows if name in asked[0] and name in pictured)
    if not names:
        raise UserError(f"{request.dataset}: no clip has a picture and an answer, so no gallery")
    p_yes = dict(zip(names, asked[0].read("p_yes", names).tolist(), strict=True))
    labels = {name: int(source.labels[rows[name]]) for name in names}
    present, yes_no = sorted(set(labels.values())), bool(np.isfinite(list(p_yes.values())).all())
    extremes: list[str] = []
    if yes_no:
        names.sort(key=lambda name: p_yes[name])
        means = {
            label: np.mean([p_yes[name] for name in names if labels[name] == label]) for label in present
        }
        present.sort(key=lambda label: means[label])
        half = ACROSS // 2
        extremes = [*names[:half], *names[half:][-half:]]
    count = each or (3 if len(present) <= FEW else 1)
    chosen = [
        name for label in present for name in spread([name for name in names if labels[name] == label], count)
    ]

    def answered(name: str) -> Answered:
        label = labels[name]
        given = tuple(
            (str(one.row("text", name)).strip(), float(one.row("p_yes", name))) if name in one else None
            for one in asked
        )
        return Answered(name, (source.class_ids[label], source.class_names[label]), given)

    return Gallery(
        tuple(
            (one.vlm, str(store.attribute("question") or one.question))
            for one, store in zip(request.asked, asked, strict=True)
        ),
        tuple(map(answered, extremes)),
        tuple(map(answered, chosen)),
        request.montages,
    )


def draw_gallery(found: Gallery, output: Path) -> int:
    """Write a contact sheet: picture, class, and the answers to all questions.

    Args:
        found: the clips.
        output: PNG or JPEG file.

    Returns:
        How many pictures are on it.
    """
    several = len(found.questions) > 1
    captions = {
        one.name: "\n".join(
            [
                short(one.action[1], 30),
                *(
                    (f"{number}  " if several else "") + said(answer)
                    for number, answer in enumerate(one.answers, start=1)
                ),
                short(one.name, 30),
            ]
        )
        for one in found.shown
    }
    title = [
        (f"{number}  " if several else "") + f"{vlm}: {question}"
        for number, (vlm, question) in enumerate(found.questions, start=1)
    ]
    if found.extremes:
        title.append(
            "first row: lowest and highest p(yes) of all; then by class, in the order of its mean p(yes)"
        )
    names = [one.name for one in found.shown]
    return contact_sheet(found.montages, output, captions=captions, names=names, title="\n".join(title))


def said(answer: tuple[str, float] | None) -> str:
    """An answer on one line."""
    if answer is None:
        return "not asked"
    text = f'"{short(answer[0], 22)}"'
    return text if np.isnan(answer[1]) else f"{text}  p(yes) {answer[1]:.3f}"
