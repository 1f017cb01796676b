"""The entries of CrosSCLR's and IKEM's checkpoints beside ours, for `mmcl.checkpoints.load_reference`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from torch import Tensor

from mmcl.errors import UserError
from mmcl.selfsup.encoder import Encoder
from mmcl.selfsup.names import MODALITIES, SUFFIXES


class Released(ABC):
    """A training with encoders and a `Memory` called `memory`, whose checkpoints were published.

    Attributes:
        modalities: of the memory.
    """

    modalities: tuple[str, ...]

    @abstractmethod
    def released_encoders(self) -> Iterable[tuple[str, str, Encoder]]:
        """Of every encoder its released name, our name, and the encoder."""

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → the released ones that they hold.

        Raises:
            UserError: the release does not have these modalities, or has them in another order.
        """
        check_released(self.modalities)
        names = {
            "memory.keys": [f"queue{SUFFIXES[name]}" for name in self.modalities],
            "memory.pointer": [f"queue_ptr{SUFFIXES[self.modalities[0]]}"],
        }
        for prefix, ours, net in self.released_encoders():
            names |= {f"{ours}.{entry}": theirs for entry, theirs in net.reference_names(prefix).items()}
        return names

    def reference_aliases(self) -> dict[str, str]:
        """See `Backbone`; the pointers of all queues are one."""
        first, *others = (f"queue_ptr{SUFFIXES[name]}" for name in self.modalities)
        aliases = dict.fromkeys(others, first)
        for prefix, _, net in self.released_encoders():
            aliases |= net.reference_aliases(prefix)
        return aliases

    def reference_constants(self) -> dict[str, Tensor]:
        """See `Backbone`."""
        constants: dict[str, Tensor] = {}
        for prefix, _, net in self.released_encoders():
            constants |= net.reference_constants(prefix)
        return constants


def check_released(modalities: Sequence[str]) -> None:
    """Check that the released code has these modalities, in this order.

    Raises:
        UserError: it does not.
    """
    if unknown := [name for name in modalities if name not in MODALITIES]:
        raise UserError(f"no published checkpoint has the modality {unknown[0]}")
    if list(modalities) != sorted(modalities, key=MODALITIES.index):
        raise UserError(f"published checkpoints have the modalities in the order {', '.join(MODALITIES)}")
