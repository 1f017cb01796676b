"""The accuracies that a paper states, for the rows that a benchmark reproduces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mmcl.naming import PROJECT, slug
from mmcl.report.results import interval
from mmcl.settings.base import Items, Pair, Section, Text

TABLES = PROJECT / "resources/papers/mmcl-tables.yaml"

Percent = float


class Row(Section):
    """A row of a paper's table; what is not stated is not compared."""

    table: int
    method: Text
    of: Literal["ensemble", "joint", "bone", "joint_motion", "bone_motion"]
    protocol: Text = "ntu120_xsub"
    backbone: Text = "ctrgcn"
    graphs: Items[Text] | None = Field(None, description="Those that a stream, or some of an ensemble, has.")
    fam: bool = False
    frm: bool = False
    cnn: Text | None = Field(None, description="FAM's architecture.")
    vlm: Text | None = Field(None, description="FRM's model, by its name in paths.")
    question: Text | None = None
    lambdas: Pair[float] | None = Field(None, description="Weights of FAM and FRM.")
    target: Text | None = Field(None, description="Zero-shot target.")
    refined: bool = False
    top1: Percent
    top5: Percent | None = None


class Tables(Section):
    """What a paper states."""

    paper: Text
    rows: Items[Row]


def beside(
    ensemble: dict[str, Any], zero_shot: Sequence[dict[str, Any]] = (), path: Path = TABLES
) -> dict[str, Any]:
    """A paper's accuracies and ours.

    A row is of a benchmark whose protocol, backbone, terms and what else the row states are the benchmark's. Width,
    epochs and batch are not compared, and named.

    Args:
        ensemble: content of ensemble.json.
        zero_shot: of zero-shot/<target>.json.
        path: the paper's tables.

    Returns:
        paper, trained (settings of ours that may differ from the paper's) and rows [{table, method, of, clips, seeds,
        paper {top1, top5}, ours {top1, top5, interval, mean, sd, best_on_test}}]; empty without a matching row.
    """
    import yaml

    stated = Tables.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    settings = ensemble["settings"]
    rows = []
    for row in stated.rows:
        if not _same(row, ensemble):
            continue
        ours = _transferred(row, zero_shot) if row.target else _trained(row, ensemble)
        if ours:
            about = {"table": row.table, "method": row.method, "of": row.of, "target": row.target}
            ours["ours"]["interval"] = interval(ours["ours"]["top1"], ours["clips"])
            rows.append(about | {"paper": {"top1": row.top1, "top5": row.top5}, **ours})
    train = settings["train"]
    trained = {
        "width": settings["model"]["width"],
        **{key: train[key] for key in ("epochs", "batch", "window")},
    }
    return {"paper": stated.paper, "trained": trained, "rows": rows} if rows else {}


def _same(row: Row, ensemble: dict[str, Any]) -> bool:
    """Whether a row's settings are the benchmark's, but for the members."""
    settings = ensemble["settings"]
    model = settings["model"]
    fam, frm = model["fam"], model["frm"]
    same = settings["protocol"] == row.protocol and "exclude" not in settings
    same &= (fam["enabled"], frm["enabled"]) == (row.fam, row.frm)
    same &= row.cnn in (None, fam["cnn"]["architecture"])
    same &= row.vlm in (None, settings.get("vlm", {}).get("name"))
    same &= row.question is None or slug(row.question) == ensemble["question"]
    return bool(same and row.lambdas in (None, (fam["weight"], frm["weight"])))


def _trained(row: Row, ensemble: dict[str, Any]) -> dict[str, Any] | None:
    members = ensemble["members"]
    if row.of == "ensemble":
        graphs = {member["graph"] for member in members}
        several = len(members) > 1 and all(member["backbone"] == row.backbone for member in members)
        # of an ensemble on an HD-Graph some members are on the natural one
        graphs = graphs - {"natural"} or graphs
        if not several or (row.graphs and not graphs <= {*row.graphs}):
            return None
        found: dict[str, Any] = {
            **{key: ensemble[key] for key in ("top1", "top5")},
            "mean": ensemble["mean"]["top1"],
            "sd": ensemble["sd"]["top1"],
            "best_on_test": ensemble.get("best_on_test", [{}])[0].get("top1"),
        }
    else:
        own = [m for m in members if _is_stream(row, m["backbone"], m["graph"], m["stream"])]
        if not own:
            return None
        found = {key: own[0][key] for key in ("top1", "top5", "mean", "sd")}
        found["best_on_test"] = own[0].get("best_on_test", {}).get("top1")
    return {"clips": ensemble["clips"], "seeds": len(ensemble["seeds"]), "ours": found}


def _transferred(row: Row, zero_shot: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for result in zero_shot:
        subset = result["subsets"]["paper"]
        for model in subset["models"]:
            named = model["member"].split("-")
            asked = (result["target"], model["refined"]) == (row.target, row.refined)
            if asked and len(named) == 3 and _is_stream(row, *named):
                ours = {key: model[key] for key in ("top1", "top5")}
                return {"clips": subset["clips"], "seeds": 1, "ours": ours}
    return None


def _is_stream(row: Row, backbone: str, graph: str, stream: str) -> bool:
    return (backbone, stream) == (row.backbone, row.of) and graph in (row.graphs or ("natural",))
