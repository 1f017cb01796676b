"""Optimizers and their learning rate schedules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from mmcl.engine.schedule import adamw_factor, sgd_factor
from mmcl.settings.training import AdamWSettings, SgdSettings, TrainSettings


class Optimizing(NamedTuple):
    """An optimizer and its schedule.

    Attributes:
        optimizer: of the network's parameters.
        scheduler: of its learning rate.
        every_step: whether the scheduler advances with each step, instead of with each epoch.
        rates: on a GPU the learning rates of the parameter groups as its step reads them, scalars there: a step that
            was recorded then follows `update_rates`. The groups and what is kept of them hold plain numbers.
    """

    optimizer: Optimizer
    scheduler: LRScheduler
    every_step: bool
    rates: tuple[Tensor, ...] = ()

    def update_rates(self) -> None:
        """Give the next step the learning rates of the parameter groups."""
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=False):
            rate.fill_(group["lr"])

    def step(self) -> None:
        """A step of the optimizer; with `rates` nothing of it waits for the GPU."""
        with self._rates_as_tensors():
            self.optimizer.step()

    @contextmanager
    def _rates_as_tensors(self) -> Iterator[None]:
        groups = self.optimizer.param_groups
        plain = [group["lr"] for group in groups]
        for rate, group in zip(self.rates, groups, strict=False):
            group["lr"] = rate
        try:
            yield
        finally:
            for rate, group in zip(plain, groups, strict=True):
                group["lr"] = rate

    def load(self, optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
        """Go on from a state that was kept, on whatever device."""
        own = self.optimizer.param_groups
        groups = [
            {**kept, **{key: group[key] for key in ("capturable",) if key in group}}
            for kept, group in zip(optimizer["param_groups"], own, strict=True)
        ]
        self.optimizer.load_state_dict({**optimizer, "param_groups": groups})
        self.scheduler.load_state_dict(dict(scheduler))


class RecordableSGD(SGD):
    """SGD whose learning rate may be a tensor, of which nothing is read on the host.

    With g the gradient and the weight decay's share, b the momentum's buffer, zero at first:

        b ← μ b + g,   θ ← θ − lr · (g + μ b) with Nesterov's momentum, else θ − lr · b

    State and groups are those of torch's SGD, which takes the value of such a tensor in every step (`alpha=-lr` in
    torch/optim/sgd.py of 2.11 and 2.15), as a CUDA graph cannot.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step with the gradients that there are."""
        for group in self.param_groups:
            there = [p for p in group["params"] if p.grad is not None]
            if not there:
                continue
            change: Any = [p.grad for p in there]
            if group["weight_decay"]:
                change = torch._foreach_add(change, there, alpha=group["weight_decay"])
            if group["momentum"]:
                for p in there:
                    if self.state[p].get("momentum_buffer") is None:
                        self.state[p]["momentum_buffer"] = torch.zeros_like(p)
                buffers = [self.state[p]["momentum_buffer"] for p in there]
                torch._foreach_mul_(buffers, group["momentum"])
                torch._foreach_add_(buffers, change)
                nesterov = group["nesterov"]
                change = torch._foreach_add(change, buffers, alpha=group["momentum"]) if nesterov else buffers
            torch._foreach_sub_(there, torch._foreach_mul(change, group["lr"]))


def build_optimizer(net: nn.Module, settings: SgdSettings | AdamWSettings, steps: int) -> Optimizing:
    """The optimizer that the settings describe.

    Args:
        net: whose parameters are trained.
        settings: SGD with a rate for each epoch; or AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay on
            matrices alone and a rate for each step.
        steps: batches of an epoch.
    """
    # one for each group, of which AdamW has two
    on_gpu = next(net.parameters()).is_cuda
    rates = [torch.zeros((), device=next(net.parameters()).device) for _ in range(2 * on_gpu)]
    if isinstance(settings, SgdSettings):
        sgd = (RecordableSGD if on_gpu else SGD)(
            net.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=isinstance(settings, TrainSettings) and settings.nesterov,
            weight_decay=settings.weight_decay,
        )
        schedule = LambdaLR(sgd, partial(sgd_factor, settings=settings))
        return Optimizing(sgd, schedule, every_step=False, rates=tuple(rates[:1]))
    groups = [
        {"params": [p for p in net.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = AdamW(groups, lr=settings.learning_rate, capturable=on_gpu)
    factor = partial(adamw_factor, settings=settings, steps=steps)
    return Optimizing(adamw, LambdaLR(adamw, factor), every_step=True, rates=tuple(rates))
