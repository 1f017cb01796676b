"""Reading frames of a recording.

A recording is foreign data. What of it is read is limited before anything is decoded: its kind, the size of a frame
and the number of frames. FFmpeg opens no other file and no connection for it: a list of files (HLS, ffconcat) with the
ending of a video is no recording.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmcl.errors import shown
from mmcl.video import jpeg
from mmcl.video.jpeg import Unreadable

if TYPE_CHECKING:
    import cv2

MAX_RATE = 10_000
"""Frames per second; a container that states more is damaged."""
MAX_FRAMES = 2_000_000
"""Frames of a recording: eighteen hours at 30 a second."""
TOGETHER = 1 << 30
"""Bytes of pictures that are read at a time where any number of frames may be wanted."""

KINDS = (
    "apng,asf,av1,avi,dhav,dv,flv,gif,gxf,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,vc1,wtv,yuv4mpegpipe"
)
"""FFmpeg's names of what is read: each holds its pictures itself."""

# FFmpeg would report every damaged frame on stderr; OpenCV reads these when it first opens a video
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault(
    "OPENCV_FFMPEG_CAPTURE_OPTIONS",
    f"protocol_whitelist;file|format_whitelist;{KINDS}|max_pixels;{jpeg.MAX_PIXELS}",
)


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
            Unreadable: the file is absent, empty, not a video, its frames are too large, or not a single one of them
                can be decoded.
        """
        import cv2

        self.path = Path(path)
        self._count: int | None = None
        self._begun: cv2.VideoCapture | None = open_video(self.path)
        rate = self._begun.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < MAX_RATE else float("nan")
        self._claimed = max(1, claimed_frames(self._begun))
        first = self._next_picture(self._begun) if self._begun.grab() else None
        if first is None:
            raise Unreadable(f"{path}: not a single frame can be decoded")
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
        file is decoded again.

        Returns:
            The frame numbers in the rule's order, and frame number → (H, W, 3) uint8.
        """
        self._count, images = self._sweep(set(rule(self._claimed)), to_end=True)
        while missing := {*(chosen := list(rule(self._count)))} - {*images}:
            reached, more = self._sweep(missing, to_end=False)
            images |= more
            # a frame that counts as decoded cannot be converted: the recording ends there
            if missing - {*more}:
                self._count = min(self._count - 1, reached)
        return chosen, {number: images[number] for number in chosen}

    def read(self, indices: Iterable[int]) -> dict[int, np.ndarray]:
        """Frame number → picture (H, W, 3) uint8, in one pass; numbers past the end are absent."""
        return self._sweep(set(indices), to_end=False)[1]

    def read_in_turn(self, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Frame numbers and their pictures (H, W, 3) uint8 in the given order, as many at a time as memory allows."""
        together = max(1, TOGETHER // self._first.nbytes)
        for start in range(0, len(indices), together):
            part = indices[start : start + together]
            images = self.read(part)
            yield from ((number, images[number]) for number in part if number in images)

    def stream(self) -> Iterator[np.ndarray]:
        """All pictures (H, W, 3) uint8, in order."""
        capture = self._after_first()
        picture: np.ndarray | None = self._first
        number = 0
        while picture is not None:
            yield picture
            number += 1
            self._not_endless(number)
            picture = self._next_picture(capture) if capture.grab() else None

    def _sweep(self, wanted: set[int], to_end: bool) -> tuple[int, dict[int, np.ndarray]]:
        """Decode from the start; return the number of frames decoded and the pictures of those wanted."""
        images = {0: self._first} if 0 in wanted else {}
        number, last = 1, max(wanted, default=0)
        capture = self._after_first() if to_end or last else None
        # grab() decodes; retrieve() converts, which frames that are not wanted do not need
        while capture is not None and (to_end or number <= last) and capture.grab():
            if number in wanted:
                picture = self._next_picture(capture)
                if picture is None:
                    break
                images[number] = picture
            number += 1
            self._not_endless(number)
        return number, images

    def _not_endless(self, frames: int) -> None:
        if frames > MAX_FRAMES:
            raise Unreadable(f"{self.path}: more than {MAX_FRAMES} frames")

    def _after_first(self) -> "cv2.VideoCapture":
        """A capture positioned after the first frame: the one begun at opening, or a new one."""
        capture, self._begun = self._begun, None
        if capture is None:
            capture = open_video(self.path)
            capture.grab()
        return capture

    def _next_picture(self, capture: "cv2.VideoCapture") -> np.ndarray | None:
        """The frame just grabbed, (H, W, 3) uint8 RGB; None if it cannot be converted."""
        import cv2

        try:
            converted, bgr = capture.retrieve()
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if converted else None
        except cv2.error as error:
            if error.code == cv2.Error.StsNoMem:  # of this machine, and not of the recording
                raise MemoryError(str(error)) from None
            return None
        if rgb is not None:
            jpeg.refuse_large(rgb.shape[1], rgb.shape[0], self.path)
        return rgb


def open_video(path: Path) -> "cv2.VideoCapture":
    """A video whose frames have a permitted size, as its container states it.

    Raises:
        Unreadable: the file is absent, empty, not a video, or its frames are too large.
    """
    import cv2

    try:
        if not path.is_file():
            raise Unreadable(f"{path}: no such video")
        with open(path, "rb") as file:
            if not file.read(1):
                raise Unreadable(f"{path}: empty file")
            # absolute, as FFmpeg takes what stands before a colon for a protocol; a name that is no Unicode text
            # crashes OpenCV, so it gets the open file
            plain = all(not 0xD800 <= ord(character) < 0xE000 for character in str(path.absolute()))
            name = str(path.absolute()) if plain else f"/dev/fd/{file.fileno()}"
            # one thread: several clips are decoded in parallel
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except cv2.error as error:
        raise Unreadable(f"{path}: not a video ({shown(str(error))})") from None
    if not capture.isOpened():
        raise Unreadable(f"{path}: not a video, or damaged at its start")
    width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    jpeg.refuse_large(width, height, path)
    return capture


def claimed_frames(capture: "cv2.VideoCapture") -> int:
    """The number of frames that a container states: a guess, absurd in damaged files; 0 if it states none."""
    import cv2

    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count <= MAX_FRAMES else 0
