"""What a finished job keeps beside its result until the workflow has recorded it. Standard library only.

A training keeps `last.pt`, a store `<store>.part/` with a second name of the sealed file. If the job is called a
failure after all (its time ran out a second later, it was cancelled, the main process was killed), Snakemake deletes
the result, and the next attempt has it again in seconds. The main process removes both when a run begins and when it
ends, of the results that are recorded.
"""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from mmcl import paths
from mmcl.files import Busy, locked

log = logging.getLogger(__name__)


def discard(outputs: Iterable[str]) -> None:
    """Remove what jobs kept beside their outputs, unless another process works there.

    Args:
        outputs: files that are recorded as complete.
    """
    for output in map(Path, outputs):
        try:
            if output.suffix in paths.TRAINED:
                _discard(output.with_name(paths.LAST), output.with_name(paths.LAST_LOCK))
            part = paths.part(output)
            _discard(part, part / paths.PART_LOCK)
        except OSError as error:  # results that can only be read
            log.debug("%s: left as it is (%s)", output, error)


def _discard(kept: Path, lock: Path) -> None:
    if not kept.exists():
        return
    try:
        with locked(lock, f"{kept}: in use"):
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink()
                lock.unlink()
    except Busy as busy:
        log.debug("%s", busy)
