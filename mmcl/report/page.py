"""A report as one HTML page that needs nothing else, as Markdown, and as JSON."""

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmcl import paths
from mmcl.datasets.prepare import SkeletonStore
from mmcl.files import write_json, written
from mmcl.naming import PROJECT
from mmcl.report.collected import collect
from mmcl.report.contact_sheet import thumbnails
from mmcl.report.gallery import Answered, gather
from mmcl.report.pictures import draw_plots
from mmcl.report.plots import DPI
from mmcl.report.results import Part
from mmcl.report.sources import Sources
from mmcl.report.spread import spread
from mmcl.store import Shards, opened

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = PROJECT / "resources/report"
LEFT_OUT = 300
"""Clips that are listed with their reason, of each kind."""
SHOWN = 105
"""Pixels of the page for an inch of a plot."""
CROPS = 12
"""Clips whose crops are shown."""
TITLES = {
    "accuracy": "Accuracy",
    "paper": "The paper’s numbers",
    "gain": "Gain over the baseline",
    "confusion": "Confusion",
    "classes": "Classes",
    "training": "Training",
    "transfer": "Zero-shot transfer",
    "probes": "Encoders without labels",
    "answers": "Questions and answers",
    "crops": "Crops",
    "cost": "Cost",
    "left-out": "Left out",
}
"""Part's place in the page → its name in the contents."""
FIGURES = {
    "mean_class_accuracy": "mean accuracy of the classes, %",
    "macro_precision": "mean precision of the classes, %",
    "macro_f1": "mean F1 of the classes, %",
    "ece": "expected calibration error, %",
    "nll": "negative log-likelihood, nats",
}
NAMES = {"fam": "pictures (FAM)", "frm": "answers (FRM)"}


def write_report(
    sources: Sources,
    page: Path,
    plots: Mapping[str, Path] | None = None,
    cost: Part | None = None,
    markdown: Path | None = None,
    json: Path | None = None,
) -> Part:
    """Write a benchmark's report.

    Args:
        sources: the files it is made from.
        page: the HTML page, with all pictures in it.
        plots: part → its PNG file; None to draw them.
        cost: of `mmcl.report.cost.measure_cost`, where it is in no file of the sources.
        markdown: its tables as Markdown.
        json: everything it says.

    Returns:
        Everything it says.

    Raises:
        UserError: see `collect`.
    """
    found = collect(sources) | ({"cost": cost} if cost else {})
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_plots(found, Path(folder)) if plots is None else plots
        content = {**found, **_about(found), "plots": {name: _png(file) for name, file in drawn.items()}}
    content |= pictured(sources)
    content["contents"] = [(part, title) for part, title in TITLES.items() if _there(part, content)]
    templates = environment()
    _write(page, templates.get_template("page.html.jinja").render(content))
    if markdown:
        _write(markdown, templates.get_template("report.md.jinja").render(content))
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_json(json, found)
    return found


def _there(part: str, content: Part) -> bool:
    other = {"answers": "gallery", "cost": "times", "left-out": "left_out"}.get(part, part)
    return part in content or other in content


def _about(found: Part) -> Part:
    knn = {k for row in found.get("probes", {}).get("rows", ()) for k in row["knn"]}
    return {
        "demo": found["benchmark"].startswith("demo"),
        "figures": FIGURES,
        "names": NAMES,
        "neighbours": sorted(knn, key=int),
        "most": LEFT_OUT,
        "made": date.today().isoformat(),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------------------- pictures


def pictured(sources: Sources) -> Part:
    """Clips with their pictures: `gallery` {questions, extremes, clips} and `crops`, as far as there are any."""
    found: Part = {}
    questions = sources.questions
    if questions and questions.montages:
        shown = gather(questions)
        pictures = _thumbnails(shown.montages, {one.name for one in shown.shown})
        found["gallery"] = {
            "questions": shown.questions,
            **{key: [_clip(one, pictures) for one in getattr(shown, key)] for key in ("extremes", "clips")},
        }
    crops = sources.stores(paths.CROPS)
    names = sorted(Shards(crops, "mmcl.crops/1").names) if crops else []
    if names and sources.skeletons:
        source = SkeletonStore(sources.skeletons)
        actions = {
            name: (source.class_ids[label], source.class_names[label])
            for name, label in zip(source.names, source.labels, strict=True)
        }
        # of clips without a usable skeleton the class is in no store
        chosen = spread([name for name in names if name in actions], CROPS)
        pictures = _thumbnails(crops, set(chosen))
        found["crops"] = [_clip(Answered(name, actions[name], ()), pictures) for name in chosen]
    return found


def _clip(one: Answered, pictures: Mapping[str, str]) -> Part:
    answers = [
        {"text": answer[0], "p_yes": None if np.isnan(answer[1]) else answer[1]} if answer else None
        for answer in one.answers
    ]
    return {"name": one.name, "action": one.action[1], "answers": answers, "picture": pictures[one.name]}


def _thumbnails(stores: Sequence[Path], names: set[str]) -> dict[str, str]:
    """Clip → its picture as the address of an image."""
    found: dict[str, str] = {}
    for path in stores:
        with opened(path) as h5:
            there = h5["names"].asstr()[:].tolist()
        rows = [row for row, name in enumerate(there) if name in names]
        if rows:
            found |= dict(zip([there[row] for row in rows], map(_jpeg, thumbnails(path, rows)), strict=True))
    return found


def _jpeg(picture: Any) -> str:
    written_to = io.BytesIO()
    picture.save(written_to, format="JPEG", quality=80)
    return _address("jpeg", written_to.getvalue())


def _png(path: Path) -> Part:
    """A plot's address, and its width in the page: text of 9 points has 13 pixels."""
    from PIL import Image

    with Image.open(path) as picture:
        width = round(picture.width / DPI * SHOWN)
    return {"address": _address("png", path.read_bytes()), "width": width, "least": round(0.65 * width)}


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


# ------------------------------------------------------------------------------------------------- templates


def environment() -> "Environment":
    """Jinja's environment: HTML is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "pct": lambda value: _number(value, ".2f"),
        "signed": lambda value: _number(value, "+.2f"),
        "figure": lambda value, key: _number(value, ".4f" if key == "nll" else ".2f"),
        "interval": interval,
        "pm": lambda mean, sd: _number(mean, ".2f") + (f" ± {sd:.2f}" if sd is not None else ""),
        "thousands": lambda value: f"{value:,}",
        "count": lambda value, one, many="": f"{value} {one if value == 1 else many or one + 's'}",
        "duration": duration,
        "cell": lambda text: (
            " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
        ),
    }
    return made


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def interval(ends: Sequence[float] | None, signed: bool = False) -> str:
    """`[92.79, 99.43]`."""
    form = "+.2f" if signed else ".2f"
    return "[{}, {}]".format(*(format(end, form) for end in ends)) if ends else "–"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `48 s`, `12 min`, `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
