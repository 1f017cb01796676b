"""What is said at the end of a run: where everything lies, or what failed and how to go on."""

import json
import shlex
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mmcl import paths
from mmcl.progress import duration
from mmcl.watch.jobs import Failed, Jobs

TARGETS = 10
FAILURES = 3
LINES = 8
"""That are shown of a failed job's log."""


def finished(jobs: Jobs, targets: Iterable[str], benchmarks: Collection[str]) -> str:
    """Where the results of a run lie.

    Args:
        jobs: of the run.
        targets: files that were asked for.
        benchmarks: names of the configuration's.
    """
    files = sorted(set(map(str, targets)))
    lines = [f"{jobs.done} jobs finished in {duration(_spent(jobs))}. Results:"]
    lines += [f"  {file}{_accuracy(file)}" for file in files[:TARGETS]]
    if len(files) > TARGETS:
        lines.append(f"  … and {len(files) - TARGETS} more")
    folders = list(dict.fromkeys(name for file in files if (name := _benchmark(file, benchmarks))))
    for name in folders:
        if Path(paths.at(paths.ENSEMBLE, benchmark=name)).is_file():
            lines.append(f"Report: mmcl report {name}")
    pictures = [paths.at(paths.REPORT, benchmark=name) for name in folders]
    if there := [folder for folder in pictures if any(Path(folder).glob("*.png"))]:
        lines.append(f"Pictures: {', '.join(there)}")
    lines.append(f"Logs: {paths.LOGS}")
    return "\n".join(lines)


def failed(jobs: Jobs, arguments: Sequence[str]) -> str:
    """What failed in a run, with the last lines of its log, and how to go on.

    Args:
        jobs: of the run.
        arguments: of the command `snakemake`.
    """
    wrong = list(jobs.failed.values())
    count = f"{len(wrong)} job{'s' if len(wrong) > 1 else ''} failed" if wrong else "stopped"
    lines = [f"{count} after {duration(_spent(jobs))}; {jobs.done} of {jobs.total} jobs are done."]
    for one in wrong[:FAILURES]:
        lines += _of_job(one)
    if len(wrong) > FAILURES:
        others = (path for one in wrong[FAILURES:] for path in one.logs[:1] or [one.rule])
        lines.append(f"and {len(wrong) - FAILURES} more: {', '.join(others)}")
    command = shlex.join(["snakemake", *arguments])
    lines += [
        "",
        f"{'When that is mended, the' if wrong else 'The'} same command goes on where it stopped: {command}",
    ]
    return "\n".join(lines)


def _spent(jobs: Jobs) -> float:
    return time.time() - jobs.begun_at


def _of_job(job: Failed) -> list[str]:
    lines = [
        "",
        f"{job.rule}, for {job.output[0] if job.output else 'nothing'}{', …' if job.output[1:] else ''}:",
    ]
    for path in job.logs:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
        except OSError:
            lines.append(f"  {path}: no log was written")
            continue
        if text:
            lines += [
                f"  {path}{' ends with' if len(text) > LINES else ''}",
                *(f"  | {line}" for line in text[-LINES:]),
            ]
        else:
            lines.append(f"  {path}: empty")
    return lines


def _accuracy(file: str) -> str:
    """What an ensemble.json or folds.json says in short; "" for other files."""
    if (name := Path(file).name) not in (Path(paths.ENSEMBLE).name, Path(paths.FOLDS).name):
        return ""
    try:
        result = json.loads(Path(file).read_bytes())
        if name == Path(paths.ENSEMBLE).name:
            return f" (top-1 {result['top1']:.2f} % of {result['clips']} test clips)"
        low, high = result["interval"]["top1"]
        mean = f"top-1 {result['mean']['top1']:.2f} %, 95 % interval [{low:.2f}, {high:.2f}]"
        return f" ({mean}, over {len(result['folds'])} folds)"
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _benchmark(file: str, benchmarks: Collection[str]) -> str | None:
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 and parts[0] == "results" and parts[1] in benchmarks else None
