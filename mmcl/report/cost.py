"""What recognising one clip costs: parameters, multiplications, time."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mmcl.evaluation.finished import FinishedBenchmark, find_benchmark
from mmcl.files import write_json
from mmcl.models.describe import count_parameters, describe
from mmcl.training.trained import load_model

WARM, TIMED = 3, 15
"""Runs before the time is taken, and runs of which the median is given."""
DEVICE = "CPU, one thread"


def write_cost(output: Path, ensemble: Path) -> None:
    """Write `measure_cost` of an ensemble.json's members to a JSON file."""
    finished = find_benchmark(ensemble)
    assert finished
    write_json(output, measure_cost(finished))


def measure_cost(finished: FinishedBenchmark) -> dict[str, Any]:
    """Count and time the backbones of trained streams.

    The time is that of the network in its form for inference on one clip with all people there, on one thread of this
    machine's CPU: reading and preparing the skeleton is not in it.

    Args:
        finished: the benchmark; the models of its first seed are read.

    Returns:
        device, people, members [{name, parameters, macs, milliseconds, training_only (parameters that training had
        beside it)}] and together {parameters, macs, milliseconds}.

    Raises:
        UserError: a model cannot be read.
    """
    rows: list[dict[str, Any]] = []
    for member in finished.members:
        trained = load_model(member.run / "model.pt")
        net = trained.model.backbone
        clip = torch.randn(1, *trained.clip_shape, net.persons, generator=torch.Generator().manual_seed(0))
        run = trained.inference("fp32")
        with one_thread(), torch.inference_mode():
            milliseconds = 1000 * median_time(lambda run=run, clip=clip: run(clip))  # type: ignore[misc]
        found = describe(net, trained.clip_shape)
        beside = sum(count_parameters(term) for term in trained.model.terms.values()) + trained.cnn_parameters
        rows.append(
            {
                "name": member.name,
                "people": net.persons,
                "input": list(found.shape),
                "parameters": found.whole.parameters,
                "macs": found.whole.macs,
                "milliseconds": round(milliseconds, 2),
                "training_only": beside,
            }
        )
    keys = ("parameters", "macs", "milliseconds")
    return {
        "device": DEVICE,
        "members": rows,
        "together": {key: sum(row[key] for row in rows) for key in keys},
    }


def median_time(run: Callable[[], Any]) -> float:
    """Seconds that a call takes: the median of 15, after 3 that are not counted."""
    taken = []
    for number in range(WARM + TIMED):
        begin = time.perf_counter()
        run()
        if number >= WARM:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread in the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
