"""The configuration: its data folders and weights, and the cluster that its profile names."""

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl.doctor.finding import Finding, fail, ok, warn
from mmcl.errors import UserError
from mmcl.versions import installed

if TYPE_CHECKING:
    from mmcl.config import Config
    from mmcl.settings.dataset import DatasetSettings

PATIENCE = 4.0
"""Seconds for the clips of all data sets to be listed, which a network file system may take minutes for."""
PROFILE = Path("workflow/profiles/slurm")
HASHED = 300_000_000
"""Bytes of a file whose digest is compared here."""


def configuration(given: Sequence[Path]) -> Iterator[Finding]:
    """The configuration, and what it names."""
    from mmcl.config import config_files, load

    try:
        files = config_files(given)
        config = load(*files)
    except UserError as error:
        yield fail("configuration", str(error), "correct the key that it names")
        return
    counts = f"{len(config.datasets)} data sets, {len(config.benchmarks)} benchmarks"
    yield ok("configuration", f"{', '.join(map(str, files))}: {counts}")
    there = {name for name, one in config.datasets.items() if one.drawn or one.skeletons or one.videos}
    yield from _datasets(config, there)
    yield from _weights(config, there)


def _datasets(config: "Config", given: set[str]) -> Iterator[Finding]:
    counted = _together({name: _counting(config.datasets[name]) for name in config.datasets if name in given})
    for name, settings in config.datasets.items():
        key = f"data {name}"
        if settings.drawn:
            yield ok(key, "drawn by the project itself")
        elif name not in given:
            yield ok(key, f"no folder is given (datasets.{name}.skeletons): its benchmarks cannot run")
        elif (found := counted.get(name)) is None:
            yield ok(key, f"{_places(settings)}; listing its clips takes longer than {PATIENCE:.0f} s")
        elif isinstance(found, int):
            yield ok(key, f"{found:,} clips in {_places(settings)}")
        else:
            yield fail(key, found, f"correct datasets.{name}, or unpack the data there (docs/datasets.md)")


def _places(settings: "DatasetSettings") -> str:
    folders = [str(folder) for folder in (settings.skeletons, settings.videos) if folder]
    return ", ".join(dict.fromkeys(folders))


def _counting(settings: "DatasetSettings") -> Callable[[], int | str]:
    def count() -> int | str:
        from mmcl.datasets import open_reader
        from mmcl.datasets.listing import list_clips
        from mmcl.settings.base import narrowed
        from mmcl.settings.dataset import ReaderSettings

        try:
            if settings.drawn:
                return 0
            reader = narrowed(ReaderSettings, settings)
            return len(list_clips(open_reader(reader, settings.skeletons, settings.videos)))
        except (UserError, OSError) as error:
            return str(error)

    return count


def _together(work: dict[str, Callable[[], int | str]]) -> dict[str, int | str]:
    """What functions give within PATIENCE seconds, each in a thread that does not keep the process."""
    found: dict[str, int | str] = {}

    def run(name: str) -> None:
        found[name] = work[name]()

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in work]
    for thread in threads:
        thread.start()
    end = threading.Event()
    timer = threading.Timer(PATIENCE, end.set)
    timer.daemon = True
    timer.start()
    for thread in threads:
        while thread.is_alive() and not end.is_set():
            thread.join(0.05)
    timer.cancel()
    return dict(found)


def _weights(config: "Config", given: set[str]) -> Iterator[Finding]:
    used = _named_weights(config)
    for weights, (digest, users) in used.items():
        needed = sorted(user for user in users if config.benchmarks[user].dataset in given)
        yield _of_weights(weights, digest, needed)


def _named_weights(config: "Config") -> dict[str, tuple[str | None, set[str]]]:
    """Weights that benchmarks need → the sha256 that is stated, and these benchmarks."""
    used: dict[str, tuple[str | None, set[str]]] = {}

    def add(weights: str | None, digest: str | None, benchmark: str) -> None:
        if weights:
            used.setdefault(weights, (digest, set()))[1].add(benchmark)

    for name, benchmark in config.benchmarks.items():
        dataset, model = config.datasets[benchmark.dataset], benchmark.model
        if dataset.poses:
            add(dataset.poses.weights, dataset.poses.sha256, name)
        if model.fam.enabled or model.frm.enabled:
            if dataset.video.boxes == "detector":
                add(dataset.video.detector.weights, dataset.video.detector.sha256, name)
            if model.fam.enabled:
                add(model.fam.cnn.weights, model.fam.cnn.sha256, name)
            if model.frm.enabled:
                add(benchmark.vlm.weights, benchmark.vlm.sha256, name)
    return used


def _of_weights(weights: str, digest: str | None, needed: list[str]) -> Finding:
    from mmcl.naming import find, sha256

    key, path = "weights", find(weights)
    entry = _published(weights)
    if not path.exists():
        fetch = f"mmcl fetch {entry[0]}" if entry else "put them there (docs/weights.md)"
        if needed:
            return fail(key, f"{weights} is not there, {', '.join(needed[:3])} need it", fetch)
        return ok(key, f"{weights} is not there; no data set that is given needs it ({fetch})")
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if digest and size < HASHED:
        if (found := sha256(path)) != digest:
            return fail(
                key,
                f"{weights} has sha256 {found[:8]}…, the configuration states {digest[:8]}…",
                "mmcl fetch",
            )
        return ok(key, f"{weights}, with the sha256 that the configuration states")
    if entry and path.is_file():
        expected = list(entry[1].files.values())[-1]
        if expected.size and size != expected.size:
            return fail(
                key,
                f"{weights} has {size:,} bytes, the published file {expected.size:,}",
                f"delete it, then mmcl fetch {entry[0]}",
            )
        if expected.sha256 and size < HASHED:
            if not (found := sha256(path)).startswith(expected.sha256):
                return warn(
                    key,
                    f"{weights} is another file than the published one (sha256 {found[:8]}…)",
                    "mmcl fetch",
                )
            return ok(key, f"{weights}, as published")
        return ok(key, f"{weights}, of the published size; mmcl fetch {entry[0]} --check compares its sha256")
    return ok(key, f"{weights} is there; no published sha256 is known to compare with")


def _published(weights: str) -> tuple[str, Any] | None:
    from mmcl.fetch.published import find

    try:
        return find(Path(weights).name)
    except UserError:
        return None


def cluster() -> Iterator[Finding]:
    """Slurm's commands, and whether its partitions are those of the profile."""
    if not shutil.which("sbatch"):
        yield ok("Slurm", "no sbatch here: jobs run on this machine")
        return
    missing = [name for name in ("squeue", "scancel", "sinfo") if not shutil.which(name)]
    if missing:
        yield warn(
            "Slurm", f"sbatch is here, {', '.join(missing)} not", "add the folder of Slurm's commands to PATH"
        )
        return
    plugin = installed("snakemake-executor-plugin-slurm")
    if not plugin:
        yield warn("Slurm", "Snakemake's plug-in is not installed", "pip install 'mmcl[slurm]'")
        return
    try:
        done = subprocess.run(["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        yield fail(
            "Slurm", "sinfo gives no answer within 5 s", "ask the administrator: the controller is down"
        )
        return
    if done.returncode:
        said = (done.stderr.strip() or "sinfo fails").splitlines()[0]
        yield warn("Slurm", said, "no job can be submitted here; ask the administrator")
        return
    there = sorted(set(done.stdout.split()))
    yield ok("Slurm", f"plug-in {plugin}; partitions {', '.join(there)}")
    named = {
        name
        for file in PROFILE.glob("*.yaml")
        for name in re.findall(
            r"^[^#\n]*slurm_partition:\s*([\w.-]+)", file.read_text(encoding="utf-8"), re.M
        )
    }
    if unknown := sorted(named - set(there)):
        detail = f"{PROFILE} names the partitions {', '.join(unknown)}, which are not here"
        yield warn("profile", detail, "edit it before the first `snakemake --workflow-profile`")
