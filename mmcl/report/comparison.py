"""Tables of compared benchmarks."""

from typing import Any

from rich.table import Table

LOWER_IS_BETTER = ("ece", "nll")


def tables(result: dict[str, Any]) -> list[Table]:
    """The result of `compare` to print: one row a pair, and one row a seed of each pair."""
    metric, baseline = result["metric"], result["runs"][0]["name"]
    unit = "nats" if metric == "nll" else "%"
    what = ", ".join([f"{metric} in {unit}", *filter(None, [result["member"]]), f"{result['clips']} clips"])
    what += "; lower is better" if metric in LOWER_IS_BETTER else ""

    def number(value: float | None, sign: str = "") -> str:
        return "–" if value is None else f"{value:{sign}.{4 if metric == 'nll' else 2}f}"

    def interval(ends: list[float] | None) -> str:
        return "–" if ends is None else f"[{number(ends[0], '+')}, {number(ends[1], '+')}]"

    overall = Table(title=f"Against {baseline}: {what}")
    for column in (
        "benchmark",
        "seeds",
        "baseline",
        "candidate",
        "difference",
        "95 % over seeds",
        "95 % over clips",
    ):
        overall.add_column(column, justify="left" if column == "benchmark" else "right")
    seeds = Table(title="Seed by seed; clips that one alone has right, McNemar's exact p")
    for column in (
        "benchmark",
        "seed",
        "baseline",
        "candidate",
        "difference",
        "only baseline",
        "only candidate",
        "p",
    ):
        seeds.add_column(column, justify="left" if column == "benchmark" else "right")
    for pair in result["pairs"]:
        mean = pair["mean"]
        overall.add_row(
            pair["candidate"],
            str(len(pair["seeds"])),
            number(mean["baseline"]),
            number(mean["candidate"]),
            number(mean["difference"], "+"),
            interval(pair["interval_over_seeds"]),
            interval(pair["interval_over_clips"]),
        )
        for row in pair["seeds"]:
            test = row["mcnemar"]
            seeds.add_row(
                pair["candidate"],
                str(row["seed"]),
                number(row["baseline"]),
                number(row["candidate"]),
                number(row["difference"], "+"),
                *(
                    [str(test["only_baseline"]), str(test["only_candidate"]), f"{test['p']:.3g}"]
                    if test
                    else "–––"
                ),
            )
        seeds.add_section()
    return [overall, seeds]
