"""A few steps of pre-training and distillation in a group of processes; run by `launch` in test_group.py.

The first one writes the networks to `report` of the job, and whether the others have the same memory.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from small import distiller, pretrainer, views
from torch.nn.parallel import DistributedDataParallel

from mmcl import checkpoints
from mmcl.engine.launch import joined
from mmcl.engine.processes import Processes
from mmcl.selfsup import CONTRAST, EXCHANGE, MANDATORY

CLIPS, STEPS, MEMORY = 6, 2, 20


def train(processes: Processes) -> dict[str, torch.Tensor]:
    """State of both after some steps; in evaluation mode, as batch norms see other clips in a group."""
    first = pretrainer(MANDATORY, memory=MEMORY, key_momentum=0.5, keys_start_apart=True).double().eval()
    for stage in (CONTRAST, EXCHANGE):
        first.enter(stage)
        descend(first, processes, 10 * stage)
    second = distiller(MANDATORY).double().eval()
    second.teachers.load_state_dict(first.queries.state_dict())
    descend(second, processes, 30)
    return {
        f"{name}.{entry}": value
        for name, net in (("pretrainer", first), ("distiller", second))
        for entry, value in net.state_dict().items()
    }


def descend(net: torch.nn.Module, processes: Processes, seed: int) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    wrapped = DistributedDataParallel(net, broadcast_buffers=False) if processes.world > 1 else net
    for number in range(STEPS):
        losses = wrapped(*(part(seed + number, view, processes) for view in (0, 1)))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        net.advance(losses.carry)


def part(seed: int, view: int, processes: Processes) -> dict[str, torch.Tensor]:
    """The clips of this process; the second view of a clip is near the first."""
    size = CLIPS // processes.world
    clips = views(MANDATORY, seed, clips=CLIPS)
    if view:
        clips = {name: x + 0.1 * x.roll(1, 2) for name, x in clips.items()}
    return {
        name: x[processes.rank * size : (processes.rank + 1) * size].double() for name, x in clips.items()
    }


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    with joined() as processes:
        state = train(processes)
        memory = [torch.empty_like(state["pretrainer.memory.keys"]) for _ in range(dist.get_world_size())]
        dist.all_gather(memory, state["pretrainer.memory.keys"])
        if processes.first:
            same = all(torch.equal(memory[0], other) for other in memory)
            checkpoints.save(job["report"], {"state": state, "same_memory": same})


if __name__ == "__main__":
    main()
