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
import atexit
import functools
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpu_rows import ROWS, Row

SECONDS = 470.0
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
    _prepare()
    from gpu_rows.measurement import about_machine, gpu_there

    about = about_machine()
    if not options.tiny and not gpu_there():
        print("gpu: no NVIDIA GPU here, nothing measured (`--tiny` tries the rows on the CPU)")
        return 0
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    method = "fork"
    if not options.tiny:
        method, why = _method(out, about)
        if why:
            print(f"gpu: {why}")
            return 1
    print(f"gpu: {', '.join(f'{key} {value}' for key, value in about.items())}", flush=True)
    found: dict[str, dict[str, Any]] = {}
    for name in options.only or ROWS:
        left = options.seconds - (time.monotonic() - began)
        limit = min(TINY_LIMIT if options.tiny else ROWS[name].limit, left)
        start = time.monotonic()
        found[name] = (
            _measured(name, limit, out, options.tiny, method)
            if limit > LEAST
            else {"skipped": "no time left"}
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


def _prepare() -> None:
    """What the processes of the rows share. Nothing here may touch the GPU, or they could not."""
    # torch asks the driver's library instead of starting CUDA, which a forked process could not use any more
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # kernels are compiled anew in each run, so that the time until the first step is what a user sees
    if "TRITON_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="triton-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["TRITON_CACHE_DIR"] = folder
    # a profiler that ends takes down what the CUDA graphs of its process need, as torch itself knows of its own graphs
    os.environ |= {"DISABLE_CUPTI_LAZY_REINIT": "1", "TEARDOWN_CUPTI": "0"}
    # most of the package; and what torch imports only with the first optimizer and profile, which takes seconds
    for module in ("gpu_rows.training", "torch._dynamo", "torch.profiler"):
        importlib.import_module(module)


def _measured(name: str, limit: float, out: Path, tiny: bool, method: str) -> dict[str, Any]:
    """The findings of a row, of its process."""
    from gpu_rows.isolated import isolated

    file, log = out / f"gpu-{name}.json", out / f"gpu-{name}.log"
    file.unlink(missing_ok=True)
    why = isolated(functools.partial(_run, name, file, tiny, limit), limit, log, method)
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.unlink(missing_ok=True)
    if why and not found.get("done"):
        found["failed"] = why
    if "failed" in found:
        found["output"] = log.read_text(errors="replace")[-2000:]
    return found


def _run(name: str, file: Path, tiny: bool, limit: float) -> None:
    """Measure a row in this process."""
    from gpu_rows.isolated import guarded
    from gpu_rows.measurement import Measurement

    guarded(ROWS[name], Measurement(file, tiny, time.monotonic() + limit))


def _method(out: Path, about: dict[str, str]) -> tuple[str, str]:
    """How processes are begun that can use the GPU, and why none can. What torch says of the GPU goes to `about`."""
    from gpu_rows.isolated import isolated

    file, why = out / "gpu-device.json", ""
    for method in ("fork", "spawn"):
        why = isolated(functools.partial(_look, file), 90, out / "gpu-device.log", method)
        if file.exists():
            about |= json.loads(file.read_text(encoding="utf-8")) | about
            file.unlink()
            return method, ""
    return "", f"torch cannot use the GPU ({why}):\n{(out / 'gpu-device.log').read_text()[-1500:]}"


def _look(file: Path) -> None:
    import torch

    torch.ones(1, device="cuda").sum().item()
    properties = torch.cuda.get_device_properties(0)
    found = {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory": f"{properties.total_memory / 1e9:.0f} GB",
        "processors": str(properties.multi_processor_count),
        "cudnn": str(torch.backends.cudnn.version()),
    }
    file.write_text(json.dumps(found), encoding="utf-8")


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
    columns = ("row", "reference", "ours", "unit", "ms a call", "ratio", "goal", "reached", "memory, GB")
    columns = (*columns, "first step (warm-up), s", "logits differ by (plain form in this precision)")
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, row in found.items():
        why = row.get("skipped") or row.get("failed")
        cells = [
            _number(row.get("reference")),
            _number(row.get("ours")),
            row.get("unit", ""),
            f"{row['reference_ms']:.1f} → {row['ours_ms']:.1f}" if "ours_ms" in row else "",
            f"{row['ratio']:.2f}×" if "ratio" in row else "",
            f"{row['goal']:g}×" if row["goal"] else "",
            {True: "yes", False: "no"}.get(row.get("reached"), ""),
            _memory(row),
            f"{row['first_step']:.1f} ({row['warm_up']:.1f})" if "first_step" in row else "",
            _differences(row),
        ]
        lines.append(f"| {name}{f' ({why})' if why else ''} | {' | '.join(cells)} |")
    lines.append("")
    for name, row in found.items():
        kernels = [f"kernel {kernel}: {forms}" for kernel, forms in row.get("kernels", {}).items()]
        if said := [*row.get("lines", []), *kernels, *row.get("notes", [])]:
            lines += [f"{name}: {row['about']}", *(f"- {one}" for one in said), ""]
    slowest = _slowest(found)
    if slowest:
        row = found[slowest]
        took = f", of which a call took {row['ours_ms']:.3f} ms" if "ours_ms" in row else ""
        lines += [f"Kernels of {slowest}, the row farthest from its goal{took}:", "", row["profile"], ""]
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


def _differences(row: dict[str, Any]) -> str:
    if "difference" not in row:
        return ""
    return f"{100 * row['difference']:.2g} % ({100 * row['difference_of_plain']:.2g} %)"


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
