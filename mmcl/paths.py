"""Where everything lies below the working directory: the one place that spells a path. Light to import.

Patterns with `{…}` are those of the workflow's rules; Snakemake fills the braces in as wildcards, `at` does it here.
"""

import re
from pathlib import Path

from mmcl.naming import shard_names

RAW = "results/demo/raw/{dataset}"
DRAWN = f"{RAW}/drawn.json"
INDEX = "results/index/{dataset}.tsv"
SEEN = "results/index/{dataset}.seen"
"""Content stamps of the recordings, see `mmcl.datasets.stamps`; no rule's output."""
SKELETONS = "results/skeletons/{dataset}.h5"
POSES = "results/poses/{dataset}/{shard}.h5"
CROPS = "results/crops/{dataset}/{shard}.h5"
MONTAGES = "results/montages/{dataset}/{shard}.h5"
QUESTION = "results/questions/{question}.txt"
EMBEDDINGS = "results/embeddings/{dataset}/{vlm}/{shard}.h5"
ANSWERS = "results/answers/{dataset}/{vlm}/{question}/{shard}.h5"
IMPORTED_SEEN = "results/imported/{dataset}/{vlm}/{question}.seen"
"""Content stamps of answers that were made elsewhere; no rule's output."""
RGB = "results/rgb/{dataset}/{cnn}/{shard}.h5"
CNN = "results/rgb/{dataset}/{cnn}"
CNN_WEIGHTS = f"{CNN}/weights.safetensors"
CNN_ABOUT = f"{CNN}/weights.json"
INPUT = "results/{input}/{dataset}/{shard}.h5"
"""What a co-learning term that is no part of the project needs, by the name of the input."""
RUN = "results/streams/{dataset}/{protocol}/{member}/{settings}/{run}"
"""A trained stream; `settings` are 8 hex digits of the settings' sha256, `run` is seed-<n> or seed-<n>/fit."""
BEST_SCORES = "scores_best_on_test.h5"
BEST_METRICS = "metrics_best_on_test.json"
"""Beside scores.h5 with train.evaluate_every: of the epoch that was best on the test clips; no rule's outputs."""
IKEM = "results/{benchmark}/ikem"
ENCODERS = f"{IKEM}/{{what}}/seed-{{seed}}"
PRETRAIN = f"{IKEM}/pretrain/seed-{{seed}}"
STUDENT = f"{IKEM}/student/seed-{{seed}}"
PROBE = f"{IKEM}/probe/{{what}}/seed-{{seed}}"
IKEM_RESULT = f"{IKEM}/result.json"
ENSEMBLE = "results/{benchmark}/ensemble.json"
FOLD_ENSEMBLE = "results/{benchmark}/folds/{fold}/ensemble.json"
FOLDS = "results/{benchmark}/folds.json"
FOLDS_TABLE = "results/{benchmark}/folds.csv"
ZERO_SHOT = "results/{benchmark}/zero-shot/{target}.json"
ANSWER_REPORT = "results/{benchmark}/report/answers.json"
RESULTS = "results"
LOGS = "results/logs"
REPORT = "results/{benchmark}/report"
"""Of a finished benchmark: pictures, what recognising costs, and a page with everything."""
COST = f"{REPORT}/cost.json"
PLOT = f"{REPORT}/{{part}}.png"
GALLERY = f"{REPORT}/gallery.jpg"
CROP_SHEET = f"{REPORT}/crops.jpg"
REPORT_PAGE = f"{REPORT}/{{benchmark}}-report.html"
DEMO_PICTURES = "results/demo_weights/{part}.h5"
DEMO_NETWORK = "results/demo_weights/{network}.json"

LAST = "last.pt"
"""Beside a trained model: the state after an epoch; no rule's output, as all of these."""
LAST_LOCK = "last.lock"
TRAINED = (".pt", ".safetensors")
"""Endings of the models that have one."""
PART_LOCK = "lock"
"""In the folder `part`."""

TIMES = "results/times"
"""Time and memory of jobs, by rule."""

SEED = re.compile(r"seed-\d+")


def at(pattern: str, **values: str | int) -> str:
    """A pattern with its wildcards filled in."""
    return pattern.format(**values)


def log(pattern: str, rule: str) -> str:
    """Where a rule keeps the log of a file or folder."""
    return _beside(pattern, f"results/logs/{rule}/") + ".log"


def times(pattern: str, rule: str) -> str:
    """Where a rule keeps the time and memory that a file or folder took."""
    return _beside(pattern, f"{TIMES}/{rule}/") + ".tsv"


def times_of(rule: str) -> str:
    """The folder of what `times` gives for a rule."""
    return f"{TIMES}/{rule}"


def _beside(pattern: str, folder: str) -> str:
    return re.sub(r"\.[a-z0-9]+$", "", pattern).replace("results/", folder, 1)


def in_folder(pattern: str, file: str) -> str:
    """A file in a folder."""
    return f"{pattern}/{file}"


def part(store: str | Path) -> Path:
    """The folder of what is finished of a store in progress."""
    return Path(f"{store}.part")


def shards(pattern: str, count: int, **values: str) -> list[str]:
    """All shards of a store, by a pattern with {shard}."""
    return [at(pattern, shard=shard, **values) for shard in shard_names(count)]


def protocol_folder(protocol: str) -> str:
    """A protocol's name as one folder: `name/7`, its seventh fold, is `name-7`."""
    return protocol.replace("/", "-")


def run_name(seed: int, fit: bool = False) -> str:
    """`seed-<n>`, or `seed-<n>/fit` for the run whose held-out scores fix the fusion weights."""
    return f"seed-{seed}/fit" if fit else f"seed-{seed}"


def seed_of(run: str) -> int:
    """The seed of seed-<n> or seed-<n>/fit."""
    return int(run.split("/")[0].removeprefix("seed-"))


def of_seed(run: str | Path, seed: int) -> Path:
    """The same run with another seed."""
    parts = [f"seed-{seed}" if SEED.fullmatch(part) else part for part in Path(run).parts]
    return Path(*parts)


def of_other_settings(model: Path, file: str) -> list[Path]:
    """Files of the same stream and seed that lie beside a model of `RUN`, under other settings; the latest first."""
    run = Path("fit") if model.parent.name == "fit" else Path()
    seed = model.parent.parent if run.name else model.parent
    folder = seed.parent
    if not SEED.fullmatch(seed.name) or not re.fullmatch("[0-9a-f]{8}", folder.name):
        return []
    there = folder.parent.glob(f"*/{seed.name}/{run / file}")
    found = [(_time(path), str(path)) for path in there if folder not in path.parents]
    return [Path(path) for _, path in sorted(found, reverse=True)]


def _time(path: Path) -> int:
    """When a file was changed; 0 where a job that runs beside has removed it."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def root_of(benchmark: str | Path) -> Path:
    """The working directory that a benchmark's folder lies in: the one that holds `results`."""
    folder = Path(benchmark).resolve()
    return next((parent.parent for parent in [folder, *folder.parents] if parent.name == "results"), Path())
