"""The memory that a training will need, estimated before its first step:

    held + gradients + optimizer's state + workspace + clips of a part · kept of each clip

`held` lies on the device already: the network, the clips, the inputs of terms. A part is what a process computes at a
time: the clips of a step, divided by processes and by accumulation. On a GPU workspace and kept are measured: a copy of
the network computes two small parts of the first batch, forward and backward, and a straight line goes through the
largest amounts of memory of both. Elsewhere the tensors that the forward pass keeps for the backward pass are counted:
the larger part of what is needed; the workspace remains unknown.
"""

import copy
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmcl.engine.leaves import mapped, tensors
from mmcl.engine.optimizers import Optimizing
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.task import Batch, Task
from mmcl.errors import OutOfMemory
from mmcl.models.kept import kept_for_backward
from mmcl.precision import searched_convolutions
from mmcl.settings.training import AdamWSettings, SgdSettings, TrainSettings

log = logging.getLogger(__name__)

SMALL = 1 << 16
"""Bytes of a batch below which its training needs no memory worth an estimate."""
FEW = 2
"""Clips of the smallest part: batch normalisation and contrasts need two."""
CLOSE = 0.9
"""Part of the free memory from which on a training may not fit: allocators lose some to gaps."""
CGROUPS = Path("/sys/fs/cgroup")


class Room(NamedTuple):
    """The memory of a device.

    Attributes:
        name: of the device.
        free: bytes that this process may still take, its allocator's own reserve among them.
        total: bytes that there are.
        held: bytes that this process has taken; 0 where that is unknown.
    """

    name: str
    free: int
    total: int
    held: int = 0


class Need(NamedTuple):
    """What a training will take of a device's free memory, in bytes.

    Attributes:
        learning: gradients and the optimizer's state.
        workspace: whatever the number of clips is.
        clip: for each clip of a part.
        clips: of a part.
    """

    learning: int
    workspace: int
    clip: int
    clips: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.learning + self.workspace + self.clip * self.clips

    def fitting(self, free: int) -> int:
        """Clips of a part that fit into free bytes."""
        return max(0, free - self.learning - self.workspace) // max(1, self.clip)


def estimated(
    batches: Iterable[Batch],
    task: Task[Batch],
    settings: SgdSettings | AdamWSettings,
    optimizing: Optimizing,
    processes: Processes,
) -> Iterator[Batch]:
    """The batches, before the first of which the memory that the training will need is estimated and reported.

    Nothing of the training changes by it: neither its network nor random numbers.

    Args:
        batches: of an epoch.
        task: what is trained.
        settings, optimizing: of its optimizer.
        processes: that train together.

    Raises:
        OutOfMemory: it will not fit.
    """
    first = True
    for batch in batches:
        if first:
            _report(batch, task, settings, optimizing, processes)
            first = False
        yield batch


def remedy(
    task: Task[Any], settings: SgdSettings | AdamWSettings, fitting: int = 0, processes: int = 1
) -> str:
    """What to set so that a training needs less memory.

    Args:
        task, settings: of the training.
        fitting: clips that fit at a time into each process; 0 if that is unknown.
        processes: that train together.
    """
    section = task.rate_key.rpartition("learning_rate")[0]
    own = settings.batch // processes
    ways = []
    if isinstance(settings, TrainSettings):
        now = f"(now {settings.accumulate})"
        parts = -(-own // fitting) if fitting >= FEW else 0
        ways.append(
            f"set {section}accumulate to {parts} {now}" if parts else f"raise {section}accumulate {now}"
        )
    most = f" to {fitting * processes}" if fitting > 1 else ""
    ways.append(f"lower {section}batch{most} (now {settings.batch}), and the learning rate in proportion")
    if isinstance(settings, SgdSettings) and task.precision != "bf16":
        ways.append(f"set {section}precision: bf16")
    return ", or ".join(ways)


def _report(
    batch: Any,
    task: Task[Any],
    settings: SgdSettings | AdamWSettings,
    optimizing: Optimizing,
    processes: Processes,
) -> None:
    device = processes.device
    room = _room(device)
    if room is None or _bytes(tensors(batch)) < SMALL:
        return
    clips = -(-_clips(batch) // task.accumulate)
    try:
        workspace, clip = _measured(task, batch, device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # an estimate is no reason to end a training that may run
        said = " ".join(str(error).split())[:200]
        log.warning("the memory of this training cannot be estimated (%s: %s)", type(error).__name__, said)
        return
    need = Need(_learning(task.net, settings, optimizing, processes), workspace, clip, clips)
    # processes of one machine share its memory, and have a GPU each
    sharing = 1 if device.type == "cuda" else processes.world
    if need.total * sharing > (room.free if device.type == "cuda" else room.total):
        ways = remedy(task, settings, need.fitting(room.free // sharing), processes.world)
        raise OutOfMemory(f"{told(need, room)}; {ways}")
    log.info("%s", told(need, room))
    if need.total * sharing > CLOSE * room.free:
        log.warning("this training may run out of memory; %s", remedy(task, settings, 0, processes.world))


def told(need: Need, room: Room) -> str:
    """An estimate as a sentence."""
    held = f", which holds {_gb(room.held)} of this training already" if room.held else ""
    workspace = f" and a workspace of {_gb(need.workspace)}" if need.workspace else ""
    least = "" if need.workspace else "at least "
    return (
        f"this training needs {least}{_gb(need.total)} of the {_gb(room.free)} that are free of {_gb(room.total)} on "
        f"{room.name}{held}: {need.clips} clips at a time with {need.clip / 1e6:.1f} MB each until the backward pass, "
        f"{_gb(need.learning)} of gradients and optimizer{workspace}"
    )


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


# --------------------------------------------------------------------------------------------- the need


def _learning(
    net: nn.Module, settings: SgdSettings | AdamWSettings, optimizing: Optimizing, processes: Processes
) -> int:
    """Bytes of gradients and the optimizer's state that are not there yet."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    copies = 2 if isinstance(settings, AdamWSettings) else int(settings.momentum > 0)
    copies += 1 + (processes.world > 1)  # gradients, and those that processes exchange
    state = [value for kept in optimizing.optimizer.state.values() for value in kept.values()]
    there = [*state, *(parameter.grad for parameter in trained)]
    return max(0, copies * _bytes(trained) - _bytes(value for value in there if isinstance(value, Tensor)))


def _measured(task: Task[Any], batch: Any, device: torch.device) -> tuple[int, int]:
    """Bytes that a step takes whatever its clips are, and for each clip."""
    trial = copy.copy(task)
    trial.net = copy.deepcopy(task.net)
    if device.type != "cuda":
        with torch.random.fork_rng([]):
            return 0, _kept(trial, _part(batch, FEW), device) // FEW
    small = max(FEW, _clips(batch) // 16)
    with torch.random.fork_rng([device]), searched_convolutions(False):  # shapes that do not come again
        # the first time gradients are made, and libraries compile and allocate what they keep
        for _ in range(2):
            one, two = (_peak(trial, _part(batch, clips), device) for clips in (small, 2 * small))
    del trial
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    clip = max(0, two - one) // small
    return max(0, one - clip * small), clip


def _kept(task: Task[Any], part: Any, device: torch.device) -> int:
    own = [*task.net.parameters(), *task.net.buffers(), *tensors(part)]
    with autocast(task.precision, device):
        return kept_for_backward(lambda: task.losses(part), own)


def _peak(task: Task[Any], part: Any, device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with autocast(task.precision, device):
        total = task.losses(part).total
    total.backward()
    return torch.cuda.max_memory_allocated(device) - before


def _clips(batch: Any) -> int:
    """Clips of a batch: the length of its first tensor."""
    return len(tensors(batch)[0])


def _part(batch: Any, count: int) -> Any:
    """Clips of a batch, first those that masks leave in; some of them twice if there are too few."""
    clips = _clips(batch)
    kept = torch.ones(clips, dtype=torch.bool)
    for tensor in tensors(batch):
        if tensor.dtype == torch.bool and tensor.shape == (clips,):
            kept &= tensor.cpu()
    order = torch.cat([kept.nonzero()[:, 0], (~kept).nonzero()[:, 0]])
    rows = order.repeat(-(-count // clips))[:count]
    return mapped(batch, lambda tensor: tensor[rows.to(tensor.device)])


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


# --------------------------------------------------------------------------------------------- the room


def _room(device: torch.device) -> Room | None:
    """The memory of a device; None where it cannot be told."""
    if device.type != "cuda":
        return host_memory()
    free, total = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_allocated(device)
    reserve = torch.cuda.memory_reserved(device) - held
    return Room(torch.cuda.get_device_name(device), free + reserve, total, held)


def host_memory(meminfo: Path = Path("/proc/meminfo"), own: Path = Path("/proc/self/cgroup")) -> Room | None:
    """The memory of this machine, or what its control groups leave this process of it; None without Linux's files."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free, total = (int(lines[key].split()[0]) << 10 for key in ("MemAvailable", "MemTotal"))
        total += int(lines["SwapTotal"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None
    for limit, used in _limits(own):
        free, total = min(free, max(0, limit - used)), min(total, limit)
    return Room("this machine", free, total)


def _limits(own: Path) -> Iterator[tuple[int, int]]:
    """Bytes that each control group above this process may take (cgroup v2), and has taken without files' pages."""
    try:
        (path,) = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return
    for group in [CGROUPS / path.lstrip("/"), *(CGROUPS / path.lstrip("/")).parents]:
        if not group.is_relative_to(CGROUPS):
            return
        try:
            limit, used = (group / "memory.max").read_text(), int((group / "memory.current").read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            yield int(limit), used - int(stat["file"])
        except (OSError, ValueError, KeyError):  # "max" is no number
            continue
