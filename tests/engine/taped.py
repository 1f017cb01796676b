"""Stands in for CUDA graphs on a CPU: what a step tells torch is recorded, and done again without its Python code."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal")
"""Operations whose result the host waits for."""


class Tape(TorchDispatchMode):
    """Notes each operation with its arguments and results."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._overloadpacket.__name__ in READS:
            raise RuntimeError(f"{func} is not permitted while a graph is recorded\nmore about it")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def play(self):
        """Do all operations again: results are written to where they were."""
        for func, args, kwargs, out in self.calls:
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapedGraphs:
    """See `mmcl.engine.graphs.Graphs`.

    Args:
        kept: gives all tensors that a step changes, which are as before after it was recorded.
    """

    def __init__(self, kept):
        self.kept = kept
        self.warmed = self.recorded = self.played = 0

    def warm(self, work, watched):
        self.warmed += 1
        work()
        return ""

    def record(self, work):
        tensors, generator = self.kept(), torch.get_rng_state()
        before = [tensor.detach().clone() for tensor in tensors]
        tape = Tape()
        try:
            with tape:
                work()
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
            torch.set_rng_state(generator)
        self.recorded += 1

        def play():
            self.played += 1
            tape.play()

        return play


def state_of(step):
    """All tensors that a step of a training changes, see `TapedGraphs`."""
    moments = [
        value
        for state in step.optimizing.optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    sums = [] if step._sums is None else [step._sums]
    return [*step.task.net.state_dict().values(), *moments, *sums]
