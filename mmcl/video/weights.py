"""Reading a detector's weights without executing anything of the file.

Weight files of ultralytics are pickles of the whole network: to load one as it is means to run what its
author wrote, and even a list of admitted classes is not enough, as a pickle may call an admitted class with
arguments of its own. So every layer class is replaced by an inert stand-in while reading, and the numbers are
taken from the stand-ins.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mmcl.errors import UserError

if TYPE_CHECKING:
    import torch

LAYERS = ("ultralytics.", "torch.nn.modules.")
BOOKKEEPING = ("numpy.", "pathlib.")
CLASSIC = ("models.yolo.", "models.common.", "models.experimental.")


class Inert:
    """Stands for an object of a known class: takes any arguments, keeps the state, does nothing."""

    def __new__(cls, *_: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def read_state(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[int, str] | None]:
    """The tensors of a weights file by name, in float32 where they are real numbers, and its class names.

    Args:
        path: `.safetensors`, or a file of `torch.save` with a plain state dict or a network of ultralytics.

    Returns:
        The state dict, and class number → name where the file tells.

    Raises:
        UserError: not a weights file, one of the classic anchor-based YOLOv5, or one that names anything but
            tensors and known layers. Nothing of the file has been executed then.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path), None
        except SafetensorError as error:
            raise UserError(f"{path}: not a safetensors file ({error})") from None
    content = _unpickle(path)
    network = content.get("ema") or content.get("model") if isinstance(content, Mapping) else content
    if hasattr(network, "_modules"):
        names = getattr(network, "names", None)
        return {key: _real(value) for key, value in _tensors(network)}, names if isinstance(
            names, dict
        ) else None
    return _plain(path, network or content), None


def _unpickle(path: Path) -> Any:
    import torch

    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # any kind of damage: zip, pickle, or an old format without a list of contents
        raise UserError(f"{path}: not a weights file that can be read safely ({error})") from None
    if any(name.startswith(CLASSIC) for name in foreign):
        raise UserError(
            f"{path}: classic anchor-based YOLOv5 weights, whose boxes are decoded otherwise. Use the "
            "anchor-free file of the same size that ultralytics publishes with a `u` in its name "
            "(yolov5nu.pt, yolov5su.pt, yolov5mu.pt, yolov5lu.pt, yolov5xu.pt)"
        )
    refused = sorted(name for name in foreign if not name.startswith(LAYERS + BOOKKEEPING))
    if refused:
        raise UserError(
            f"{path}: refused, nothing of it was executed: it names {', '.join(refused)}, no layer"
        )
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises by the kind of damage
        raise UserError(f"{path}: not a weights file that can be read safely ({error})") from None


def _tensors(layer: Any, prefix: str = "") -> Iterator[tuple[str, "torch.Tensor"]]:
    """What `state_dict()` of a network would give, read from its attributes."""
    state = vars(layer)
    passing = state.get("_non_persistent_buffers_set", ())
    for key, value in {**state.get("_parameters", {}), **state.get("_buffers", {})}.items():
        if value is not None and key not in passing:
            yield prefix + key, value
    for key, child in state.get("_modules", {}).items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{key}.")


def _plain(path: Path, content: Any) -> dict[str, "torch.Tensor"]:
    import torch

    if not isinstance(content, Mapping) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise UserError(f"{path}: holds neither a network nor a state dict")
    return {key: _real(value) for key, value in content.items()}


def _real(tensor: "torch.Tensor") -> "torch.Tensor":
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor
