"""Times of results that were copied: made equal, so that a copy is not taken for results older than their inputs.

Snakemake makes a result again whose input is newer. A plain copy of `results/` gives every file the time at which it
was copied, in an order that means nothing. What has to be made again is decided by content and settings, see
`mmcl.plan`.
"""

import logging
import os
import time
from pathlib import Path

log = logging.getLogger(__name__)

MARKER = ".times"
"""A file in `results` that holds its own modification time: a copy has another one."""


def equalise_copied(results: Path, metadata: Path) -> None:
    """Give all files of copied results one modification time.

    Args:
        results: the folder of results.
        metadata: Snakemake's records of what it made here.
    """
    if not results.is_dir():
        return
    marker = results / MARKER
    try:
        known = int(marker.read_text())
    except (OSError, ValueError):
        known = -1
    own = marker.stat().st_mtime_ns == known if known >= 0 else metadata.is_dir() and any(metadata.iterdir())
    try:
        if not own:
            _equalise(results)
        if not own or known < 0:
            _mark(marker)
    except OSError as error:  # results that can only be read are used as they are
        log.debug("%s: times are left as they are (%s)", results, error)


def _equalise(results: Path) -> None:
    now = time.time_ns()
    for folder, _, files in os.walk(results):
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                os.utime(path, ns=(now, now))


def _mark(marker: Path) -> None:
    now = time.time_ns() // 1000 * 1000  # as fine as common file systems keep it
    marker.write_text(str(now))
    os.utime(marker, ns=(now, now))
