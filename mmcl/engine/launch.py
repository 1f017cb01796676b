"""One training in several processes, one per GPU: how they start, find each other and end together.

NCCL between GPUs, Gloo on the CPU. The processes are started by `launch`, or by torchrun.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mmcl.device import pick_device
from mmcl.engine.processes import Processes
from mmcl.errors import Damaged, UserError, memory_reported
from mmcl.files import write_json
from mmcl.logs import LESS_MEMORY, log_files, log_to
from mmcl.naming import PACKAGE

STARTER = "MMCL_STARTER"
"""Environment variable of a process that `launch` started: the folder of the rendezvous and of their errors."""
LOGS = "MMCL_LOGS"
"""Likewise: the log files of the process that called `launch`."""


@contextmanager
def joined() -> Iterator[Processes]:
    """The group of processes that `launch` or torchrun started, of which this is one; alone without them.

    An exception in the block ends the process with status 1: a `UserError` with its message alone.

    Raises:
        UserError: fewer GPUs than processes.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    starter = os.environ.get(STARTER)
    log_to(filter(None, os.environ.get(LOGS, "").split(os.pathsep)))
    if rank:
        logging.getLogger("mmcl").setLevel(logging.WARNING)  # the first process logs for all
    if starter:
        threading.Thread(target=_end_with_starter, args=(Path(starter),), daemon=True).start()
    try:
        device = pick_device()
        if world > 1:
            device = _join(device, rank, world, starter)
        with memory_reported(LESS_MEMORY):
            yield Processes(rank, world, device)
        if world > 1:
            dist.destroy_process_group()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        known = isinstance(error, UserError)
        text = str(error) if known else traceback.format_exc()
        if starter:
            damaged = str(error.path) if isinstance(error, Damaged) else None
            failed = {"known": known, "text": text, "damaged": damaged}
            write_json(Path(starter, f"failed-{rank}.json"), failed)
        else:
            logging.getLogger("mmcl").error("%s", text)
        raise SystemExit(1) from None


def _join(device: torch.device, rank: int, world: int, starter: str | None) -> torch.device:
    backend, where = "gloo", f"file://{starter}/meeting" if starter else "env://"
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        backend, device = "nccl", torch.device("cuda", local)
        _enough_gpus(local + 1)
        torch.cuda.set_device(device)
    own = device if backend == "nccl" else None
    dist.init_process_group(backend, where, rank=rank, world_size=world, device_id=own)
    return device


def _enough_gpus(wanted: int) -> None:
    there = torch.cuda.device_count()
    if there < wanted:
        raise UserError(
            f"gpus: {wanted} wanted, this job sees {there}; lower the benchmark's `gpus`, or have the job given"
            " more (on a cluster by `gpu` of train_stream in the profile)"
        )


def _end_with_starter(folder: Path) -> None:
    """End this process when the one that started it has ended, which could then not delete its folder."""
    os.read(0, 1)  # nothing is written there; it returns when the other end is closed
    with suppress(OSError):  # a process beside this one does the same
        for file in (folder / "job.json", folder / "meeting", *folder.glob("failed-*.json")):
            file.unlink(missing_ok=True)
        folder.rmdir()
    os._exit(1)


def launch(module: str, job: dict[str, Any], count: int) -> None:
    """Run `python -m MODULE JOB.json` in `count` processes that find each other by `joined`.

    Args:
        module: what to run.
        job: its arguments, as JSON.
        count: processes on this machine; on GPUs as many are needed.

    Raises:
        UserError: too few GPUs; the UserError that ended one of the processes, after all have been stopped; one was
            killed.
        RuntimeError: an unexpected error of one of them, with its traceback.
    """
    if pick_device().type == "cuda":
        _enough_gpus(count)
    with tempfile.TemporaryDirectory(prefix="mmcl-") as folder:
        write_json(Path(folder, "job.json"), job)
        common = {
            "WORLD_SIZE": str(count),
            STARTER: folder,
            LOGS: os.pathsep.join(log_files()),
            "PYTHONPATH": os.pathsep.join(
                [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        command = [sys.executable, "-m", module, str(Path(folder, "job.json"))]
        started: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(count):
                environment = os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                started.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))
            while not _all_done(started, Path(folder)):
                time.sleep(0.1)
        finally:
            for process in started:
                process.kill()  # what they keep on disk is written in one step
            for process in started:
                process.wait()
                if process.stdin:
                    process.stdin.close()


def _all_done(started: list[subprocess.Popen[bytes]], folder: Path) -> bool:
    """Whether all processes have ended with status 0; raises the error that ended the first that did not."""
    codes = [process.poll() for process in started]
    failed = sorted(folder.glob("failed-*.json"), key=lambda path: path.stat().st_mtime_ns)
    errors = [json.loads(path.read_text(encoding="utf-8")) for path in failed]
    # errors of the other processes about a lost connection come after the cause
    for error in errors:
        if error.get("damaged"):
            raise Damaged(error["text"], error["damaged"])
        if error["known"]:
            raise UserError(error["text"])
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            raise UserError(f"training process {rank} of {len(codes)} was killed ({name}); out of memory?")
    if errors:
        raise RuntimeError(f"a training process failed:\n{errors[0]['text']}")
    for rank, code in enumerate(codes):
        if code:
            raise UserError(f"training process {rank} of {len(codes)} ended with status {code}")
    return all(code == 0 for code in codes)
