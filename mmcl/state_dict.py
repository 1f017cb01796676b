"""Reading tensors from files without executing anything of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl.errors import UserError

if TYPE_CHECKING:
    import torch


def read_tensors(path: str | Path, what: str = "state dict", device: "torch.device | str" = "cpu") -> Any:
    """What a file of weights holds; nothing but tensors and plain values is admitted.

    Args:
        path: `.safetensors`, else a file of `torch.save`.
        what: what the file should be, for messages.
        device: where the tensors are put.

    Returns:
        Of a `.safetensors` file name → tensor; else whatever was saved.

    Raises:
        UserError: no such file, damaged, or it names anything but tensors and plain values.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such {what}")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path, device=str(device))
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch and safetensors raise by the kind of damage
        raise UserError(f"{path}: not a {what} that can be read safely ({error})") from None
