"""From videos to person crops (rule `crop_people`)."""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcl import store
from mmcl.datasets import ClipEntry, Reader, open_reader
from mmcl.datasets.index import read_index
from mmcl.errors import UserError, memory_reported
from mmcl.naming import members
from mmcl.settings.base import replaced
from mmcl.settings.jobs import Cropping
from mmcl.settings.video import CropSettings
from mmcl.video import boxes, detect, jpeg, sampling
from mmcl.video.decode import Recording
from mmcl.video.locate import Locate, Picture, open_source

SCHEMA = "mmcl.crops/1"
SEARCHED_TOGETHER = 4
"""Neighbouring frames searched per call where a chosen frame shows nobody."""


class Crop(NamedTuple):
    """A person's box in a frame: box (4,) int64, confidence, frame number, the whole picture."""

    box: np.ndarray
    score: float
    frame: int
    image: np.ndarray


@dataclass
class Clip:
    """A recording with its chosen frames' numbers and pictures."""

    entry: ClipEntry
    recording: Recording
    chosen: list[int]
    images: dict[int, np.ndarray]

    def picture(self, frame: int, image: np.ndarray) -> Picture:
        """A frame of this clip."""
        return Picture(self.entry, frame, self.recording.frames, image)


def crop_people(
    index: Path,
    skeletons: str | Path | None,
    videos: str | Path | None,
    shard: tuple[int, int],
    output: Path,
    settings: Cropping,
    threads: int,
) -> None:
    """Cut the people out of a shard's recordings, `mmcl.crops/1`.

    A clip has no row, with the reason, if it has no video, cannot be decoded, or shows nobody.

    Args:
        index: the data set's index (TSV).
        skeletons: the data set's folder (or file) of skeletons, if it has one.
        videos: the folder of its videos.
        shard: (i, n): every n-th clip of the sorted index, from the i-th; clips left out there do not count.
        output: where to write.
        settings: of the stage.
        threads: recordings decoded in parallel, and threads of the network.

    Raises:
        UserError: missing folder, missing weights or package.
    """
    reader = open_reader(settings, skeletons, videos)
    if not videos:
        raise UserError(f"videos: no folder is given for the reader {settings.reader}. {reader.what_belongs}")
    settings = _effective(settings)
    video = settings.video
    entries = {entry.name: entry for entry in read_index(index) if not entry.left_out}
    remedy = f"lower video.batch (now {video.batch})"
    with memory_reported(remedy), ThreadPoolExecutor(max(1, threads)) as pool:
        cropper = Cropper(reader, Path(videos), video, pool, threads)
        store.write(
            output,
            schema=SCHEMA,
            settings=settings.dump(),
            names=members(list(entries), shard),
            columns=store.columns(
                SCHEMA,
                boxes=(video.count, 4),
                scores=(video.count,),
                frame=(video.count,),
                images=(video.count,),
            ),
            batch_size=video.batch,
            work=lambda names: cropper.batch([entries[name] for name in names]),
            inputs=[index],
        )


def _effective(settings: Cropping) -> Cropping:
    """The settings with the sha256 of the detector's weights, and the defaults of those that are not used."""
    video = settings.video
    used = {name: getattr(video, name) for name in type(video).model_fields}
    if video.boxes == "detector":
        used["detector"] = detect.known_weights(video.detector)
    else:
        del used["detector"]
    if video.boxes != "projected_joints":
        del used["margin"]
    return replaced(settings, video=CropSettings.model_validate(used))


class Cropper:
    """Makes the crops of one batch of clips after another."""

    def __init__(
        self, reader: Reader, videos: Path, settings: CropSettings, pool: ThreadPoolExecutor, threads: int
    ):
        """The detector is opened with the first batch that needs it."""
        self.reader = reader
        self.videos = videos
        self.settings = settings
        self.pool = pool
        self.threads = threads

    @functools.cached_property
    def locate(self) -> Locate:
        """Finds people."""
        return open_source(self.settings, self.reader, self.threads)

    def batch(self, entries: Sequence[ClipEntry]) -> store.Batch:
        """Crops of a few clips, whose pictures form the detector's batches together."""
        failed: dict[str, str] = {}
        clips: list[Clip] = []
        everywhere = self.settings.frames == "all"
        for entry, clip in zip(entries, self.pool.map(self._open, entries), strict=True):
            if isinstance(clip, Clip):
                clips.append(clip)
            else:
                failed[entry.name] = clip
        crops: dict[str, list[Crop]] = {}
        found = [self._search(clip) for clip in clips] if everywhere else self._search_chosen(clips)
        for clip, people in zip(clips, found, strict=True):
            if isinstance(people, str):
                failed[clip.entry.name] = people
            else:
                crops[clip.entry.name] = people
        flat = [crop for people in crops.values() for crop in people]
        coded = iter(list(self.pool.map(self._encode, flat)))
        columns = {
            "boxes": [[crop.box for crop in people] for people in crops.values()],
            "scores": [[crop.score for crop in people] for people in crops.values()],
            "frame": [[crop.frame for crop in people] for people in crops.values()],
            "images": [[next(coded) for _ in people] for people in crops.values()],
        }
        return store.Batch(list(crops), columns, failed)

    def _open(self, entry: ClipEntry) -> Clip | str:
        """A clip with its chosen pictures (none yet for `all`), or the reason why there is none."""
        if not entry.video:
            return "no video"
        try:
            recording = Recording(self.videos / entry.video)
            if self.settings.frames == "all":
                return Clip(entry, recording, [], {})
            rule = sampling.RULES[self.settings.frames]
            return Clip(entry, recording, *recording.choose(lambda frames: rule(frames, self.settings.count)))
        except jpeg.Unreadable as error:
            return f"cannot decode: {error}"

    def _search_chosen(self, clips: list[Clip]) -> list[list[Crop] | str]:
        """Per clip its crops, or the reason why there are none; all chosen pictures are searched together."""
        chosen = [(clip, frame) for clip in clips for frame in clip.images]
        located = self._people([clip.picture(frame, clip.images[frame]) for clip, frame in chosen])
        seen = {(clip.entry.name, frame): crop for (clip, frame), crop in zip(chosen, located, strict=True)}
        return [
            self._complete(clip, [seen[clip.entry.name, frame] for frame in clip.chosen]) for clip in clips
        ]

    def _complete(self, clip: Clip, crops: list[Crop | None]) -> list[Crop] | str:
        """Replace frames without people by neighbouring frames, then by other chosen frames."""
        try:
            crops = [
                crop or self._neighbour(clip, frame) for crop, frame in zip(crops, clip.chosen, strict=True)
            ]
        except jpeg.Unreadable as error:
            return f"cannot decode: {error}"
        found = [crop is not None for crop in crops]
        nearest = [
            sampling.nearest_found(i, clip.chosen, found) if not crops[i] else i for i in range(len(crops))
        ]
        return [crop for i in nearest if i is not None and (crop := crops[i])] or "no person"

    def _neighbour(self, clip: Clip, frame: int) -> Crop | None:
        """The first of the frames around `frame`, in the order of search, that has a person."""
        order = sampling.search_order(frame, clip.recording.frames, self.settings.count)
        pictures = (clip.picture(*found) for found in clip.recording.read_in_turn(order))
        while part := list(islice(pictures, SEARCHED_TOGETHER)):
            if crop := next(filter(None, self._people(part)), None):
                return crop
        return None

    def _search(self, clip: Clip) -> list[Crop] | str:
        """Search every frame and sample evenly among those with a person, as the released pipeline did."""
        with_person: list[Crop] = []
        try:
            for pictures in _chunks(clip, detect.CHUNK):
                # without the pictures: those of a long recording do not fit into memory
                with_person += [crop._replace(image=np.empty(0)) for crop in self._people(pictures) if crop]
            taken = [with_person[i] for i in sampling.uniform_indices(len(with_person), self.settings.count)]
            images = clip.recording.read(crop.frame for crop in taken)
        except jpeg.Unreadable as error:
            return f"cannot decode: {error}"
        return [crop._replace(image=images[crop.frame]) for crop in taken] or "no person"

    def _people(self, pictures: list[Picture]) -> list[Crop | None]:
        """Per picture its one box, None without people."""
        crops: list[Crop | None] = []
        for picture, people in zip(pictures, self.locate(pictures) if pictures else [], strict=True):
            pair = boxes.wants_pair(
                self.settings.people, picture.entry.action, self.reader.two_person_actions
            )
            crops.append(_crop(picture, boxes.choose_people(people, pair)))
        return crops

    def _encode(self, crop: Crop) -> bytes:
        x1, y1, x2, y2 = crop.box
        return jpeg.encode(crop.image[y1:y2, x1:x2], self.settings.jpeg_quality)


def _crop(picture: Picture, chosen: tuple[np.ndarray, float] | None) -> Crop | None:
    """The crop of a chosen box; None without a box, or if it lies outside the picture."""
    if chosen is None:
        return None
    height, width = picture.image.shape[:2]
    box = boxes.clip(chosen[0], width, height)
    return None if box is None else Crop(box, chosen[1], picture.frame, picture.image)


def _chunks(clip: Clip, size: int) -> Iterator[list[Picture]]:
    pictures: list[Picture] = []
    for frame, image in enumerate(clip.recording.stream()):
        pictures.append(clip.picture(frame, image))
        if len(pictures) == size:
            yield pictures
            pictures = []
    if pictures:
        yield pictures
