"""The parts of a picture that show a clip at one frame: a view of the skeleton, or its video."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mmcl.report.player.bones import draw_people
from mmcl.report.player.shown import Film, Shown, Skeleton
from mmcl.report.player.text import GREY, INK, shortened, write
from mmcl.report.player.views import AXES, Space, project, space_of, ticks

GRID, ZERO, GROUND = (232, 232, 232), (190, 190, 190), (150, 150, 150)


class Panel(Protocol):
    """A part of a picture.

    Attributes:
        size: width and height in pixels.
    """

    @property
    def size(self) -> tuple[int, int]: ...

    def draw(self, frame: int, picture: np.ndarray | None) -> np.ndarray:
        """(height, width, 3) uint8 at a frame of the skeleton; `picture` is the video's there."""


@dataclass(frozen=True)
class View:
    """A parallel projection of the skeleton, with grid, axes and the height of the lowest joint."""

    skeleton: Skeleton
    view: str
    space: Space
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """See `Panel`."""
        return self.side, self.side

    @cached_property
    def places(self) -> np.ndarray:
        """(T, M, V, 2) pixels."""
        return project(self.skeleton.joints.astype(np.float64), self.view, self.space, self.side)

    @cached_property
    def empty(self) -> np.ndarray:
        """What is the same in all frames."""
        import cv2

        image = np.full((self.side, self.side, 3), 255, np.uint8)
        right, up = AXES[self.view]
        low, high = self.space.centre - self.space.half, self.space.centre + self.space.half
        for axis in (right, up):
            for value in ticks(self.space.centre[axis], self.space.half):
                ends = np.array([low, high])
                ends[:, axis] = value
                one, other = np.round(project(ends, self.view, self.space, self.side)).astype(int).tolist()
                cv2.line(image, one, other, ZERO if value == 0 else GRID, 1)
        if self.view != "top":
            level = round(float(project(self.space.low, self.view, self.space, self.side)[1]))
            for start in range(0, self.side, 12):
                cv2.line(image, (start, level), (start + 6, level), GROUND, 1)
            write(image, (self.side - 84, min(level + 1, self.side - 32)), "lowest joint", 10, GREY)
        for value in ticks(self.space.centre[right], self.space.half)[:-1]:
            at = project(np.where(np.arange(3) == right, value, low), self.view, self.space, self.side)
            write(image, (round(float(at[0])) + 2, self.side - 15), f"{value:g}", 10, GREY)
        for value in ticks(self.space.centre[up], self.space.half):
            at = project(np.where(np.arange(3) == up, value, low), self.view, self.space, self.side)
            if 20 < at[1] < self.side - 18:
                write(image, (2, round(float(at[1])) - 13), f"{value:g}", 10, GREY)
        title = f"{self.view}: {'xyz'[right]} →, {'xyz'[up]} ↑ in {self.skeleton.unit}"
        head = f"{self.skeleton.title}, {title}" if self.skeleton.title else title
        write(image, (4, 2), shortened(head, self.side - 8, 12), 12, INK)
        cv2.rectangle(image, (0, 0), (self.side - 1, self.side - 1), ZERO, 1)
        return image

    def draw(self, frame: int, picture: np.ndarray | None) -> np.ndarray:
        """See `Panel`; a skeleton that is shorter than others stays at its last frame."""
        image = self.empty.copy()
        own = min(frame, len(self.places) - 1)
        draw_people(image, self.places[own], self.skeleton, own, max(1, round(self.side / 150)))
        return image


@dataclass(frozen=True)
class Video:
    """The video with the skeleton where it is in the picture."""

    film: Film
    skeleton: Skeleton
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """See `Panel`; at most twice as wide as high."""
        width, height = self.film.size
        wide = min(round(self.height * width / height), 2 * self.height)
        return wide, min(self.height, round(wide * height / width))

    def draw(self, frame: int, picture: np.ndarray | None) -> np.ndarray:
        """See `Panel`."""
        assert picture is not None
        image = picture.copy()
        if self.film.pixels is not None and frame < len(self.film.pixels):
            places = self.film.pixels[frame] * (np.array(self.size) / np.array(self.film.size))
            draw_people(image, places, self.skeleton, frame, max(1, round(self.size[1] / 180)), halo=True)
        return image


def panels_of(clip: Shown, views: tuple[str, ...], side: int, height: int | None = None) -> list[Panel]:
    """The parts that show a clip: its video, then the views of each skeleton; of a flat one the front alone.

    Args:
        clip: what is shown.
        views: of each skeleton.
        side: pixels of a view.
        height: of the video; as that of a view if None.
    """
    panels: list[Panel] = []
    if clip.film:
        panels.append(Video(clip.film, clip.skeletons[0], height or side))
    # skeletons in one unit are drawn to one scale
    for skeleton in clip.skeletons:
        space = space_of([one for one in clip.skeletons if one.unit == skeleton.unit])
        shown = ("front",) if skeleton.flat else views
        panels += [View(skeleton, view, space, side) for view in shown]
    return panels
