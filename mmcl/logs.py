"""One way to log for all jobs: to the rule's log file and to stderr."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmcl.errors import Damaged, UserError, memory_reported
from mmcl.start import escape_output

LESS_MEMORY = "lower `batch` of this step's section in config.yaml"
ERASE = "\r\x1b[K"
"""To the beginning of a terminal's line, and without what is there."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to(paths: Iterable[str | Path]) -> None:
    """Log to stderr and to files."""
    escape_output()
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)  # every epoch is a line in the file
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        # a run of the workflow has a line on the terminal, which the message takes the place of
        terminal.setFormatter(logging.Formatter(f"{ERASE}{FORMAT}"))
    handlers: list[logging.Handler] = [terminal]
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # names of files may hold bytes that are no UTF-8
        handlers.append(_LogFile(path, encoding="utf-8", errors="backslashreplace"))
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
    Both end the process with status 1, so that Snakemake sees a failed job. A damaged file is renamed, so that
    Snakemake makes it again.
    """
    log_to([path])
    try:
        with memory_reported(LESS_MEMORY):
            yield
    except Damaged as error:
        logging.getLogger("mmcl").error("%s; %s", error, _set_aside(error.path))
        raise SystemExit(1) from None
    except UserError as error:
        logging.getLogger("mmcl").error("%s", error)
        raise SystemExit(1) from None
    except Exception as error:
        text = traceback.format_exc()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"{error.filename or 'a file'}: disk full; free space and run again"
        logging.getLogger("mmcl").error("%s", text)
        raise SystemExit(1) from None


class _LogFile(logging.FileHandler):
    """A log file whose lines are lost where they cannot be written; they stand on stderr too."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _set_aside(path: Path) -> str:
    """Rename a damaged file; what has become of it. An older one of this name is replaced."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(aside)
    except FileNotFoundError:
        pass  # another job has found it too
    except OSError as error:
        return f"it cannot be renamed ({error.strerror}): delete it, and run the same command again to make it anew"
    return f"renamed to {aside.name}: run the same command again to make it anew"
