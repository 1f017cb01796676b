"""Reading tensors from files without executing anything of them."""

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl import archive
from mmcl.errors import UserError, shown, some

if TYPE_CHECKING:
    import torch


def check_finite(
    where: str | Path, state: Mapping[str, Any], remedy: str = "", most: float = math.inf
) -> None:
    """Check that all numbers of a state dict are finite, and below a limit. A GPU is waited for once.

    Raises:
        UserError: names the tensors with a value that is not, and what to do.
    """
    import torch

    names = [name for name, value in state.items() if value.is_floating_point()]
    if not names:
        return
    fine = torch.stack([(state[name].abs() < most).all() for name in names]).tolist()  # false for NaN, too
    if wrong := [name for name, good in zip(names, fine, strict=True) if not good]:
        limit = f" or exceed {most:.0e}" if most < math.inf else ""
        raise UserError(
            f"{where}: values of {len(wrong)} of {len(state)} tensors are not finite{limit}: {some(wrong)}{remedy}"
        )


def read_tensors(path: str | Path, what: str = "state dict", device: "torch.device | str" = "cpu") -> Any:
    """What a file of weights holds; nothing but tensors and plain values is admitted.

    Args:
        path: `.safetensors`, else a file of `torch.save`, see `mmcl.archive`.
        what: what the file should be, for messages.
        device: where the tensors are put.

    Returns:
        Of a `.safetensors` file name → tensor; else whatever was saved.

    Raises:
        Damaged: the content is not what was written.
        UserError: no such file, none of the two kinds, or it names anything but tensors and plain values.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such {what}")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path, device=str(device))
        archive.check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's about files that it refuses in the end
            return torch.load(path, map_location=device, weights_only=True)
    except (UserError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # torch and safetensors raise by the kind of damage
        if "can't allocate memory" in str(error):
            raise
        raise UserError(f"{path}: not a {what} that can be read safely ({why(error)})") from None


def why(error: Exception) -> str:
    """An error of reading weights in our own words: torch's advise to read the file unsafely."""
    text = str(error)
    if named := re.search(r"GLOBAL (\S+)", text):
        return f"it names {shown(named[1])}, which is no tensor; nothing of it was executed"
    if "weights_only" in text or not text:
        return "it is no file of torch.save with tensors and plain values alone"
    return shown(text.splitlines()[0])
