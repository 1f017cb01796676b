"""What is trained: a network, its batches, and its losses as named terms."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from mmcl.engine.history import Row

Batch = TypeVar("Batch")


class Losses(NamedTuple):
    """The losses of a batch.

    Attributes:
        total: scalar to minimise.
        terms: column of the history → scalar whose mean is reported: the terms of the loss before their weights, and
            `accuracy`, a share that is reported in percent. The names are the same in all steps of an epoch and in
            all processes.
        weight: of this batch in the means; it follows from the shapes of the batch.
        carry: what `Task.after_step` needs.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    weight: float = 1
    carry: Any = None


class Task(Generic[Batch]):
    """A training for `fit`. A subclass sets the attributes without a default and overrides what it needs.

    Attributes:
        net: the network, on the device, in training mode.
        label: of the progress bar.
        steps: batches of an epoch, in each process.
        seed: of the run.
        rate_key: the setting to lower if the loss is not finite, such as `train.learning_rate`.
        precision: see `SgdSettings`.
        accumulate: parts that a batch is processed in, one after another, before a step of the optimizer. Losses are
            means over clips; `after_step` sees those of the last part.
        same_pictures: whether convolutions see the same shapes in all steps, so that cuDNN may search its fastest
            algorithms for them.
        max_gradient_norm: gradients are scaled down to this norm; None for no limit.
        unused_parameters: whether steps leave parameters without a gradient (of DistributedDataParallel).
        evaluate_every: epochs between calls of `evaluate`, which is called after the last one, too; 0 for never.
    """

    net: nn.Module
    label: str
    steps: int
    seed: int
    rate_key: str = "learning_rate"
    precision: str = "tf32"
    accumulate: int = 1
    same_pictures: bool = False
    max_gradient_norm: float | None = None
    unused_parameters: bool = False
    evaluate_every: int = 0

    def batches(self, epoch: int) -> Iterable[Batch]:
        """The batches of an epoch (counted from 0), of the part of the clips that this process trains with.

        They depend on the seed and the epoch alone, so that a resumed run sees what it would have seen.
        """
        raise NotImplementedError

    def losses(self, batch: Batch) -> Losses:
        """The losses of a batch; `net.losses(batch)` unless overridden.

        On a GPU this and `after_step` are recorded once, see `mmcl.engine.step`: what they do may depend on the shapes
        of a batch and the values in tensors on the GPU, not on Python values that change between `begin_epoch`s.
        """
        losses_of: Callable[[Batch], Losses] = getattr(self.net, "losses")  # noqa: B009
        return losses_of(batch)

    def begin(self, done: int) -> None:
        """Called once before the first step, after `done` epochs of an earlier run."""

    def begin_epoch(self, epoch: int) -> bool:
        """Called before an epoch. Returns whether other parameters are trained than before."""
        return False

    def after_step(self, losses: Losses) -> None:
        """Called after each step of the optimizer."""

    def end_epoch(self, row: Row) -> None:
        """Called with the row of the history, to which it may add columns."""

    def evaluate(self) -> float:
        """Accuracy on the test split in percent, of the network as it is; it stays in training mode."""
        raise NotImplementedError

    def optional_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that get a gradient in some processes alone, such as heads of what only some clips have."""
        return ()

    def clipped_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters whose common gradient norm `max_gradient_norm` limits."""
        return self.net.parameters()

    def kept_state(self) -> dict[str, Tensor]:
        """What is kept of the network's state: a copy on the CPU."""
        return on_cpu(self.net.state_dict())


def on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a state dict on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}
