"""Whether a vision-language model's answers can help: what they tell about the classes, against shuffled answers.

Three things are looked at: the text, p(yes) where it is given, and what FRM reads of the hidden states. Each is tested
by shuffling (`mmcl.evaluation.information`): it carries information if at most 5 % of the shuffles, divided by the
number of things tested, come out as high. What no answer tells, FRM cannot add. Whether FRM learns from what is there,
and whether the skeleton tells the same already, only training shows.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmcl import paths
from mmcl.colearn.inputs import answer_features
from mmcl.config import config_files, load
from mmcl.datasets.exclusion import plan_exclusion
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import find_rule, is_known
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.evaluation.finished import find_benchmark
from mmcl.evaluation.information import (
    Shuffled,
    Shuffles,
    binned,
    entropy,
    probe,
    share_interval,
    told,
    told_interval,
)
from mmcl.evaluation.metrics import percent, wilson
from mmcl.naming import parse_shard, slug
from mmcl.settings.model import read_of
from mmcl.settings.protocol import SelectionSettings
from mmcl.store import Shards

Part = Literal["train", "test", "all"]

SCHEMA = "mmcl.answers/1"
LEVEL = 0.05
SHUFFLES = 999
RARE = 5
"""Texts of fewer clips are taken together: each by itself tells its clip's class, whatever it says."""
BINS = 20
TEXTS = 50
"""Most texts that are listed."""
NO_STATES = ("p_yes", "constant")
"""What `frm.input` reads that is tested otherwise, or is no answer."""


@dataclass(frozen=True)
class Asked:
    """The answers of a model to a question.

    Attributes:
        vlm, question: their names in paths.
        stores: the shards that there are.
    """

    vlm: str
    question: str
    stores: tuple[Path, ...]


@dataclass(frozen=True)
class Request:
    """What is to be examined.

    Attributes:
        name: a benchmark's, or a folder.
        dataset: its name.
        skeletons: the store, with labels and subjects.
        asked: the answers; those that a benchmark uses come first.
        montages: the pictures that were asked about, as far as they are there.
        selection: which clips train and test; None for all clips.
        input: `frm.input` of the benchmark.
    """

    name: str
    dataset: str
    skeletons: Path
    asked: tuple[Asked, ...]
    montages: tuple[Path, ...] = ()
    selection: SelectionSettings | None = None
    input: str = "hidden"


def find_answers(
    named: Path, config: Sequence[Path] = (), protocol: str | None = None, skeletons: Path | None = None
) -> Request:
    """The answers that a user names.

    Args:
        named: a benchmark of the configuration, of whose data set all answers are examined; a finished benchmark (name,
            folder or ensemble.json); or a folder of answer stores.
        config: files on top of config.yaml, see `mmcl.config.config_files`.
        protocol: whose clips are looked at; by default the benchmark's, for a folder that of the benchmarks of the data
            set, if they have one in common.
        skeletons: store of the data set; by default results/skeletons/<dataset>.h5.

    Raises:
        UserError: it names none of these, there are no answers, or no skeletons.
    """
    settings = load(*config_files(config))

    def chosen(protocol: str, exclude: Any = None) -> SelectionSettings:
        find_rule(protocol, settings.protocols)
        return SelectionSettings(protocol=protocol, rule=settings.own_rule(protocol), exclude=exclude)

    if named.is_dir() and (stores := _stores(named)):
        root, (dataset, vlm, question) = _place(named)
        used = {one.protocol for one in settings.benchmarks.values() if one.dataset == dataset}
        if protocol is None and len(used) == 1:
            [protocol] = used
        return Request(
            name=str(named),
            dataset=dataset,
            skeletons=skeletons or root / paths.at(paths.SKELETONS, dataset=dataset),
            asked=(Asked(vlm, question, stores),),
            montages=_stores(root / f"results/montages/{dataset}"),
            selection=chosen(protocol) if protocol else None,
        )
    root = Path()
    if benchmark := settings.benchmarks.get(str(named)):
        dataset, frm_input = benchmark.dataset, benchmark.model.frm.input
        own = benchmark.vlm.name, slug(benchmark.instruction)
        selection = chosen(
            benchmark.protocol, plan_exclusion(benchmark.exclude) if benchmark.exclude else None
        )
    elif finished := find_benchmark(named):
        made = finished.result["settings"]
        root, dataset = paths.root_of(finished.path.parent), made["dataset"]
        frm_input = made["model"]["frm"].get("input", "hidden")
        own = made.get("vlm", {}).get("name", ""), finished.result["question"]
        selection = SelectionSettings.model_validate(
            {key: made[key] for key in SelectionSettings.model_fields if key in made}
        )
    else:
        raise UserError(
            f"{named}: neither a benchmark ({', '.join(settings.benchmarks)}), nor a finished one, nor a folder of "
            "answer stores (results/answers/<dataset>/<vlm>/<question>)"
        )
    if protocol:
        selection = chosen(protocol, selection.exclude)
    folder = root / f"results/answers/{dataset}"
    found = [
        Asked(place.parent.name, place.name, stores)
        for place in sorted(folder.glob("*/*"))
        if (stores := _stores(place))
    ]
    if not found:
        report = paths.at(paths.ANSWER_REPORT, benchmark=str(named))
        raise UserError(f"{folder}: no answers yet; `snakemake --cores 2 {report}` makes and examines them")
    return Request(
        name=str(named),
        dataset=dataset,
        skeletons=skeletons or root / paths.at(paths.SKELETONS, dataset=dataset),
        asked=tuple(sorted(found, key=lambda one: (one.vlm, one.question) != own)),
        montages=_stores(root / f"results/montages/{dataset}"),
        selection=selection,
        input=frm_input,
    )


def _stores(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.h5")))


def _place(folder: Path) -> tuple[Path, tuple[str, str, str]]:
    """Working directory, and data set, model and question, of a folder of answer stores; unknown ones are its name."""
    whole = folder.resolve()
    root = paths.root_of(whole)
    try:
        kind, dataset, vlm, question = whole.relative_to((root / "results").resolve()).parts
    except ValueError:
        kind = ""
    return (root, (dataset, vlm, question)) if kind == "answers" else (root, (whole.name,) * 3)


def examine(request: Request, part: Part = "train", shuffles: int = SHUFFLES) -> dict[str, Any]:
    """What answers tell about the classes of a data set's clips.

    Args:
        request: the answers and clips.
        part: which clips of the protocol.
        shuffles: how many.

    Returns:
        name, dataset, protocol (null for all clips), part, clips, subjects (null where they are not known), classes
        [{id, name, clips}], shuffles, level, notes, and questions [{vlm, question, text_of_question, clips, without
        (clips that have no answer), class_bits (the labels' entropy), shuffled (what is shuffled), distinct_texts,
        texts [{text, clips}], histogram (clips by p(yes) in steps of 0.05), per_class, text, p_yes, states, carries
        {text, p_yes, states}, verdict}].
        `text` and `p_yes` hold the mutual information with the class in bits: bits (as counted), corrected and
        interval (95 %, without the estimate's bias), shuffled (mean), shuffled_95 (their 95 % point), excess, p.
        `states`: input, folds, over (subjects or clips), accuracy, interval, shuffled, shuffled_95, majority (share of
        the most frequent class), excess, p, in percent but for p. Each is null where there is none. per_class [{id,
        name, clips, yes (percent of texts, null for other questions), interval (95 %, Wilson), p_yes (mean), text (the
        most frequent), share}].

    Raises:
        UserError: the stores cannot be used, or fewer than two classes or clips have answers.
    """
    source = SkeletonStore(request.skeletons)
    rows, notes = clips_of(source, request, part), []
    subjects = source.subject[rows]
    known = len(np.unique(subjects)) > 1 and is_known(subjects).all()
    if not known:
        notes.append("subjects are unknown, or one: what holds for one person alone counts, too")
    questions = []
    for asked in request.asked:
        questions.append(_question(source, rows, bool(known), asked, request.input, shuffles, notes))
    if len(questions) > 1:
        notes.append(f"{len(questions)} questions: each is tested by itself, not corrected for their number")
    labels = source.labels[rows]
    counts = np.bincount(labels, minlength=len(source.class_ids))
    return {
        "name": request.name,
        "dataset": request.dataset,
        "protocol": request.selection.protocol if request.selection and part != "all" else None,
        "part": part if request.selection else "all",
        "clips": len(rows),
        "subjects": len(np.unique(subjects)) if known else None,
        "classes": [
            {"id": source.class_ids[i], "name": source.class_names[i], "clips": int(counts[i])}
            for i in np.flatnonzero(counts)
        ],
        "shuffles": shuffles,
        "level": LEVEL,
        "notes": notes,
        "questions": questions,
    }


def clips_of(source: SkeletonStore, request: Request, part: Part) -> np.ndarray:
    """Rows of the clips that are looked at."""
    if request.selection is None or part == "all":
        return np.arange(len(source))
    return np.flatnonzero(getattr(select(source, request.selection), part))


def _question(
    source: SkeletonStore,
    rows: np.ndarray,
    by_subject: bool,
    asked: Asked,
    frm_input: str,
    shuffles: int,
    notes: list[str],
) -> dict[str, Any]:
    where = f"{asked.vlm}/{asked.question}"
    shards = Shards(asked.stores, SCHEMA)
    if missing := _missing(asked.stores):
        notes.append(f"{where}: {missing} shards are not there yet")
    answered = np.array([source.names[row] in shards for row in rows], bool)
    rows, without = rows[answered], int((~answered).sum())
    present, labels = np.unique(source.labels[rows], return_inverse=True)
    if len(present) < 2 or len(rows) < 2 * len(present):
        raise UserError(
            f"{where}: {len(rows)} clips of {len(present)} classes have answers; at least two of each of two classes "
            "are needed"
        )
    names = [source.names[row] for row in rows]
    subjects = source.subject[rows] if by_subject and len(np.unique(source.subject[rows])) > 1 else None
    drawn = Shuffles(labels, subjects, shuffles)
    texts: list[str] = [text.strip() for text in shards.read("text", names)]
    p_yes = shards.read("p_yes", names)
    yes_no = bool(np.isfinite(p_yes).all())
    counts = Counter(texts)
    kept = {text for text, clips in counts.items() if clips >= RARE}
    coded = np.unique([text if text in kept else "" for text in texts], return_inverse=True)[1]
    found: dict[str, dict[str, Any] | None] = {
        "text": _information(coded, labels, subjects, drawn),
        "p_yes": _information(binned(p_yes, len(present), (0.5,)), labels, subjects, drawn)
        if yes_no
        else None,
        "states": _probed(shards, names, labels, subjects, drawn, frm_input),
    }
    level = LEVEL / sum(one is not None for one in found.values())
    carries = {kind: one["p"] <= level if one else None for kind, one in found.items()}
    question = {
        "vlm": asked.vlm,
        "question": asked.question,
        "text_of_question": str(shards.attribute("question") or asked.question),
        "clips": len(rows),
        "without": without,
        "class_bits": round(entropy(labels), 4),
        "shuffled": drawn.units,
        "distinct_texts": len(counts),
        "texts": [{"text": text, "clips": clips} for text, clips in counts.most_common(TEXTS)],
        "histogram": np.histogram(p_yes, BINS, (0, 1))[0].tolist() if yes_no else None,
        "per_class": [
            _class(source, label, texts, p_yes, np.flatnonzero(labels == i), yes_no)
            for i, label in enumerate(present)
        ],
        **found,
        "carries": carries,
    }
    return {**question, "verdict": verdict(question)}


def _missing(stores: Sequence[Path]) -> str:
    """`1 of 2` shards that are not there; "" if all are, or their names do not state how many there are."""
    if not all(re.fullmatch(r"\d+-of-\d+", store.stem) for store in stores):
        return ""
    shards = {parse_shard(store.stem) for store in stores}
    count = max(count for _, count in shards)
    return f"{count - len(shards)} of {count}" if len(shards) < count else ""


def said_yes(text: str) -> bool:
    """Whether a text begins with yes."""
    return re.match(r"\W*yes\b", text, re.IGNORECASE) is not None


def _class(
    source: SkeletonStore, label: int, texts: list[str], p_yes: np.ndarray, rows: np.ndarray, yes_no: bool
) -> dict[str, Any]:
    own = [texts[row] for row in rows]
    [(text, often)] = Counter(own).most_common(1)
    yes = sum(map(said_yes, own))
    return {
        "id": source.class_ids[label],
        "name": source.class_names[label],
        "clips": len(own),
        "yes": percent(yes, len(own)) if yes_no else None,
        "interval": wilson(yes, len(own)) if yes_no else None,
        "p_yes": round(float(p_yes[rows].mean()), 4) if yes_no else None,
        "text": text,
        "share": percent(often, len(own)),
    }


def _against(found: Shuffled, unit: float, decimals: int) -> dict[str, Any]:
    return {
        "shuffled": round(unit * float(found.shuffled.mean()), decimals),
        "shuffled_95": round(unit * float(np.percentile(found.shuffled, 95)), decimals),
        "excess": round(unit * found.excess, decimals),
        "p": float(f"{found.p:.4g}"),
    }


def _information(
    values: np.ndarray, labels: np.ndarray, subjects: np.ndarray | None, drawn: Shuffles
) -> dict[str, Any]:
    found, estimate = told(values, drawn), told_interval(values, labels, subjects)
    return {
        "bits": round(found.value, 4),
        "corrected": round(estimate.value, 4),
        "interval": [round(estimate.low, 4), round(estimate.high, 4)],
        **_against(found, 1.0, 4),
    }


def _probed(
    shards: Shards,
    names: list[str],
    labels: np.ndarray,
    subjects: np.ndarray | None,
    drawn: Shuffles,
    frm_input: str,
) -> dict[str, Any] | None:
    kind = read_of(frm_input)[0]
    kind = "hidden" if kind in NO_STATES else kind
    if kind == "hidden" and not shards.shape("states")[1]:
        return None
    found = probe(answer_features(shards, names, kind, 0).values.numpy(), drawn)
    if found is None:
        return None
    low, high = share_interval(found.hits, subjects)
    return {
        "input": kind,
        "folds": found.folds,
        "over": "clips" if subjects is None else "subjects",
        "accuracy": round(100 * found.accuracy.value, 2),
        "interval": [round(100 * low, 2), round(100 * high, 2)],
        "majority": percent(np.bincount(labels).max(), len(labels)),
        **_against(found.accuracy, 100.0, 2),
    }


SAID = {
    "text": ("the text carries no information about the actions", "the text does"),
    "p_yes": ("p(yes) carries none", "p(yes) does"),
    "states": ("the states carry none", "the states do"),
}


def verdict(question: dict[str, Any]) -> str:
    """One sentence about a question's answers, see `examine`."""
    carries = {kind: yes for kind, yes in question["carries"].items() if yes is not None}
    parts = {kind: _evidence(kind, question) for kind in carries}
    classes, clips = len(question["per_class"]), question["clips"]
    few = f"; {clips} clips of {classes} classes are few, what is weak would not be seen"
    if clips >= RARE * classes or all(carries.values()):
        few = ""
    if len(set(carries.values())) == 1:
        what = "information" if carries["text"] else "no information"
        return f"these answers carry {what} about the actions: {'; '.join(parts.values())}{few}"
    # what carries none comes first
    order = sorted(carries, key=lambda kind: carries[kind])
    return "; ".join(f"{SAID[kind][carries[kind]]} ({parts[kind]})" for kind in order) + few


def _evidence(kind: str, question: dict[str, Any]) -> str:
    found = question[kind]
    if kind == "states":
        new = "clips of subjects" if found["over"] == "subjects" else "clips"
        return (
            f"a linear probe on the states names {found['accuracy']} % of {new} that it has not seen, shuffled "
            f"{found['shuffled']} %, p {found['p']}"
        )
    if kind == "text" and question["distinct_texts"] == 1:
        return f"every text is “{question['texts'][0]['text']}”"
    what = {"text": "the text", "p_yes": "p(yes)"}[kind]
    return (
        f"{what} tells {found['bits']:.2f} of {question['class_bits']:.2f} bits, shuffled {found['shuffled']:.2f}, "
        f"p {found['p']}"
    )
