"""What there is to show of a clip."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcl.datasets.clip import hold_positions


@dataclass(frozen=True)
class Skeleton:
    """The people of a clip, in one joint layout.

    Attributes:
        title: says which one it is, where several are drawn side by side; "" for one alone.
        layout: its joint layout.
        joints: (T, M, V, 3) float32, x to the right and y up in the picture, z away from the camera; an absent person
            is all zero, and what is not known NaN.
        unit: of the joints.
        confidence: (T, M, V) of a pose estimator; None without one.
    """

    title: str
    layout: str
    joints: np.ndarray
    unit: str
    confidence: np.ndarray | None = None

    @cached_property
    def present(self) -> np.ndarray:
        """(T, M) who is there: at least one joint is known and not zero."""
        known = np.isfinite(self.joints).all(-1, keepdims=True)
        there: np.ndarray = (known & (self.joints != 0)).any((2, 3))
        return there

    @cached_property
    def whole(self) -> np.ndarray:
        """(T, M) whose joints are all measurements."""
        frames, people = self.joints.shape[:2]
        flat = hold_positions(self.joints.reshape(-1, *self.joints.shape[2:]))
        found: np.ndarray = flat.reshape(frames, people)
        return found

    @cached_property
    def flat(self) -> bool:
        """Whether it is 2-D: all z are zero."""
        return not np.nan_to_num(self.joints[..., 2]).any()

    @cached_property
    def known(self) -> np.ndarray:
        """(T, M, V) which joints can be drawn; an estimator's of confidence 0 have no place."""
        known: np.ndarray = np.isfinite(self.joints).all(-1) & self.present[..., None]
        return known if self.confidence is None else known & (self.confidence > 0)


@dataclass(frozen=True)
class Film:
    """The video of a clip.

    Attributes:
        path: the file.
        frame: (T) the video's frame at each frame of the skeleton, ascending.
        pixels: (T, M, V, 2) joints in pixels of its pictures, NaN where unknown; None if they cannot be placed there.
        size: width and height of its pictures.
    """

    path: Path
    frame: np.ndarray
    pixels: np.ndarray | None
    size: tuple[int, int]


class Answer(NamedTuple):
    """What a vision-language model said about the clip; `p_yes` is NaN for other questions than those of yes and no."""

    model: str
    question: str
    text: str
    p_yes: float


@dataclass(frozen=True)
class Recognition:
    """What a model recognises in a clip, and in its beginnings.

    Attributes:
        model: as the user named it.
        classes: names of the C classes.
        ends: (K) frames, ascending: the beginnings reach from the first frame to these, the last one is the clip.
        scores: (K, C) softmax scores of the beginnings.
        shortest: frames of the shortest piece of this clip that the training shows; beginnings that are shorter are
            unlike anything that the network has learned from.
    """

    model: str
    classes: list[str]
    ends: np.ndarray
    scores: np.ndarray
    shortest: int

    def best(self, count: int) -> list[int]:
        """The classes with the highest scores of the whole clip, best first."""
        order: list[int] = np.argsort(-self.scores[-1], kind="stable")[:count].tolist()
        return order


@dataclass
class Shown:
    """A clip as it is shown.

    Attributes:
        name: of the clip.
        rate: frames per second of its skeleton.
        assumed: whether nothing tells that rate.
        label: its class, "" if that is unknown.
        skeletons: the first one is the clip, others stand beside it; none for a clip that is left out.
        left_out: why it is; "" if it is not.
        film: its video.
        montage: JPEG bytes.
        answers: about the montage.
        recognition: by a model.
        notes: what looks suspicious, and what could not be shown.
    """

    name: str
    rate: float
    label: str = ""
    skeletons: tuple[Skeleton, ...] = ()
    left_out: str = ""
    film: Film | None = None
    montage: bytes | None = None
    answers: list[Answer] = field(default_factory=list)
    recognition: Recognition | None = None
    notes: list[str] = field(default_factory=list)
    assumed: bool = False

    @property
    def frames(self) -> int:
        """Of the longest skeleton."""
        return max((len(one.joints) for one in self.skeletons), default=0)

    @property
    def different(self) -> list[Skeleton]:
        """The skeletons without those that are the same joints drawn in another layout."""
        return [
            one
            for number, one in enumerate(self.skeletons)
            if all(one.joints is not other.joints for other in self.skeletons[:number])
        ]

    @property
    def about(self) -> list[str]:
        """What kind of skeleton it is, in a few words each."""
        if not self.skeletons:
            return []
        first = self.skeletons[0]
        people = first.joints.shape[1]
        return [
            f"{first.layout}, {'2-D' if first.flat else '3-D'}",
            f"{people} {'person' if people == 1 else 'people'}",
            f"{self.frames} frames, {self.rate:g} a second{' (assumed)' if self.assumed else ''}",
        ]
