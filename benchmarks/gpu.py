"""What the package does on a GPU, each row against the reference way in the same run: one command, eight minutes.

Needs Python 3.11 or newer, torch, numpy, h5py, pydantic and this repository, which need not be installed; the rows
`blip` and `fam` need transformers and torchvision, too. Each row is measured in a process of its own with a limit of
time: one that fails says why, and the others go on. What has been measured is written after every row.

    python benchmarks/gpu.py                      # all rows, the most important first
    python benchmarks/gpu.py --only ucla --only ikem
    python benchmarks/gpu.py --tiny               # tries every row on the CPU; its figures mean nothing
    python benchmarks/gpu.py --list

Written to the folder `--out`: `gpu.json`, `gpu.md` with the table and the kernels of the row that is farthest from
its goal, and what each row printed.
"""

import argparse
import functools
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpu_rows import ROWS, Row

SECONDS = 480.0
TINY_LIMIT = 60.0
LEAST = 8.0
"""Seconds, without which no row is begun."""


def main(arguments: list[str] | None = None) -> int:
    """Measure; returns the exit status, which is 1 if a row failed."""
    options = _options(arguments)
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:<17} {row.about}{f'; goal {row.goal}×' if row.goal else ''}")
        return 0
    began = time.monotonic()
    from gpu_rows.measurement import about_machine

    about = about_machine()
    if "gpu" not in about and not options.tiny:
        print("gpu: no NVIDIA GPU here, nothing measured (`--tiny` tries the rows on the CPU)")
        return 0
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    _prepare(out)
    print(f"gpu: {', '.join(f'{key} {value}' for key, value in about.items())}", flush=True)
    found: dict[str, dict[str, Any]] = {}
    for name in options.only or ROWS:
        left = options.seconds - (time.monotonic() - began)
        limit = min(TINY_LIMIT if options.tiny else ROWS[name].limit, left)
        start = time.monotonic()
        found[name] = (
            _measured(name, limit, out, options.tiny) if limit > LEAST else {"skipped": "no time left"}
        )
        found[name]["seconds"] = round(time.monotonic() - start, 1)
        found[name] = {"about": ROWS[name].about, **found[name], **_judged(ROWS[name], found[name])}
        print(_line(name, found[name]), flush=True)
        _write(out, about, found, options.tiny)
    print(f"\n{_markdown(about, found, options.tiny)}\nwritten: {out / 'gpu.json'}, {out / 'gpu.md'}")
    return int(any("failed" in row for row in found.values()))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--only", action="append", choices=[*ROWS], help="a row; may be given several times")
    parser.add_argument("--tiny", action="store_true", help="try the rows on the CPU, with tiny sizes")
    parser.add_argument("--list", action="store_true", help="say which rows there are")
    folder = os.environ.get("OUT") or "results/benchmarks"
    parser.add_argument("--out", default=folder, help=f"folder for what is written (here: {folder})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"for all rows together (default: {SECONDS:.0f})"
    )
    return parser.parse_args(arguments)


def _prepare(out: Path) -> None:
    """What the processes of the rows share. Nothing here may touch the GPU, or they could not."""
    # torch asks the driver's library instead of starting CUDA, which a forked process could not use any more
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # kernels are compiled anew in each run, so that the time until the first step is what a user sees
    if "TRITON_CACHE_DIR" not in os.environ:
        os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp(prefix="triton-", dir=out)
    importlib.import_module("gpu_rows.training")  # with torch and most of the package


def _measured(name: str, limit: float, out: Path, tiny: bool) -> dict[str, Any]:
    """The findings of a row, of its process."""
    from gpu_rows.isolated import guarded, isolated
    from gpu_rows.measurement import Measurement

    file, log = out / f"gpu-{name}.json", out / f"gpu-{name}.log"
    file.unlink(missing_ok=True)
    measurement = Measurement(file, tiny, time.monotonic() + limit)
    work = functools.partial(_run, guarded, name, measurement)
    why = isolated(work, limit, log)
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.unlink(missing_ok=True)
    if why and not found.get("done"):
        found["failed"] = why
    if "failed" in found:
        found["output"] = log.read_text(errors="replace")[-2000:]
    return found


def _run(guarded: Any, name: str, measurement: Any) -> None:
    row = ROWS[name]

    def measure(*given: Any, **named: Any) -> None:
        module, _, function = row.function.partition(":")
        getattr(importlib.import_module(f"gpu_rows.{module}"), function)(*given, **named)

    guarded(measure, measurement, row.arguments)


def _judged(row: Row, found: dict[str, Any]) -> dict[str, Any]:
    """What the findings come to."""
    judged: dict[str, Any] = {"goal": row.goal}
    if found.get("reference") and found.get("ours"):
        judged["ratio"] = found["ours"] / found["reference"]
        judged["reached"] = judged["ratio"] >= row.goal if row.goal else None
    return judged


def _line(name: str, row: dict[str, Any]) -> str:
    """A row as it is printed when it is done."""
    parts = [f"{name:<17}"]
    for key in ("skipped", "failed"):
        if key in row:
            parts.append(f"{key}: {row[key]}")
    if "reference" in row:
        ours = f"{row['ours']:,.0f}" if "ours" in row else "–"
        parts.append(f"{row['reference']:,.0f} → {ours} {row.get('unit', '')}")
    if "ratio" in row:
        parts.append(f"{row['ratio']:.2f}× (goal {row['goal'] or '–'})")
    if row.get("ours_memory") is not None:
        parts.append(f"{row['reference_memory']:.1f} → {row['ours_memory']:.1f} GB")
    if "first_step" in row:
        parts.append(f"first step {row['first_step']:.1f} s")
    parts.append(f"[{row['seconds']} s]")
    lines = ["   ".join(parts)]
    lines += [f"    {note}" for note in row.get("notes", [])]
    return "\n".join(lines)


def _write(out: Path, about: dict[str, str], found: dict[str, dict[str, Any]], tiny: bool) -> None:
    content = {"about": about, "tiny": tiny, "rows": found}
    (out / "gpu.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    (out / "gpu.md").write_text(_markdown(about, found, tiny), encoding="utf-8")


def _markdown(about: dict[str, str], found: dict[str, dict[str, Any]], tiny: bool) -> str:
    """The table, what was noted, and the kernels of the row that is farthest from its goal."""
    lines = [", ".join(f"{key} {value}" for key, value in about.items()), ""]
    if tiny:
        lines += ["Tiny sizes on a CPU: no figure here means anything.", ""]
    lines += [
        "| row | reference | ours | unit | ratio | goal | reached | memory, GB | first step, s | logits differ by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        why = row.get("skipped") or row.get("failed")
        cells = [
            _number(row.get("reference")),
            _number(row.get("ours")),
            row.get("unit", ""),
            f"{row['ratio']:.2f}×" if "ratio" in row else "",
            f"{row['goal']:g}×" if row["goal"] else "",
            {True: "yes", False: "no"}.get(row.get("reached"), ""),
            _memory(row),
            _number(row.get("first_step"), 1),
            f"{100 * row['difference']:.2g} %" if "difference" in row else "",
        ]
        lines.append(f"| {name}{f' ({why})' if why else ''} | {' | '.join(cells)} |")
    lines.append("")
    for name, row in found.items():
        kernels = [f"kernel {kernel}: {forms}" for kernel, forms in row.get("kernels", {}).items()]
        if said := [*row.get("lines", []), *kernels, *row.get("notes", [])]:
            lines += [f"{name}: {row['about']}", *(f"- {one}" for one in said), ""]
    slowest = _slowest(found)
    if slowest:
        lines += [f"Kernels of {slowest}, the row farthest from its goal:", "", found[slowest]["profile"], ""]
    return "\n".join(lines)


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return ""
    return f"{value:,.{max(digits, 1 if value < 100 else 0)}f}"


def _memory(row: dict[str, Any]) -> str:
    if row.get("ours_memory") is None or row.get("reference_memory") is None:
        return ""
    ratio = row["ours_memory"] / row["reference_memory"]
    return f"{row['reference_memory']:.1f} → {row['ours_memory']:.1f} ({ratio:.2f}×)"


def _slowest(found: dict[str, dict[str, Any]]) -> str | None:
    """The measured row that has the smallest part of its goal."""
    parts = {
        name: row["ratio"] / row["goal"]
        for name, row in found.items()
        if row["goal"] and "ratio" in row and "profile" in row
    }
    return min(parts, key=lambda name: parts[name]) if parts else None


if __name__ == "__main__":
    sys.exit(main())
