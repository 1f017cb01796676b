"""All checks, one after the other; the slow ones at the same time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mmcl.doctor import devices, environment, project, storage
from mmcl.doctor.finding import FAIL, OK, WARN, Check, Finding, fail

REPORT = "report it with this line"


def sections(config: Sequence[Path] = ()) -> dict[str, tuple[Check, ...]]:
    """Headings and their checks."""
    return {
        "Environment": (
            environment.python,
            environment.packages,
            environment.snakemake,
            environment.variables,
            environment.caches,
        ),
        "Computing": (devices.devices, devices.video),
        "Machine": (storage.machine, storage.results),
        "Project": (partial(project.configuration, config), project.cluster),
    }


def diagnose(config: Sequence[Path] = ()) -> dict[str, list[Finding]]:
    """Heading → what its checks found. No check raises: one that fails is a finding."""
    checks = sections(config)
    with ThreadPoolExecutor(max_workers=8) as pool:
        running = {name: [pool.submit(_findings, check) for check in group] for name, group in checks.items()}
        return {name: [found for one in group for found in one.result()] for name, group in running.items()}


def _findings(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except Exception as error:  # the environment may be broken in any way
        name = getattr(check, "func", check)
        text = (str(error) or type(error).__name__).splitlines()[0]
        remedy = REPORT
        if isinstance(error, ImportError):
            remedy = f"pip install --force-reinstall {(error.name or 'the package').split('.')[0]}"
        found.append(fail(getattr(name, "__name__", "check"), f"{type(error).__name__}: {text}", remedy))
    return found


def as_json(found: dict[str, list[Finding]]) -> dict[str, Any]:
    """ok, counts {ok, warn, fail}, checks [{section, name, state, detail, remedy}]."""
    checks = [
        {
            "section": section,
            "name": one.name,
            "state": one.state,
            "detail": one.detail,
            "remedy": one.remedy,
        }
        for section, group in found.items()
        for one in group
    ]
    states = [one["state"] for one in checks]
    return {
        "ok": FAIL not in states,
        "counts": {state: states.count(state) for state in (OK, WARN, FAIL)},
        "checks": checks,
    }
