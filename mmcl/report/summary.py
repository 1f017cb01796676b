"""The results of a finished benchmark: tables, the clips that were left out, and pictures.

`python -m mmcl.report.summary demo_ikem demo_xsub` after the workflow has run; `make demo` ends with it.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl import paths
from mmcl.errors import UserError
from mmcl.evaluation.finished import FinishedBenchmark, find_benchmark
from mmcl.files import read_json
from mmcl.report.collected import collect
from mmcl.report.contact_sheet import contact_sheet
from mmcl.report.pictures import draw_plots
from mmcl.report.probes import probes
from mmcl.report.sources import Sources
from mmcl.store import Shards

if TYPE_CHECKING:
    from rich.console import Console


def summarise(benchmark: str) -> None:
    """Print a benchmark's tables to stdout and write its pictures to results/<benchmark>/report/.

    Pre-training without labels and training with them are reported as far as they have been run.

    Raises:
        UserError: the benchmark has no result yet.
    """
    from rich.console import Console

    probed = Path(paths.at(paths.IKEM_RESULT, benchmark=benchmark))
    finished = find_benchmark(Path(benchmark))
    if not finished and not probed.exists():
        path = paths.at(paths.ENSEMBLE, benchmark=benchmark)
        raise UserError(f"{path}: not there; run `snakemake --cores 2 {path}` first")
    console = Console(highlight=False, markup=False, emoji=False, width=max(100, Console().width))
    if probed.exists():
        console.print(probes(read_json(probed)))
    if finished:
        _supervised(finished, console)


def _supervised(finished: FinishedBenchmark, console: "Console") -> None:
    ensemble = finished.result
    benchmark = ensemble["benchmark"]
    console.print(_accuracies(ensemble))
    targets = sorted((finished.path.parent / "zero-shot").glob("*.json"))
    if targets:
        console.print(_transfer([read_json(target) for target in targets]))
    for line in _left_out(ensemble["settings"]["dataset"]):
        console.print(line)
    console.print(f"Report: mmcl report {benchmark}")
    console.print("Pictures:")
    for picture in _pictures(finished):
        console.print(f"  {picture}")
    if benchmark.startswith("demo"):
        console.print("The demo shows that every part works. Its accuracy says nothing about the method.")


def _accuracies(ensemble: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(
        title=f"{ensemble['benchmark']}: accuracy in %, {ensemble['clips']} test clips, skeleton alone"
    )
    names = ("backbone", "graph", "stream")
    for column in (*names, "weight", "top-1", "top-5"):
        table.add_column(column, justify="left" if column in names else "right")
    for m in ensemble["members"]:
        figures = f"{m['weight']:.3f}", f"{m['top1']:.2f}", f"{m['top5']:.2f}"
        table.add_row(*(m[name] for name in names), *figures)
    table.add_section()
    top1, top5 = (f"{ensemble[key]:.2f}" for key in ("top1", "top5"))
    table.add_row("ensemble", "", "", ensemble["weights_from"], top1, top5)
    return table


def _transfer(results: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title="Zero-shot transfer: accuracy in %, all source classes are candidates")
    for column in ("target", "classes", "model", "clips", "top-1 [95 %]", "top-5"):
        table.add_column(column, justify="left" if column in ("target", "classes", "model") else "right")
    for result in results:
        subsets = result["subsets"]
        for name, subset in subsets.items():
            if name == "mapped" and subset["clips"] == subsets["paper"]["clips"]:
                continue  # the same clips again
            for row in subset["models"]:
                if row["member"] not in (subset["models"][0]["member"], "ensemble") or not subset["clips"]:
                    continue  # the other members are in the file
                low, high = row["interval"]
                model = row["member"] + (" + answers" if row["refined"] else "")
                top1 = f"{row['top1']:.2f} [{low:.1f}, {high:.1f}]"
                table.add_row(result["target"], name, model, str(subset["clips"]), top1, f"{row['top5']:.2f}")
    return table


def _left_out(dataset: str) -> list[str]:
    """Clips without a usable skeleton, and clips that were trained without a picture, with the reasons."""
    skeletons = Shards([paths.at(paths.SKELETONS, dataset=dataset)], "mmcl.skeletons/1")
    lines = [f"Left out, no usable skeleton ({len(skeletons.failed)}):"]
    lines += [f"  {name}: {reason}" for name, reason in sorted(skeletons.failed.items())[:20]]
    crops = _stores(paths.CROPS, dataset=dataset)
    failed = Shards(crops, "mmcl.crops/1").failed if crops else {}
    if failed:
        lines.append(f"Without a picture, trained on the skeleton alone ({len(failed)}):")
        lines += [f"  {name}: {reason}" for name, reason in sorted(failed.items())[:20]]
    return lines


def _stores(pattern: str, **values: str) -> list[Path]:
    """The shards that there are of a store."""
    return sorted(Path().glob(paths.at(pattern, shard="*", **values)))


def _pictures(finished: FinishedBenchmark) -> list[Path]:
    ensemble = finished.result
    benchmark, dataset = ensemble["benchmark"], ensemble["settings"]["dataset"]
    folder = Path(paths.at(paths.REPORT, benchmark=benchmark))
    drawn = list(draw_plots(collect(Sources(benchmark, ensemble=finished.path)), folder).values())
    montages = _stores(paths.MONTAGES, dataset=dataset)
    if montages:
        contact_sheet(montages, folder / "montages.png", captions=_answers(ensemble))
        drawn.append(folder / "montages.png")
    return drawn


def _answers(ensemble: dict[str, Any]) -> dict[str, str]:
    """Clip name → name and answer, for captions."""
    settings = ensemble["settings"]
    if "vlm" not in settings:
        return {}
    where = {"dataset": settings["dataset"], "vlm": settings["vlm"]["name"], "question": ensemble["question"]}
    answers = Shards(_stores(paths.ANSWERS, **where), "mmcl.answers/1")
    return {name: f"{name}: {text}" for name, text in zip(answers.names, answers.read("text"), strict=True)}


if __name__ == "__main__":
    try:
        for benchmark in sys.argv[1:]:
            summarise(benchmark)
    except UserError as error:
        sys.exit(f"mmcl: {error}")
