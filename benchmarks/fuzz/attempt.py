"""One input tried in a process of its own, with limits on memory and time, and what came of it."""

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fuzz.kinds import Kind
from mmcl.errors import UserError

FORK = multiprocessing.get_context(
    "fork"
)  # everything is imported by then: a try takes a hundredth of a second


class Outcome(NamedTuple):
    """What came of an input.

    Attributes:
        what: `refused` with a sentence, `same` result as the unchanged input's, `other` result, `crashed`, or
            `unchanged` if the mutation did nothing or could not be made.
        detail: of a refusal its sentence; of a crash its kind and where.
        result: digest of what was made.
    """

    what: str
    detail: str = ""
    result: str = ""


class Limits(NamedTuple):
    """Of a try: bytes beyond those that this process has, and seconds."""

    memory: int
    seconds: float


def attempt(
    kind: Kind, example: Path, seed: tuple[int, ...] | None, expected: str, limits: Limits
) -> Outcome:
    """Try an input.

    Args:
        kind: of the input.
        example: its folder, which is copied.
        seed: of the mutation; None tries the example as it is.
        expected: result of the example.
        limits: of the process.
    """
    with tempfile.TemporaryDirectory(prefix="robustness-", dir=example.parent) as work:
        folder = Path(work, "input")
        shutil.copytree(
            example, folder, ignore=None if kind.example else shutil.ignore_patterns("ntu", "own", "vlm")
        )
        own, other = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_tried, args=(other, kind, folder, seed, limits.memory))
        process.start()
        other.close()
        # the end of the pipe is read when the process has sent an outcome or has ended
        outcome = _received(own, limits.seconds)
        process.join(1)
        if process.exitcode is None:
            process.kill()
            process.join()
        if outcome is None:
            code = process.exitcode or 0
            name = (
                "no answer in time" if code == -signal.SIGKILL else f"ended by {signal.Signals(-code).name}"
            )
            return Outcome("crashed", name if code < 0 else f"ended with status {code}")
        if Path(folder, "pwned").exists():
            return Outcome("crashed", "executed what the file says")
    if outcome.what == "same" and seed is not None and outcome.result != expected:
        return outcome._replace(what="other")
    return outcome


def _received(connection: Connection, seconds: float) -> Outcome | None:
    try:
        return connection.recv() if connection.poll(seconds) else None
    except EOFError:
        return None


def _tried(
    connection: Connection, kind: Kind, folder: Path, seed: tuple[int, ...] | None, memory: int
) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    if seed is not None:
        path = next(folder.glob(kind.file))
        before = path.read_bytes()
        rng = np.random.default_rng(seed)
        try:
            kind.mutations[int(rng.integers(len(kind.mutations)))](path, rng)
        except Exception as error:  # a change that this file cannot have
            connection.send(Outcome("unchanged", repr(error)))
            return
        if path.read_bytes() == before:
            connection.send(Outcome("unchanged"))
            return
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    connection.send(_outcome(kind.use, folder))


def _outcome(use: Callable[[Path], Any], folder: Path) -> Outcome:
    try:
        return Outcome("same", result=digest(use(folder)))
    except UserError as error:
        said = str(error)
        if "memory does not suffice" in said:
            return Outcome("crashed", "memory")
        if len(said) > 3000 or not said.replace("\n", "").isprintable():
            return Outcome(
                "crashed", f"a message of {len(said)} characters, or with control characters: {said[:80]!r}"
            )
        return Outcome("refused", said)
    except MemoryError as error:
        return Outcome("crashed", f"MemoryError at {_place(error)}")
    except BaseException as error:
        return Outcome("crashed", f"{type(error).__name__} at {_place(error)}: {str(error)[:100]!r}")


def _place(error: BaseException) -> str:
    """The last line of the project's own that was reached."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}mmcl{os.sep}" in frame.filename] or frames
    return f"{own[-1].filename.partition(f'{os.sep}mmcl{os.sep}')[2] or own[-1].filename}:{own[-1].lineno}"


def digest(value: Any) -> str:
    """Of arrays, tensors, dataclasses and plain values, however nested."""
    state = hashlib.sha256()

    def add(one: Any) -> None:
        if hasattr(one, "detach"):
            one = one.detach().cpu().numpy()
        if isinstance(one, np.ndarray) and one.dtype != object:
            state.update(f"{one.dtype}{one.shape}".encode() + np.ascontiguousarray(one).tobytes())
        elif isinstance(one, Mapping):
            for key, item in one.items():
                add(key)
                add(item)
        elif isinstance(one, list | tuple | np.ndarray):
            state.update(f"[{len(one)}".encode())
            for item in one:
                add(item)
        elif isinstance(one, set | frozenset):
            add(sorted(one))
        elif is_dataclass(one):
            add([getattr(one, field.name) for field in fields(one)])
        else:
            state.update(repr(one).encode(errors="surrogatepass"))

    add(value)
    return state.hexdigest()
