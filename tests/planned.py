"""Wildcards as Snakemake gives them to the plan's functions."""

from types import SimpleNamespace

from mmcl.plan import Plan


def at(**wildcards: str) -> SimpleNamespace:
    """Wildcards by name."""
    return SimpleNamespace(**wildcards)


def stream(
    plan: Plan, benchmark: str, seed: int = 1, fit: bool = False, member: str = "ctrgcn-natural-joint"
) -> SimpleNamespace:
    """Those of a benchmark's trained stream."""
    [chosen] = [one for one in plan.config.benchmark(benchmark).members if one.name == member]
    parts = plan.folder_of(benchmark, chosen, seed, fit).split("/")
    assert parts[:2] == ["results", "streams"]
    named = dict(zip(("dataset", "protocol", "member", "settings"), parts[2:6], strict=True))
    return at(**named, run="/".join(parts[6:]))
