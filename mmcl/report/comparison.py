"""Tables of compared benchmarks."""

from typing import Any

from rich.table import Table

LOWER_IS_BETTER = ("ece", "nll")


def tables(result: dict[str, Any], per_class: bool = False, hard: int = 0) -> list[Table]:
    """The result of `compare` to print: one row a pair, and one row a seed of each pair.

    Args:
        result: of `compare`.
        per_class: whether a table of classes follows for every pair.
        hard: clips of either side that follow for every pair.
    """
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
    found = [overall, seeds]
    for pair in result["pairs"]:
        if per_class:
            found.append(_classes(pair))
        if hard:
            found += [_clips(pair, side, hard) for side in ("only_candidate", "only_baseline")]
    return found


def _classes(pair: dict[str, Any]) -> Table:
    title = f"{pair['candidate']} against {pair['baseline']}: top1 of each class in %, intervals one by one"
    table = Table(title=title)
    for column in ("class", "name", "clips", "baseline", "candidate", "difference", "95 % over clips"):
        table.add_column(column, justify="left" if column in ("class", "name") else "right")
    for row in pair["per_class"]:
        low, high = row["interval_over_clips"]
        table.add_row(
            row["id"],
            row["name"],
            str(row["clips"]),
            f"{row['baseline']:.2f}",
            f"{row['candidate']:.2f}",
            f"{row['difference']:+.2f}",
            f"[{low:+.2f}, {high:+.2f}]",
        )
    return table


def _clips(pair: dict[str, Any], side: str, most: int) -> Table:
    right, wrong = ("candidate", "baseline") if side == "only_candidate" else ("baseline", "candidate")
    clips = pair["hard"][side]
    table = Table(title=f"Right with {pair[right]} alone: {min(most, len(clips))} of {len(clips)} clips")
    for column in ("clip", "class", f"{pair[wrong]} takes it for", "probability of the class"):
        table.add_column(column, justify="right" if column.startswith("prob") else "left")
    for row in clips[:most]:
        named = [f"{row[key]} {row[f'{key}_name']}" for key in ("class", "taken_for")]
        table.add_row(row["name"], *named, f"{row['probability']:.3f}")
    return table
