"""Tables and picture of what a vision-language model answers, see `mmcl.evaluation.answers`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmcl.evaluation.answers import Asked, Request, examine
from mmcl.files import write_json
from mmcl.report.plots import LARGEST, pyplot, save, short
from mmcl.settings.jobs import Examination

log = logging.getLogger(__name__)

KINDS = {"text": "text", "p_yes": "p(yes)", "states": "states, linear probe"}
TELLS, SHUFFLED = "#1d4ed8", "#9ca3af"


def write_report(
    output: Path,
    picture: Path,
    *,
    skeletons: Path,
    answers: Sequence[Path],
    settings: Examination,
) -> None:
    """Examine a benchmark's answers about its training clips; the verdict goes to the log, too.

    Args:
        output: JSON file, the result of `examine`.
        picture: PNG file, see `draw`.
        skeletons: store `mmcl.skeletons/1`.
        answers: all stores `mmcl.answers/1` of the question.
        settings: of the stage.

    Raises:
        UserError: see `examine`.
    """
    request = Request(
        name=settings.benchmark,
        dataset=settings.dataset,
        skeletons=skeletons,
        asked=(Asked(settings.vlm, settings.question, tuple(answers)),),
        selection=settings,
        input=settings.input,
    )
    result = examine(request)
    for note in [*result["notes"], *(one["verdict"] for one in result["questions"])]:
        log.info("%s: %s", settings.benchmark, note)
    draw(result, picture)
    write_json(output, result)


def tables(result: dict[str, Any], rows: int = 5) -> list[Table | str]:
    """The result of `examine` to print: for each question its texts, classes, and what it tells.

    Args:
        result: of `examine`.
        rows: texts to show.
    """
    shown: list[Table | str] = [_listed(result)]
    for question in result["questions"]:
        shown += [_texts(question, rows), _classes(question), _information(question, result)]
        shown.append(f"{_named(question)}: {question['verdict']}.")
    return shown


def _named(question: dict[str, Any]) -> str:
    return f"{question['vlm']}, “{question['text_of_question']}”"


def _listed(result: dict[str, Any]) -> Table:
    clips = {"train": "training clips", "test": "test clips", "all": "clips"}[result["part"]]
    protocol = f" of {result['protocol']}" if result["protocol"] else ""
    of = f" of {result['subjects']} subjects" if result["subjects"] else ""
    table = Table(
        title=f"{result['dataset']}: {result['clips']} {clips}{protocol}{of}, {len(result['classes'])} classes"
    )
    for column in ("model", "question", "answered", "without", "different texts"):
        table.add_column(column, justify="left" if column in ("model", "question") else "right")
    for one in result["questions"]:
        table.add_row(
            one["vlm"],
            one["text_of_question"],
            *(str(one[k]) for k in ("clips", "without", "distinct_texts")),
        )
    return table


def _texts(question: dict[str, Any], rows: int) -> Table:
    table = Table(title=question["vlm"])
    table.add_column(question["text_of_question"])
    for column in ("clips", "%"):
        table.add_column(column, justify="right")
    for one in question["texts"][:rows]:
        table.add_row(
            short(one["text"], 40), str(one["clips"]), f"{100 * one['clips'] / question['clips']:.1f}"
        )
    return table


def _classes(question: dict[str, Any]) -> Table:
    table = Table(title="by class; intervals of 95 % over clips")
    table.add_column("class")
    yes_no = question["histogram"] is not None
    columns = ("clips", "yes, %", "interval", "mean p(yes)") if yes_no else ("clips",)
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("most frequent text")
    table.add_column("%", justify="right")
    for one in question["per_class"]:
        figures = [str(one["clips"])]
        if yes_no:
            low, high = one["interval"]
            figures += [f"{one['yes']:.1f}", f"[{low:.1f}, {high:.1f}]", f"{one['p_yes']:.3f}"]
        table.add_row(f"{one['id']} {one['name']}", *figures, short(one["text"], 40), f"{one['share']:.1f}")
    return table


def _information(question: dict[str, Any], result: dict[str, Any]) -> Table:
    tested = sum(question[kind] is not None for kind in KINDS)
    table = Table(
        title=f"what it tells about the class ({question['class_bits']:.2f} bits), against {result['shuffles']} "
        f"shuffles of {question['shuffled']}",
        caption=f"it tells something where p is at most {result['level']} / {tested}",
    )
    table.add_column("")
    for column in ("measured", "95 %, unbiased", "shuffled, mean", "shuffled, 95 %", "p"):
        table.add_column(column, justify="right")
    table.add_column("tells")
    for kind, name in KINDS.items():
        found = question[kind]
        if found is None:
            table.add_row(name, *["–"] * 6)
            continue
        share = kind == "states"
        unit, digits, value = ("%", 2, found["accuracy"]) if share else ("bits", 3, found["bits"])
        low, high = found["interval"]
        name += f" ({found['input']})" if share else ""
        table.add_row(
            name,
            f"{value:.{digits}f} {unit}",
            f"[{low:.{digits}f}, {high:.{digits}f}]",
            f"{found['shuffled']:.{digits}f}",
            f"{found['shuffled_95']:.{digits}f}",
            f"{found['p']:.3g}",
            "yes" if question["carries"][kind] else "no",
        )
    return table


# ------------------------------------------------------------------------------------------------- picture


def draw(result: dict[str, Any], output: Path) -> None:
    """Draw a row a question: p(yes) or texts, the rate of yes by class, and what is told against shuffled answers.

    Args:
        result: of `examine`.
        output: PNG file.
    """
    plt = pyplot()
    questions = result["questions"]
    heights = [max(3.4, 0.17 * len(one["per_class"]) + 1.4) for one in questions]
    scale = min(1.0, LARGEST / sum(heights))
    figure = plt.figure(figsize=(13, scale * sum(heights)), layout="constrained")
    rows = figure.subfigures(len(questions), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, question in zip(rows, questions, strict=True):
        part.suptitle(f"{_named(question)}, {question['clips']} clips", fontsize=10)
        texts, classes, told = part.subplots(1, 3, width_ratios=(1, 1.4, 1.1))
        if question["histogram"] is None:
            _draw_texts(texts, question)
        else:
            _draw_histogram(texts, question["histogram"])
        _draw_classes(classes, question)
        _draw_told(told, question)
    save(figure, output)


def _draw_histogram(axes: Any, counts: list[int]) -> None:
    edges = np.linspace(0, 1, len(counts) + 1)
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=TELLS, edgecolor="white")
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="p(yes)", ylabel="clips", xlim=(0, 1))


def _draw_texts(axes: Any, question: dict[str, Any]) -> None:
    texts = question["texts"][:10][::-1]
    axes.barh(range(len(texts)), [one["clips"] for one in texts], color=TELLS)
    axes.set_yticks(range(len(texts)), [short(one["text"], 24) for one in texts], fontsize=7)
    axes.set(xlabel="clips")


def _draw_classes(axes: Any, question: dict[str, Any]) -> None:
    classes = question["per_class"]
    yes_no = question["histogram"] is not None
    key = "yes" if yes_no else "share"
    classes = sorted(classes, key=lambda one: one[key])
    places = range(len(classes))
    values = np.array([one[key] for one in classes], float)
    if yes_no:
        low, high = np.array([one["interval"] for one in classes], float).T
        axes.errorbar(
            values,
            places,
            xerr=np.maximum(0, [values - low, high - values]),
            fmt="o",
            ms=3.5,
            lw=1,
            color=TELLS,
        )
        axes.set_xlabel("answered yes, % of the class's clips, 95 % interval")
    else:
        axes.plot(values, places, "o", ms=3.5, color=TELLS)
        axes.set_xlabel("clips with the class's most frequent text, %")
    axes.set_yticks(places, [short(one["name"], 28) for one in classes], fontsize=7)
    axes.set(xlim=(-3, 103), ylim=(-0.7, len(classes) - 0.3))
    axes.grid(axis="x", linewidth=0.3)


def _draw_told(axes: Any, question: dict[str, Any]) -> None:
    """The share of the class's bits, and of clips that the probe names, beside their shuffled values up to 95 %."""
    kinds = [kind for kind in KINDS if question[kind]]
    labels = []
    for place, kind in enumerate(reversed(kinds)):
        found = question[kind]
        share = kind == "states"
        unit = 1.0 if share else 100 / question["class_bits"]
        value = unit * found["accuracy" if share else "bits"]
        low, high = (unit * end for end in found["interval"])
        axes.barh(place - 0.15, unit * found["shuffled_95"], height=0.2, color=SHUFFLED)
        axes.plot([low, high], [place + 0.15] * 2, color=TELLS, linewidth=1)
        axes.plot(value, place + 0.15, "o" if question["carries"][kind] else "x", color=TELLS)
        axes.text(103, place + 0.15, f"p {found['p']:.3g}", fontsize=7, va="center", clip_on=False)
        labels.append("probe on states,\n% of clips" if share else f"{KINDS[kind]},\n% of the class's bits")
    axes.set_yticks(range(len(kinds)), labels, fontsize=7)
    axes.set(xlim=(-2, 102), ylim=(-0.6, len(kinds) - 0.4))
    axes.set_xlabel(
        "told about the class (grey: up to 95 % of the shuffles;\ndot: more than shuffled, cross: not)",
        fontsize=8,
    )
    axes.grid(axis="x", linewidth=0.3)
