"""Everything that there is to show of clips, put together."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmcl.errors import UserError
from mmcl.layouts import Layout, get_layout, names
from mmcl.report.player.film import film_of
from mmcl.report.player.results import Results, results_of
from mmcl.report.player.shown import Film, Shown, Skeleton
from mmcl.report.player.source import HEIGHTS, METRES, PIXELS, Source
from mmcl.report.player.tracks import suspicious

if TYPE_CHECKING:
    from mmcl.evaluation.recognise import Recogniser

log = logging.getLogger(__name__)

RATE = 30.0
"""Frames per second where nothing tells: a Kinect's."""

Examine = Callable[[np.ndarray, Layout, float], Iterable[tuple[str, str]]]
"""A clip (T, M, V, 3) in metres, its layout and frames per second → kind and detail of what is wrong with it."""


@dataclass(frozen=True)
class Wanted:
    """What is shown of a clip beside its skeleton.

    Attributes:
        layouts: the same joints are drawn as those of these layouts, side by side; of its own if there are none.
        other: another source whose clip of the same name stands beside it.
        rate: frames per second, instead of what is known.
        film: whether its video is shown.
        recogniser: the model that recognises it, and how the user named it.
        examine: what looks for damage.
    """

    layouts: Sequence[str] = ()
    other: Source | None = None
    rate: float | None = None
    film: bool = True
    recogniser: "tuple[Recogniser, str] | None" = None
    examine: Examine | None = None


def gather(source: Source, clips: Sequence[str], wanted: Wanted) -> Iterator[Shown]:
    """The clips, one after another.

    Raises:
        UserError: a layout has another number of joints, or no clip is in the other source.
    """
    layouts = [get_layout(one) for one in wanted.layouts]
    count = len(get_layout(source.recordings.layout))
    if wrong := [one for one in layouts if len(one) != count]:
        fitting = [name for name in names() if len(get_layout(name)) == count]
        raise UserError(
            f"layout {wrong[0].name} has {len(wrong[0])} joints, {source.title} {count}; layouts with {count}: "
            f"{', '.join(fitting)}"
        )
    if wanted.other and not set(clips) & set(wanted.other.recordings.names):
        raise UserError(
            f"{wanted.other.title}: has none of the clips {', '.join(clips[:3])} … of {source.title}"
        )
    made = results_of(source.root, source.dataset, clips) if source.dataset else Results({}, {})
    for name in clips:
        yield _one(source, name, wanted, made)


def _one(source: Source, name: str, wanted: Wanted, made: Results) -> Shown:
    clip = Shown(
        name,
        wanted.rate or RATE,
        source.labels.get(name, ""),
        left_out=source.left_out.get(name, ""),
        assumed=wanted.rate is None,
        montage=made.montages.get(name),
        answers=made.answers.get(name, []),
    )
    try:
        joints = source.recordings.read(name)
    except UserError as error:
        clip.left_out = clip.left_out or str(error)
        return clip
    clip.skeletons = tuple(_skeletons(source, name, joints, wanted))
    clip.film = _film(source, name, joints, clip, wanted)
    first = clip.skeletons[0]
    for skeleton in clip.skeletons:
        prefix = f"{skeleton.title}: " if skeleton.title else ""
        found = suspicious(skeleton)
        if wanted.examine and not skeleton.flat:
            layout = get_layout(skeleton.layout)
            found += [f"{kind}: {what}" for kind, what in wanted.examine(skeleton.joints, layout, clip.rate)]
        clip.notes += [prefix + note for note in found]
    if wanted.recogniser:
        from mmcl.report.player.recognised import recognise  # takes seconds, for torch

        recogniser, named = wanted.recogniser
        try:
            clip.recognition, notes = recognise(recogniser, named, joints, first.layout)
            clip.notes += notes
        except UserError as error:
            clip.notes.append(f"not recognised: {error}")
    return clip


def _skeletons(source: Source, name: str, joints: np.ndarray, wanted: Wanted) -> Iterator[Skeleton]:
    confidence = source.poses.read(name).keypoints[..., 2] if source.poses else None
    drawn_as = wanted.layouts or [source.recordings.layout]
    for layout in drawn_as:
        title = f"as {layout}" if len(drawn_as) > 1 else source.title if wanted.other else ""
        yield Skeleton(title, layout, joints, _unit(source, joints), confidence)
    other = wanted.other
    if other is None:
        return
    try:
        beside = other.recordings.read(name)
    except UserError as error:
        log.warning("%s: %s: %s", other.title, name, error)
        return
    sure = other.poses.read(name).keypoints[..., 2] if other.poses else None
    yield Skeleton(other.title, other.recordings.layout, beside, _unit(other, beside), sure)


def _unit(source: Source, joints: np.ndarray) -> str:
    if source.poses:
        return PIXELS
    return METRES if np.nan_to_num(joints[..., 2]).any() else HEIGHTS


def _film(source: Source, name: str, joints: np.ndarray, clip: Shown, wanted: Wanted) -> Film | None:
    """The clip's video, which also tells the clip's rate."""
    rate = source.rates.get(name, float("nan"))
    film = None
    entry = source.listed.entries.get(name) if source.listed else None
    if source.listed and source.listed.videos and entry and wanted.film:
        if not entry.video:
            clip.notes.append("it has no video")
        else:
            try:
                film, filmed, note = film_of(source.listed, entry, len(joints), joints.shape[1])
                rate = rate if np.isfinite(rate) else filmed
                clip.notes += [note] if note else []
            except UserError as error:
                clip.notes.append(f"its video is not shown: {error}")
    if wanted.rate is None and np.isfinite(rate):
        clip.rate, clip.assumed = round(float(rate), 2), False
    if film and source.poses:
        film = _placed(film, source, name)
    return film


def _placed(film: Film, source: Source, name: str) -> Film:
    """Estimated poses where they were found."""
    assert source.poses is not None
    keypoints, size = source.poses.read(name)
    scale = np.array(film.size, np.float32) / np.array(size, np.float32)
    pixels = np.where(keypoints[..., 2:] > 0, keypoints[..., :2] * scale, np.nan)
    return Film(film.path, film.frame, pixels.astype(np.float32), film.size)
