"""Person detectors. Which there are: `mmcl.settings.tables.DETECTORS`.

ultralytics is AGPL-3.0 and optional: it is imported here and in `mmcl.video.pose` alone, when a network is opened,
and so runs only in the processes of the rules that need it.
"""

import functools
import os
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from mmcl.ahead import behind, upload
from mmcl.errors import UserError
from mmcl.naming import find_weights
from mmcl.settings.tables import DETECTORS, resolve
from mmcl.settings.video import DetectorSettings, PoseSettings
from mmcl.video import weights

if TYPE_CHECKING:
    import torch

STRIDE = 32
GREY = 114
PERSON = 0
MOST = 1000
"""People per picture that are kept."""
CHUNK = 16
"""Pictures per forward pass."""
FOLDERS = "mmcl-ultralytics-"
"""What the names of the folders for ultralytics' settings begin with."""
STALE = 3600.0
"""Seconds after which such a folder is nobody's any more: it is needed for one import."""

WHAT_BELONGS = (
    "A person detector's weights belong there: yolov5{n,s,m,l,x}.pt as published with YOLOv5 5.0 to 7.0 or "
    "yolov5{n,s,m,l,x}u.pt of ultralytics (AGPL-3.0), or a network of the same architecture of your own as .pt or "
    ".safetensors; `mmcl fetch yolov5m` and `mmcl fetch yolov5mu` fetch YOLOv5m's"
)


class Detector(Protocol):
    """Finds people in pictures.

    A class may have an attribute `Options`, a subclass of `mmcl.settings.base.Options`, for settings of its own.

    Attributes:
        what_belongs: what its weights are and where they come from, for messages.
    """

    what_belongs: ClassVar[str]

    def __init__(self, settings: DetectorSettings, device: "torch.device"): ...

    def people(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Per picture (H, W, 3) uint8 RGB the people in it: (n, 5) float32, box in pixels and confidence,
        most confident first. Pictures may differ in size."""


def detector_class(settings: DetectorSettings) -> type[Detector]:
    """The class of the detector that the settings name."""
    found: type[Detector] = resolve(DETECTORS, settings.architecture, "detector")
    return found


def open_detector(settings: DetectorSettings, device: "torch.device") -> Detector:
    """The detector that the settings name, with its weights.

    Raises:
        UserError: missing or unfit weights, missing package.
    """
    return detector_class(settings)(settings, device)


@functools.cache
def import_ultralytics() -> ModuleType:
    """ultralytics, configured so that it writes, prints, installs and sends nothing.

    The configuration is read when the package is imported, so nothing else may import it first.

    Raises:
        UserError: it is not installed.
    """
    os.environ |= {
        "YOLO_OFFLINE": "true",  # no test for a network connection
        "YOLO_AUTOINSTALL": "false",  # no pip install of missing packages
        "YOLO_VERBOSE": "false",
    }
    _remove_stale_folders()
    # its settings are read and written in these lines alone: a job that is killed while it works leaves no folder
    with tempfile.TemporaryDirectory(prefix=FOLDERS, ignore_cleanup_errors=True) as folder:
        os.environ["YOLO_CONFIG_DIR"] = folder  # not the user's home
        try:
            import ultralytics
        except ModuleNotFoundError as error:
            raise UserError(f"the detector needs ultralytics: pip install ultralytics ({error})") from None
        ultralytics.settings.update(sync=False)  # usage events
    return ultralytics


def _remove_stale_folders() -> None:
    """Delete the folders of processes that were killed while they imported ultralytics."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        with suppress(OSError):  # another process deletes it, or it is another user's
            if time.time() - folder.stat().st_mtime > STALE:
                shutil.rmtree(folder)


class Yolo(ABC):
    """A network of ultralytics that finds people.

    Every picture is scaled to `image_size` on its longer side and padded with grey to multiples of 32, whatever
    else is in its batch.
    """

    what_belongs = WHAT_BELONGS

    def __init__(self, settings: DetectorSettings | PoseSettings, classes: int, device: "torch.device"):
        """Build the network and load its weights; class 0 of `classes` is the person."""
        import torch

        path = find_weights(settings.weights, settings.sha256, self.what_belongs)
        content = weights.read_weights(path)
        names = content.names
        if (
            names and classes > 1 and names.get(PERSON) not in ("person", "0")
        ):  # "0": the classes have no names
            raise UserError(f"{path}: class 0 is {names.get(PERSON)!r}, expected 'person'")
        self.net = self.open_network(path, settings.architecture, classes, content).requires_grad_(False)
        # as the pictures are stored, and faster on CPUs
        self.net.to(device).to(memory_format=torch.channels_last)
        self.device = device
        self.classes = classes
        self.side = settings.image_size
        self.confidence, self.iou = settings.confidence, settings.iou

    def open_network(self, path: Path, architecture: str, classes: int, content: weights.Weights) -> Any:
        """The network with its weights, ready to look at pictures.

        Raises:
            UserError: the weights are another network's.
        """
        net = self.build(architecture, classes)
        weights.load(net, content.tensors, path, f"{architecture} with {classes} class(es)")
        return net.eval().fuse(verbose=False)

    @staticmethod
    @abstractmethod
    def build(architecture: str, classes: int) -> Any:
        """The network, a torch.nn.Module of ultralytics, without weights."""

    def find(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Per picture (H, W, 3) uint8 RGB its people, most confident first.

        (n, 5 + 3 K) float32: box and confidence, then x, y and confidence of K keypoints, in pixels.
        """
        found: list[np.ndarray] = [np.empty(0, np.float32)] * len(images)
        sizes = [padded_size(image.shape[0], image.shape[1], self.side) for image in images]
        chunks = alike(sizes, CHUNK)
        begun = (self._begin([images[number] for number in chunk]) for chunk in chunks)
        # a GPU sees a chunk while the next one is scaled
        for chunk, people in zip(chunks, behind(begun, int(self.device.type == "cuda")), strict=True):
            for number, rows in zip(chunk, people, strict=True):
                found[number] = rows
        return found

    def _begin(self, images: list[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        """Begin to look at pictures of one padded size; the function that is returned waits for what is found."""
        import torch

        padded = [letterbox(image, self.side) for image in images]
        batch = upload([picture for picture, _ in padded], self.device)
        with torch.inference_mode():
            # (B, 4 + classes + 3 K, places): centre, size, a score per class, then keypoints
            raw = self.net(batch.permute(0, 3, 1, 2).float() / 255)
            raw = raw[0] if isinstance(raw, tuple) else raw  # ultralytics gives each level's output as well

        def finish() -> list[np.ndarray]:
            found = self._select(raw)
            for rows, (_, (scale, left, top)), image in zip(found, padded, images, strict=True):
                height, width = image.shape[:2]
                rows[:, [0, 2]] = ((rows[:, [0, 2]] - left) / scale).clip(0, width)
                rows[:, [1, 3]] = ((rows[:, [1, 3]] - top) / scale).clip(0, height)
                rows[:, 5::3] = (rows[:, 5::3] - left) / scale
                rows[:, 6::3] = (rows[:, 6::3] - top) / scale
            return found

        return finish

    def _select(self, raw: "torch.Tensor") -> list[np.ndarray]:
        """Raw output (B, 4 + classes + 3 K, places) → per picture people (n, 5 + 3 K) after non-maximum suppression.

        The candidates of all pictures come to the host together, as a GPU would be waited for several times a picture.
        """
        import torch
        from torchvision.ops import nms

        with torch.inference_mode():
            confidence, label = raw[:, 4 : 4 + self.classes].max(1)
            sure = (label == PERSON) & (confidence > self.confidence)
            # per candidate: number of its picture, place
            picture, place = sure.nonzero(as_tuple=True)
            rows = torch.cat([raw[:, :4], confidence[:, None], raw[:, 4 + self.classes :]], 1)
            rows = rows[picture, :, place].cpu()
            counts = torch.bincount(picture, minlength=len(raw)).tolist()
            found = []
            for own in rows.split(counts):
                x, y, w, h = own[:, :4].T
                boxes = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
                kept = nms(boxes, own[:, 4], self.iou)[:MOST]
                found.append(torch.cat([boxes, own[:, 4:]], 1)[kept].numpy())
        return found


class Yolov5(Yolo):
    """YOLOv5: the file says in which form, the anchor-free one of the ultralytics package (`u` models) or the classic
    one with anchors, which needs no such package."""

    def __init__(self, settings: DetectorSettings, device: "torch.device"):
        super().__init__(settings, settings.classes, device)

    def open_network(self, path: Path, architecture: str, classes: int, content: weights.Weights) -> Any:
        """See `Yolo`."""
        from mmcl.video import yolov5_classic

        if yolov5_classic.is_classic(content.tensors):
            return yolov5_classic.open_network(path, architecture, classes, content)
        return super().open_network(path, architecture, classes, content)

    @staticmethod
    def build(architecture: str, classes: int) -> Any:
        """The anchor-free form; `architecture` such as `yolov5m`."""
        import_ultralytics()
        from ultralytics.nn.tasks import DetectionModel

        return DetectionModel(f"{architecture}.yaml", nc=classes, verbose=False)

    def people(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `Detector`."""
        return self.find(images)


def alike(keys: Sequence[Hashable], most: int) -> list[list[int]]:
    """The numbers of equal keys together, at most so many at a time."""
    numbers: dict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        numbers[key].append(number)
    return [own[i : i + most] for own in numbers.values() for i in range(0, len(own), most)]


def letterbox(image: np.ndarray, side: int) -> tuple[np.ndarray, tuple[float, int, int]]:
    """Scale a picture to `side` on its longer side and pad it with grey to multiples of 32.

    Args:
        image: (H, W, 3) uint8.
        side: length of the longer side.

    Returns:
        The padded picture, and scale, left and top margin: x in the result = x · scale + left.
    """
    import cv2

    height, width = image.shape[:2]
    scale, h, w = _scaled(height, width, side)
    if (w, h) != (width, height):
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    padded = np.full((*padded_size(height, width, side), 3), GREY, np.uint8)
    top, left = (padded.shape[0] - h) // 2, (padded.shape[1] - w) // 2
    padded[top : top + h, left : left + w] = image
    return padded, (scale, left, top)


def padded_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of a picture after `letterbox`."""
    _, h, w = _scaled(height, width, side)
    return -(-h // STRIDE) * STRIDE, -(-w // STRIDE) * STRIDE


def _scaled(height: int, width: int, side: int) -> tuple[float, int, int]:
    """The scale, and the height and width of a picture that is scaled to `side` on its longer side."""
    scale = side / max(height, width)
    return scale, max(1, round(height * scale)), max(1, round(width * scale))


def known_weights(settings: DetectorSettings) -> DetectorSettings:
    """The settings with the sha256 of the weights file.

    Raises:
        UserError: the weights are missing or others than the config states.
    """
    return weights.with_sha256(settings, detector_class(settings).what_belongs)
