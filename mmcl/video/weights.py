"""Reading a detector's weights without executing anything of the file.

Weight files of ultralytics are pickles of the whole network: loading one runs what its author wrote, and a list
of admitted classes is not enough, as a pickle may call an admitted class with any arguments. So every layer class
is replaced by an inert one while reading, and the tensors are taken from its attributes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mmcl import archive
from mmcl.errors import UserError, shown
from mmcl.naming import find_weights, sha256
from mmcl.settings.base import replaced
from mmcl.settings.video import NetworkSettings
from mmcl.state_dict import read_tensors, why

if TYPE_CHECKING:
    import torch

LAYERS = ("ultralytics.", "torch.nn.modules.")
BOOKKEEPING = ("numpy.", "pathlib.")
CLASSIC = ("models.yolo.", "models.common.", "models.experimental.")


N = TypeVar("N", bound=NetworkSettings)


class Inert:
    """Replaces an object of a known class: takes any arguments, keeps the state, does nothing."""

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
        The state dict, and class number → name if the file has them.

    Raises:
        UserError: not a weights file, one of the classic anchor-based YOLOv5, or one that names anything but
            tensors and known layers. Nothing of the file has been executed then.
    """
    if path.suffix.lower() == ".safetensors":
        return read_tensors(path, "weights file"), None
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

    archive.check(path)
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # any kind of damage: zip, pickle, or an old format without a list of contents
        raise UserError(f"{path}: not a weights file that can be read safely ({why(error)})") from None
    if any(name.startswith(CLASSIC) for name in foreign):
        raise UserError(
            f"{path}: classic anchor-based YOLOv5 weights, whose boxes are decoded otherwise. Use the "
            "anchor-free file of the same size that ultralytics publishes with a `u` in its name "
            "(yolov5nu.pt, yolov5su.pt, yolov5mu.pt, yolov5lu.pt, yolov5xu.pt)"
        )
    refused = sorted(name for name in foreign if not name.startswith(LAYERS + BOOKKEEPING))
    if refused:
        raise UserError(
            f"{path}: refused, nothing of it was executed: it names {shown(', '.join(refused))}, which is no layer"
        )
    with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
        return read_tensors(path, "weights file")


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


def with_sha256(settings: N, what_belongs: str) -> N:
    """A network's settings with the sha256 of its weights file, which then enters a store's fingerprint.

    Raises:
        UserError: the weights are missing or others than the config states.
    """
    path = find_weights(settings.weights, settings.sha256, what_belongs)
    return replaced(settings, sha256=sha256(path))
