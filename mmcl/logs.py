"""One way to log for all jobs: to the rule's log file and to stderr."""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmcl.errors import UserError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to(paths: Iterable[str | Path]) -> None:
    """Log to stderr and to files."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)  # every epoch is a line in the file, and a progress bar on the terminal
    handlers: list[logging.Handler] = [terminal]
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path))
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=handlers, force=True)
    logging.getLogger("mmcl").setLevel(logging.DEBUG)
    logging.captureWarnings(True)


def log_files() -> list[str]:
    """The files that this process logs to, for processes that it starts."""
    return [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]


@contextmanager
def job_log(path: str | Path) -> Iterator[None]:
    """Log a job to `path` and to stderr.

    A `UserError` ends the job with its message alone; any other exception is logged with its traceback.
    Both end the process with status 1, so that Snakemake sees a failed job.
    """
    log_to([path])
    try:
        yield
    except UserError as error:
        logging.getLogger("mmcl").error("%s", error)
        raise SystemExit(1) from None
    except Exception:
        logging.getLogger("mmcl").error("%s", traceback.format_exc())
        raise SystemExit(1) from None
