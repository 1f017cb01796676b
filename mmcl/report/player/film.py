"""The video of a clip: which of its frames belongs to which of the skeleton, and where the joints lie in it."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmcl.datasets.clip import ClipEntry, hold_positions
from mmcl.datasets.listing import read_recording
from mmcl.errors import UserError
from mmcl.report.player.shown import Film
from mmcl.report.player.source import Listed
from mmcl.video.decode import Recording


def film_of(listed: Listed, entry: ClipEntry, frames: int, people: int) -> tuple[Film, float, str]:
    """The video of a clip.

    Args:
        listed: the data set.
        entry: the clip, with a video.
        frames, people: of the skeleton that is shown.

    Returns:
        The video, the skeleton's frames per second (NaN if the video does not tell: cameras of their own state rates
        that are not those of the recording), and what is to be said about it, "" for nothing.

    Raises:
        UserError: the video cannot be decoded.
    """
    assert listed.videos is not None
    recording = Recording(listed.videos / entry.video)
    pixels, note = _pixels(listed, entry, recording.size)
    recorded = _recorded(listed, entry, pixels)
    count = recording.frames
    kept = np.arange(frames)
    if recorded is None:
        total, note = frames, note or "video and skeleton are assumed to begin and end together"
    elif len(recorded) == frames:
        total = frames
    elif recorded.sum() == frames:
        kept, total = np.flatnonzero(recorded), len(recorded)
    else:
        kept, total = np.arange(frames) * len(recorded) // frames, len(recorded)
        note = (
            note
            or f"the skeleton has {frames} frames, its recording {len(recorded)}: they are shown in proportion"
        )
    # the same moment, not the same number: a colour camera may have another frame rate than the skeleton
    moment = np.minimum((2 * kept + 1) * count // (2 * total), count - 1)
    if pixels is not None:
        pixels = _as_many(pixels[np.minimum(kept, len(pixels) - 1)], people)
    return (
        Film(recording.path, moment, pixels, recording.size),
        recording.rate if total == count else float("nan"),
        note,
    )


def _pixels(listed: Listed, entry: ClipEntry, size: tuple[int, int]) -> tuple[np.ndarray | None, str]:
    """Joints of every recorded frame in the picture; or None and why."""
    try:
        return read_recording(lambda one: listed.reader.pixel_joints(one, *size), entry), ""
    except UserError as error:
        return None, f"joints are not drawn on the video: {error}"


def _recorded(listed: Listed, entry: ClipEntry, pixels: np.ndarray | None) -> np.ndarray | None:
    """(F) which of the recorded frames hold somebody; None if it is not known how many there are."""
    if read := getattr(listed.reader, "raw_clip", None):
        raw = read_recording(read, entry)
        return np.array([hold_positions(frame).any() for frame in raw])
    if pixels is not None:
        there: np.ndarray = np.isfinite(pixels).any((1, 2, 3))
        return there
    return None


def _as_many(pixels: np.ndarray, people: int) -> np.ndarray:
    """(T, people, V, 2): a person whom the recording lacks is nowhere."""
    found = np.full((len(pixels), people, *pixels.shape[2:]), np.nan, np.float32)
    both = min(people, pixels.shape[1])
    found[:, :both] = pixels[:, :both]
    return found


def pictures(film: Film, frames: Sequence[int], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The video's pictures (H, W, 3) at ascending frames of the skeleton, scaled to `size`; one at a time in memory.

    A frame past the end of a video that has become shorter shows the last one.
    """
    import cv2

    stream = enumerate(Recording(film.path).stream())
    number, picture = next(stream)
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for frame in frames:
        wanted = int(film.frame[frame])
        changed = False
        while number < wanted:
            following = next(stream, None)
            if following is None:
                break
            (number, picture), changed = following, True
        if changed:
            scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        yield scaled
