"""Reading a detector's weights without executing anything of the file.

Weight files of ultralytics are pickles of the whole network: loading one runs what its author wrote, and a list
of admitted classes is not enough, as a pickle may call an admitted class with any arguments. So every layer class
is replaced by an inert one while reading, and the tensors are taken from its attributes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from mmcl import archive
from mmcl.errors import UserError, shown
from mmcl.naming import find_weights, sha256
from mmcl.settings.base import replaced
from mmcl.settings.video import NetworkSettings
from mmcl.state_dict import check_finite, read_tensors, why

if TYPE_CHECKING:
    import torch

LAYERS = ("ultralytics.", "torch.nn.modules.")
BOOKKEEPING = ("numpy.", "pathlib.")
CLASSIC = (
    *(f"models.yolo.{name}" for name in ("Model", "DetectionModel", "Detect")),
    *(f"models.common.{name}" for name in ("Conv", "Focus", "Bottleneck", "C3", "SPP", "SPPF", "Concat")),
)
"""Classes of the networks of YOLOv5 5.0 to 7.0, see `mmcl.video.yolov5_classic`."""

MOST, LONGEST = 10_000, 200
"""Layers of a network, and characters of a layer's name; the largest networks have some thousand and some 50."""


N = TypeVar("N", bound=NetworkSettings)


class Weights(NamedTuple):
    """What a weights file holds.

    Attributes:
        tensors: the state dict, in float32 where they are real numbers.
        names: class number → name, if the file has them.
        described: the table of layers that a network of YOLOv5 keeps in its attribute `yaml`, if it has one.
    """

    tensors: "dict[str, torch.Tensor]"
    names: dict[int, str] | None = None
    described: dict[str, Any] | None = None


class Inert:
    """Replaces an object of a known class: takes any arguments, keeps the state, does nothing."""

    def __new__(cls, *_: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def read_weights(path: Path) -> Weights:
    """What a detector's weights file holds.

    Args:
        path: `.safetensors`, or a file of `torch.save` with a plain state dict or a network of ultralytics or YOLOv5.

    Raises:
        UserError: not a weights file, or one that names anything but tensors and known layers. Nothing of the file has
            been executed then.
    """
    if path.suffix.lower() == ".safetensors":
        return Weights(read_tensors(path, "weights file"))
    content = _unpickle(path)
    network = content.get("ema") or content.get("model") if isinstance(content, Mapping) else content
    if not isinstance(network, Inert):
        return Weights(_plain(path, network or content))
    names = getattr(network, "names", None)
    if isinstance(names, list):  # YOLOv5 until 6.2
        names = dict(enumerate(names))
    described = getattr(network, "yaml", None)
    return Weights(
        _tensors(path, network),
        names if isinstance(names, dict) else None,
        described if isinstance(described, dict) else None,
    )


def read_state_dict(path: Path) -> dict[str, "torch.Tensor"]:
    """The tensors of a plain state dict, in float32 where they are real numbers.

    Raises:
        UserError: not a weights file, or one of something else.
    """
    return _plain(path, read_tensors(path, "weights file"))


def _unpickle(path: Path) -> Any:
    import torch

    archive.check(path)
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # any kind of damage: zip, pickle, or an old format without a list of contents
        raise UserError(f"{path}: not a weights file that can be read safely ({why(error)})") from None
    refused = sorted(
        name for name in foreign if not name.startswith(LAYERS + BOOKKEEPING) and name not in CLASSIC
    )
    if refused:
        what = (
            "no layer of a detector of YOLOv5 5.0 to 7.0" if refused[0].startswith("models.") else "no layer"
        )
        raise UserError(
            f"{path}: refused, nothing of it was executed: it names {shown(', '.join(refused))}, which is {what}"
        )
    with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
        return read_tensors(path, "weights file")


def _tensors(path: Path, network: Inert) -> dict[str, "torch.Tensor"]:
    """What `state_dict()` of a network would give, read from its attributes.

    Raises:
        UserError: no network as torch saves them, such as one that holds itself.
    """
    import torch

    found: dict[str, torch.Tensor] = {}
    layers: list[tuple[str, Any]] = [("", network)]
    for _ in range(MOST):
        if not layers:
            return found
        prefix, layer = layers.pop()
        if len(prefix) > LONGEST:
            break
        own = {name: vars(layer).get(name, {}) for name in ("_parameters", "_buffers", "_modules")}
        passing = vars(layer).get("_non_persistent_buffers_set", ())
        if not all(isinstance(part, dict) for part in own.values()) or not isinstance(passing, set | tuple):
            raise UserError(f"{path}: its layer {shown(prefix or 'network')} is not written as torch does")
        for key, value in {**own["_parameters"], **own["_buffers"]}.items():
            if isinstance(value, torch.Tensor) and key not in passing:
                found[f"{prefix}{key}"] = _real(value)
        children = [(f"{prefix}{key}.", child) for key, child in own["_modules"].items()]
        layers += [(name, child) for name, child in reversed(children) if isinstance(child, Inert)]
    raise UserError(f"{path}: has more layers than a network, or one that holds itself")


def _plain(path: Path, content: Any) -> dict[str, "torch.Tensor"]:
    import torch

    if not isinstance(content, Mapping) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise UserError(f"{path}: holds neither a network nor a state dict")
    return {key: _real(value) for key, value in content.items()}


def _real(tensor: "torch.Tensor") -> "torch.Tensor":
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor


def load(net: "torch.nn.Module", tensors: "Mapping[str, torch.Tensor]", path: Path, what: str) -> None:
    """Fill a network with a file's tensors; `what` the network is, for messages.

    Raises:
        UserError: names or shapes are others than the network's, or values are not finite.
    """
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit {what}: {' '.join(str(error).split())[:300]}") from None
    check_finite(path, tensors)


def with_sha256(settings: N, what_belongs: str) -> N:
    """A network's settings with the sha256 of its weights file, which then enters a store's fingerprint.

    Raises:
        UserError: the weights are missing or others than the config states.
    """
    path = find_weights(settings.weights, settings.sha256, what_belongs)
    return replaced(settings, sha256=sha256(path))
