"""A clip as one picture: title, panels, montage and answer, lines of time, and what is suspicious."""

from functools import cached_property

import numpy as np

from mmcl.errors import UserError
from mmcl.report.player.lines import at_frame, lines_of
from mmcl.report.player.panels import Video, panels_of
from mmcl.report.player.shown import Answer, Shown
from mmcl.report.player.text import GREY, INK, RED, shortened, wrapped, write
from mmcl.video import jpeg

GAP = 6
NARROWEST = 760
ACROSS = 4
"""Panels of the views' size in a row."""
LINE = 18
NOTES = 8
"""Notes that are written; how many more there are is said."""


class Sheet:
    """A clip at any of its frames, (height, width, 3) uint8 of one size.

    Args:
        clip: what is shown.
        views: of each skeleton.
        side: pixels of a view.
    """

    def __init__(self, clip: Shown, views: tuple[str, ...], side: int):
        self.clip = clip
        self.panels = panels_of(clip, views, side)
        self.side = side
        self.places, width, self.below = _arranged([panel.size for panel in self.panels], side)
        self.width = max(NARROWEST, width)
        self.width += self.width % 2  # as a film's must be

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height that the video's pictures are wanted in; None without a video."""
        return next((panel.size for panel in self.panels if isinstance(panel, Video)), None)

    @cached_property
    def lines(self) -> np.ndarray:
        """The lines of time; nothing for a clip that is left out."""
        return (
            lines_of(self.clip, self.width)
            if self.clip.skeletons
            else np.full((0, self.width, 3), 255, np.uint8)
        )

    @cached_property
    def top(self) -> np.ndarray:
        """The title."""
        return title_of(self.clip, self.width)

    @cached_property
    def bottom(self) -> np.ndarray:
        """Montage, answers and notes."""
        parts = [answers_of(self.clip, self.width), notes_of(self.clip, self.width)]
        image = np.concatenate(parts)
        odd = (len(self.top) + self.below + len(self.lines) + LINE + len(image)) % 2
        return np.pad(image, ((0, odd), (0, 0), (0, 0)), constant_values=255)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height, both even."""
        return self.width, len(self.top) + self.below + LINE + len(self.lines) + len(self.bottom)

    def draw(self, frame: int, picture: np.ndarray | None = None) -> np.ndarray:
        """The clip at a frame; `picture` is its video's there, of `picture_size`."""
        clip = self.clip
        middle = np.full((self.below, self.width, 3), 255, np.uint8)
        for panel, (x, y) in zip(self.panels, self.places, strict=True):
            drawn = panel.draw(frame, picture)
            middle[y : y + drawn.shape[0], x : x + drawn.shape[1]] = drawn
        clock = np.full((LINE, self.width, 3), 255, np.uint8)
        lines = self.lines
        if clip.skeletons:
            write(clock, (2, 0), _clock(clip, frame), 12, INK)
            lines = at_frame(lines, frame, clip.frames)
        return np.concatenate([self.top, middle, clock, lines, self.bottom])


def _clock(clip: Shown, frame: int) -> str:
    text = f"frame {frame} of 0 … {clip.frames - 1}   {frame / clip.rate:.2f} s"
    if clip.film:
        text += f"   video frame {clip.film.frame[min(frame, len(clip.film.frame) - 1)]}"
    if recognition := clip.recognition:
        scores = recognition.scores[np.searchsorted(recognition.ends, frame + 1, "right") - 1]
        if frame + 1 >= recognition.ends[0]:
            best = int(scores.argmax())
            text += f"   so far: {recognition.classes[best]} {scores[best]:.2f}"
    return text


def _arranged(sizes: list[tuple[int, int]], side: int) -> tuple[list[tuple[int, int]], int, int]:
    """Upper left corners of panels in rows, and width and height of all."""
    places = []
    x = y = high = wide = 0
    for width, height in sizes:
        if x and x + width > ACROSS * (side + GAP) + side:
            x, y, high = 0, y + high + GAP, 0
        places.append((x, y))
        x, high = x + width + GAP, max(high, height)
        wide = max(wide, x - GAP)
    return places, wide, y + high + GAP if sizes else 0


def title_of(clip: Shown, width: int) -> np.ndarray:
    """(rows, width, 3): name, class, and what kind of skeleton it is."""
    image = np.full((44, width, 3), 255, np.uint8)
    write(image, (2, 2), shortened("   ".join([clip.name, clip.label]), width - 4, 16), 16, INK)
    if not clip.skeletons:
        return image
    parts = [*clip.about, "left light with rings, right dark"]
    write(image, (2, 24), shortened("   ".join(parts), width - 4, 12), 12, GREY)
    return image


def answers_of(clip: Shown, width: int) -> np.ndarray:
    """(rows, width, 3): the montage and what was answered about it; no rows without both."""
    import cv2

    if clip.montage is None and not clip.answers:
        return np.full((0, width, 3), 255, np.uint8)
    image = np.full((188, width, 3), 255, np.uint8)
    x = 2
    if clip.montage is not None:
        try:
            image[4:184, 2:182] = cv2.resize(
                jpeg.decode(clip.montage), (180, 180), interpolation=cv2.INTER_AREA
            )
        except UserError as error:
            write(image, (2, 4), shortened(str(error), width - 4, 12), 12, RED)
        x = 194
    y = 6
    for answer in clip.answers:
        for line in [*wrapped(f"{answer.model}: {answer.question}", width - x), said(answer)]:
            if y < 170:
                write(image, (x, y), shortened(line, width - x), 13, INK)
                y += LINE
        y += 6
    return image


def said(answer: Answer) -> str:
    """An answer in a line."""
    return f"“{answer.text}”" + ("" if np.isnan(answer.p_yes) else f"   p(yes) {answer.p_yes:.3f}")


def notes_of(clip: Shown, width: int) -> np.ndarray:
    """(rows, width, 3): why a clip is left out, and the notes; no rows where there are none."""
    left_out = [(f"left out: {clip.left_out}", RED)] if clip.left_out else []
    notes = [*left_out, *((note, INK) for note in clip.notes[:NOTES])]
    if len(clip.notes) > NOTES:
        notes.append((f"and {len(clip.notes) - NOTES} more notes", GREY))
    written = [
        (line if number == 0 else f"  {line}", colour)
        for note, colour in notes
        for number, line in enumerate(wrapped(f"• {note}", width - 16, 12))
    ]
    image = np.full((LINE * len(written) + (6 if written else 0), width, 3), 255, np.uint8)
    for number, (line, colour) in enumerate(written):
        write(image, (4, 2 + LINE * number), line, 12, colour)
    return image
