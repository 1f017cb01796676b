"""What Snakemake's `benchmark` leaves of a job. Standard library only."""

from pathlib import Path


def seconds_of(file: Path) -> float:
    """How long a job took.

    Raises:
        OSError, LookupError, ValueError: the file is not there, or no such file.
    """
    return float(file.read_text().splitlines()[1].split("\t")[0])
