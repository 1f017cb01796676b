"""Clips as a film (MP4), an animated picture (GIF) or a strip of frames (PNG)."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mmcl.errors import UserError
from mmcl.files import written
from mmcl.progress import progress
from mmcl.report.player.film import pictures
from mmcl.report.player.lines import lines_of, time_x
from mmcl.report.player.panels import Panel, Video, panels_of
from mmcl.report.player.sheet import GAP, Sheet, answers_of, notes_of, title_of
from mmcl.report.player.shown import Shown
from mmcl.report.player.text import GREY, INK, write
from mmcl.report.spread import spread

STILL = 2.0
"""Seconds that a clip without a skeleton is seen."""
H264, MPEG4 = "H.264", "MPEG-4 Visual"
COLOURS = 128
"""Of a GIF's picture."""


def write_film(clips: Sequence[Shown], output: Path, views: tuple[str, ...], side: int) -> int:
    """Write an MP4 at the first clip's rate, one clip after another; its codec is that of `codec`.

    Returns:
        The number of its frames.

    Raises:
        UserError: it cannot be written.
    """
    sheets = [Sheet(clip, views, side) for clip in clips]
    size = _common(sheets)
    encode = _encode_h264 if codec() == H264 else _encode_mpeg4
    with written(output) as temporary:
        return encode(_frames(sheets, size), Path(temporary), clips[0].rate, size)


def codec() -> str:
    """What films are written in: H.264, which all players and browsers play, with PyAV (extra `film`); else MPEG-4.

    A PyAV whose ffmpeg was built without x264, as a distribution's may be, cannot.
    """
    try:
        import av
    except ImportError:
        return MPEG4
    return H264 if "libx264" in av.codecs_available else MPEG4


def _encode_h264(images: Iterable[np.ndarray], output: Path, rate: float, size: tuple[int, int]) -> int:
    import av

    count = 0
    # the table of frames in front: a browser begins to play before it has the whole file
    with av.open(str(output), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream = film.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20"}
        for image in images:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            count += 1
        film.mux(stream.encode(None))
    return count


def _encode_mpeg4(images: Iterable[np.ndarray], output: Path, rate: float, size: tuple[int, int]) -> int:
    import cv2

    count = 0
    film = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    if not film.isOpened():
        raise UserError(f"{output}: OpenCV cannot write a film of {size[0]} × {size[1]} pixels there")
    for image in images:
        film.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        count += 1
    film.release()
    return count


def write_animation(clips: Sequence[Shown], output: Path, views: tuple[str, ...], side: int) -> int:
    """Write a GIF that repeats for ever, at the first clip's rate; returns the number of its frames.

    A GIF counts in hundredths of a second: single frames are a little longer or shorter, all together are right.
    """
    from PIL import Image

    sheets = [Sheet(clip, views, side) for clip in clips]
    size = _common(sheets)
    images = [
        Image.fromarray(image).quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        for image in _frames(sheets, size)
    ]
    ends = np.round(100 * np.arange(len(images) + 1) / clips[0].rate).astype(int)
    durations = (10 * np.maximum(np.diff(ends), 1)).tolist()
    with written(output) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            disposal=1,
        )
    return len(images)


def _common(sheets: Sequence[Sheet]) -> tuple[int, int]:
    """The size that holds all of them."""
    return max(sheet.size[0] for sheet in sheets), max(sheet.size[1] for sheet in sheets)


def _frames(sheets: Sequence[Sheet], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """All frames (H, W, 3), with a bar where it takes long."""
    counts = [sheet.clip.frames or round(STILL * sheets[0].clip.rate) for sheet in sheets]
    with progress("drawing", sum(counts), "frames") as step:
        for sheet, count in zip(sheets, counts, strict=True):
            for image in _of_clip(sheet, range(count)):
                full = np.full((size[1], size[0], 3), 255, np.uint8)
                full[: image.shape[0], : image.shape[1]] = image
                yield full
                step.advance()


def _of_clip(sheet: Sheet, frames: range) -> Iterator[np.ndarray]:
    film, wanted = sheet.clip.film, sheet.picture_size
    if film is None or wanted is None:
        yield from (sheet.draw(frame) for frame in frames)
        return
    shown = [min(frame, len(film.frame) - 1) for frame in frames]
    for frame, picture in zip(frames, pictures(film, shown, wanted), strict=True):
        yield sheet.draw(frame, picture)


def write_strip(clips: Sequence[Shown], output: Path, views: tuple[str, ...], side: int, count: int) -> int:
    """Write a PNG with `count` frames of each clip side by side, evenly over its time; returns how many there are.

    Each clip has a row for its video and one for each view, and its lines of time below.
    """
    from PIL import Image

    parts = [_strip(clip, views, side, count) for clip in clips]
    width = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 12), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in parts
    ]
    with written(output) as temporary:
        Image.fromarray(np.concatenate(padded)).save(temporary, format="PNG", optimize=True)
    return sum(min(count, clip.frames) for clip in clips)


def _strip(clip: Shown, views: tuple[str, ...], side: int, count: int) -> np.ndarray:
    height = round(side * clip.film.size[1] / clip.film.size[0]) if clip.film else side
    panels = panels_of(clip, views, side, height)
    frames = spread(range(max(clip.frames, 1)), count)
    cell = max((panel.size[0] for panel in panels), default=side)
    width = max(len(frames) * (cell + GAP), 760)
    rows = [title_of(clip, width)]
    if clip.skeletons:
        times = np.full((20, width, 3), 255, np.uint8)
        for number, frame in enumerate(frames):
            write(times, (number * (cell + GAP) + 2, 2), f"{frame}   {frame / clip.rate:.2f} s", 12, GREY)
        rows.append(times)
        rows += [_row(clip, panel, frames, cell, width) for panel in panels]
        lines = lines_of(clip, width)
        for frame in frames:
            x = time_x(frame, clip.frames, width)
            lines[:, x : x + 1] = INK
        rows.append(lines)
    rows += [answers_of(clip, width), notes_of(clip, width)]
    return np.concatenate(rows)


def _row(clip: Shown, panel: Panel, frames: list[int], cell: int, width: int) -> np.ndarray:
    image = np.full((panel.size[1] + GAP, width, 3), 255, np.uint8)
    drawn: Iterator[np.ndarray | None] = iter([None] * len(frames))
    if isinstance(panel, Video):
        shown = [min(frame, len(panel.film.frame) - 1) for frame in frames]
        drawn = pictures(panel.film, shown, panel.size)
    for number, (frame, picture) in enumerate(zip(frames, drawn, strict=True)):
        part = panel.draw(frame, picture)
        x = number * (cell + GAP)
        image[: part.shape[0], x : x + part.shape[1]] = part
    return image
