"""Labels that lie in the skeleton files themselves, beside the joints."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmcl.guess.finding import Finding
from mmcl.guess.labels import Told

KEYS = ("label", "subject", "camera", "split")
RATES = ("fps", "frame_rate", "framerate")


def read_inside(folder: Path, clips: Sequence[str]) -> Told:
    """Single texts or numbers of these keys in JSON objects and npz archives; nothing for other files."""
    told = Told()
    if not _stated(folder / clips[0]):
        return told
    stated = [_stated(folder / path) for path in clips]
    for key in KEYS:
        values = [one.get(key, "") for one in stated]
        if any(values):
            distinct = sorted({*values} - {""})
            some = ", ".join(distinct[:4]) + (", …" if len(distinct) > 4 else "")
            told.columns[key] = values
            told.findings.append(Finding(key, f"{len(distinct)} ({some})", f"`{key}` in the files"))
    rates = sorted({one[key] for one in stated for key in RATES if key in one})
    if rates:
        told.findings.append(
            Finding("frame rate", ", ".join(rates[:4]), "in the files; nothing here needs it")
        )
    return told


def _stated(path: Path) -> dict[str, str]:
    try:
        found = {}
        if path.suffix.lower() == ".json":
            data = json.loads(path.read_bytes())
            found = data if isinstance(data, dict) else {}
        elif path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                found = {
                    key: archive[key].item()
                    for key in (*KEYS, *RATES)
                    if key in archive and archive[key].size == 1
                }
    except (OSError, ValueError):
        return {}
    return {key: str(found[key]) for key in (*KEYS, *RATES) if isinstance(found.get(key), str | int | float)}
