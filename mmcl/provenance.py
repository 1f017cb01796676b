"""Results that are copied keep what Snakemake recorded of them, and lose the times of their copying.

Snakemake keeps its records, with the params that each result was made with, below `.snakemake`. Here they lie with
the results, in `results/.records`, and `.snakemake/metadata` is a link to them: a copy of `results` has the records, so
that another setting makes a result again there, too.

Snakemake also makes a result again whose input is newer. A plain copy gives every file the time at which it was copied,
in an order that means nothing, so the files of a copy get one time. What has to be made again is decided by content and
settings, see `mmcl.plan`.
"""

import logging
import os
import time
from pathlib import Path

log = logging.getLogger(__name__)

MARKER = ".times"
"""A file in `results` that holds its own modification time: a copy has another one."""
RECORDS = ".records"


def settle(results: Path, snakemake: Path) -> None:
    """Prepare results for planning: equal times for those of a copy, records beside them.

    Args:
        results: the folder of results.
        snakemake: Snakemake's own folder, `.snakemake`, beside it.
    """
    records = snakemake / "metadata"
    try:
        if records.is_symlink():
            (results / RECORDS).mkdir(
                parents=True, exist_ok=True
            )  # if the results were deleted, records and all
        if results.is_dir():
            _equalise_copied(results, records)
            if not any((snakemake / "locks").glob("*")):  # else a workflow is running and writes them
                keep_records(results, records)
    except OSError as error:  # results that can only be read are used as they are
        log.debug("%s: left as it is (%s)", results, error)


def _equalise_copied(results: Path, records: Path) -> None:
    marker = results / MARKER
    try:
        known = int(marker.read_text())
    except (OSError, ValueError):
        known = -1
    own = marker.stat().st_mtime_ns == known if known >= 0 else records.is_dir() and any(records.iterdir())
    if not own:
        now = time.time_ns()
        for folder, _, files in os.walk(results):
            for path in (Path(folder, file) for file in files):
                if not path.is_symlink():
                    os.utime(path, ns=(now, now))
    if not own or known < 0:
        now = time.time_ns() // 1000 * 1000  # as fine as common file systems keep it
        marker.write_text(str(now))
        os.utime(marker, ns=(now, now))


def keep_records(results: Path, records: Path) -> None:
    """Move Snakemake's records to the results and leave a link, unless that was done before.

    Args:
        results: the folder of results, which is made if it is not there.
        records: where Snakemake looks for them, `.snakemake/metadata`.
    """
    kept = results / RECORDS
    kept.mkdir(parents=True, exist_ok=True)
    if records.is_symlink():
        return
    if records.is_dir():
        for file in records.iterdir():
            if (kept / file.name).exists():
                file.unlink()  # the copied result has its own record
            else:
                file.rename(kept / file.name)
        records.rmdir()
    records.parent.mkdir(exist_ok=True)
    records.symlink_to(os.path.relpath(kept, records.parent), target_is_directory=True)
