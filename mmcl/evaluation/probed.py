"""`ikem/result.json`: the probes of all seeds, averaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.evaluation.metrics import rounded
from mmcl.files import read_json, write_json
from mmcl.settings.jobs import IkemResult
from mmcl.versions import versions

PACKAGES = ("mmcl", "torch", "numpy", "h5py", "snakemake")


def write_result(output: Path, *, metrics: Mapping[str, Sequence[Path]], settings: IkemResult) -> None:
    """Write mean and standard deviation over the seeds of every accuracy that a probe gives.

    Args:
        output: the JSON file: benchmark, seeds, what was probed → the form of metrics.json, each accuracy {mean, sd,
            seeds [one per seed]}; sd is None with one seed.
        metrics: what was probed (random, pretrain, student) → metrics.json of all seeds, in their order.
        settings: benchmark, seeds, and what the encoders were made with.
    """
    found = {
        what: {
            "clips": read[0]["clips"],
            "train_clips": read[0]["train_clips"],
            "left_out": read[0]["left_out"],
            **{part: _over_seeds([one[part] for one in read]) for part in ("encoders", "together")},
        }
        for what, paths in metrics.items()
        for read in [[read_json(path) for path in paths]]
    }
    about = {"settings": settings.dump(), "versions": versions(*PACKAGES)}
    write_json(
        output, {"benchmark": settings.benchmark, "seeds": list(settings.seeds), "probes": found, **about}
    )


def _over_seeds(values: list[Any]) -> Any:
    """Corresponding entries of all seeds, averaged down to their numbers."""
    if isinstance(values[0], dict):
        # an epoch is no accuracy: its mean has no meaning
        return {key: _over_seeds([one[key] for one in values]) for key in values[0] if key != "epoch"}
    sd = rounded(float(np.std(values, ddof=1))) if len(values) > 1 else None
    return {"mean": rounded(float(np.mean(values))), "sd": sd, "seeds": values}
