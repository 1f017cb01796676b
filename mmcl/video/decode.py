"""Reading frames of a recording."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcl.errors import UserError

if TYPE_CHECKING:
    import cv2

# FFmpeg would report every damaged frame on stderr; OpenCV reads these when it first opens a video
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

MAX_RATE = 10_000
"""Frames per second; a container that states more is damaged."""


class Recording:
    """A video file; its length is what can be decoded, not what its container claims.

    A recording that breaks off is used as far as it decodes. Frames are reached by decoding from the start:
    seeking lands on other frames in some containers.

    Attributes:
        path: the file.
        size: width and height in pixels.
        rate: frames per second as the container states; NaN if that is no plausible rate.
    """

    def __init__(self, path: str | Path):
        """Open a recording and decode its first frame.

        Raises:
            UserError: the file is absent, empty, not a video, or not a single frame of it can be decoded.
        """
        import cv2

        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{path}: no such video")
        if not self.path.stat().st_size:
            raise UserError(f"{path}: empty file")
        self._count: int | None = None
        self._begun: cv2.VideoCapture | None = _open(self.path)
        rate = self._begun.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < MAX_RATE else float("nan")
        # a guess: negative or absurd in damaged files
        self._claimed = max(1, int(self._begun.get(cv2.CAP_PROP_FRAME_COUNT)))
        first = _next_picture(self._begun) if self._begun.grab() else None
        if first is None:
            raise UserError(f"{path}: not a single frame can be decoded")
        self._first = first
        self.size = (first.shape[1], first.shape[0])

    @property
    def frames(self) -> int:
        """The number of frames that can be decoded."""
        if self._count is None:
            self._count, _ = self._sweep(set(), to_end=True)
        return self._count

    def choose(self, rule: Callable[[int], Sequence[int]]) -> tuple[list[int], dict[int, np.ndarray]]:
        """The frames that `rule` chooses for this recording's length, and their pictures.

        The length is known only at the end, so pictures are kept by the container's claim; if it was wrong, the
        file is decoded a second time.

        Returns:
            The frame numbers in the rule's order, and frame number → (H, W, 3) uint8.
        """
        self._count, images = self._sweep(set(rule(self._claimed)), to_end=True)
        chosen = list(rule(self._count))
        missing = set(chosen) - set(images)
        if missing:
            images |= self.read(missing)
        return chosen, {number: images[number] for number in chosen}

    def read(self, indices: Iterable[int]) -> dict[int, np.ndarray]:
        """Frame number → picture (H, W, 3) uint8, in one pass; numbers past the end are absent."""
        return self._sweep(set(indices), to_end=False)[1]

    def stream(self) -> Iterator[np.ndarray]:
        """All pictures (H, W, 3) uint8, in order."""
        capture = self._after_first()
        picture: np.ndarray | None = self._first
        while picture is not None:
            yield picture
            picture = _next_picture(capture) if capture.grab() else None

    def _sweep(self, wanted: set[int], to_end: bool) -> tuple[int, dict[int, np.ndarray]]:
        """Decode from the start; return the number of frames decoded and the pictures of those wanted."""
        images = {0: self._first} if 0 in wanted else {}
        number, last = 1, max(wanted, default=0)
        capture = self._after_first() if to_end or last else None
        # grab() decodes; retrieve() converts, which frames that are not wanted do not need
        while capture is not None and (to_end or number <= last) and capture.grab():
            if number in wanted:
                picture = _next_picture(capture)
                if picture is None:
                    break
                images[number] = picture
            number += 1
        return number, images

    def _after_first(self) -> "cv2.VideoCapture":
        """A capture positioned after the first frame: the one begun at opening, or a new one."""
        capture, self._begun = self._begun, None
        if capture is None:
            capture = _open(self.path)
            capture.grab()
        return capture


def _open(path: Path) -> "cv2.VideoCapture":
    import cv2

    # one thread: several clips are decoded in parallel
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise UserError(f"{path}: not a video, or damaged at its start")
    return capture


def _next_picture(capture: "cv2.VideoCapture") -> np.ndarray | None:
    """The frame just grabbed, (H, W, 3) uint8 RGB; None if it cannot be converted."""
    import cv2

    try:
        converted, bgr = capture.retrieve()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if converted else None
    except cv2.error:
        return None
