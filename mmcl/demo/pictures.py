"""Training pictures for the demo's weights: drawn clips of subjects that the demo does not have.

Every clip gives five frames with the true boxes of the people, and one montage as the workflow would make it
from the boxes of an imperfect detector. In half of the clips the hand holds something else than the action's own
object, so that a model has to recognise the object and cannot guess it from the pose.
"""

import functools
import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcl import store
from mmcl.demo.actions import ACTIONS
from mmcl.demo.draw import UTD_ACTIONS, Shot
from mmcl.demo.keypoints import coco17
from mmcl.demo.objects import KINDS
from mmcl.demo.seeding import generator
from mmcl.helpers import end_with_parent
from mmcl.settings.demo import PicturesSettings
from mmcl.settings.video import VideoSettings
from mmcl.video import jpeg, sampling
from mmcl.video.boxes import clip, union
from mmcl.video.montage import join

SCHEMA = "mmcl.training_pictures/2"
VIDEO = VideoSettings()
"""The settings of the workflow that the pictures are made with."""
PERSONS = 2
HEAD, HANDS, FEET = 3, (7, 11, 21, 23), (14, 15, 18, 19)
"""Indices of joints in the NTU order, from 0."""
SEEN = 12
"""Pixels of an object that count as seen."""
TOUCH = 0.25
"""Metres between hand and head joint that count as touching: the head joint is the middle of the head."""


@dataclass(frozen=True)
class Facts:
    """What is true of a clip; `object` is "none" also where a held object is hidden in all five frames."""

    action: int
    subject: int
    camera: int
    object: str
    persons: int
    hand_at_head: bool
    hand_at_foot: bool


@dataclass(frozen=True)
class Job:
    """One clip to draw."""

    name: str
    action: int
    subject: int
    camera: int
    repeat: int
    frames: int
    held: str | None
    form: str
    seed: int


def plan(settings: PicturesSettings) -> list[Job]:
    """The clips of a set of training pictures: every action of every subject, `repeats` times.

    Every subject has a seed, and so a room and a camera, of its own.
    """
    jobs = []
    first, last = settings.subjects
    for subject in range(first, last + 1):
        for action in ACTIONS:
            for repeat in range(1, settings.repeats + 1):
                rng = generator("training pictures", settings.seed, subject, action, repeat)
                # every second clip keeps the action's own object; of the others half are empty-handed
                other = str(rng.choice(KINDS[1:])) if rng.random() < 0.5 else "none"
                utd = action in UTD_ACTIONS and rng.random() < settings.utd_share
                jobs.append(
                    Job(
                        name=f"P{subject:03d}A{action:03d}R{repeat:03d}",
                        action=action,
                        subject=subject,
                        camera=1 if utd else int(rng.integers(1, 4)),
                        repeat=repeat,
                        frames=int(rng.integers(settings.frames[0], settings.frames[1] + 1)),
                        held=None if repeat % 2 else other,
                        form="utd_mhad" if utd else "ntu",
                        seed=settings.seed + subject,
                    )
                )
    return jobs


def draw_training_pictures(output: Path, settings: PicturesSettings, processes: int) -> None:
    """Draw the clips of `plan` into a store `mmcl.training_pictures/2`.

    Columns: `montage` JPEG (480×480), `frames` five JPEGs, `empty` a JPEG of the room without anybody,
    `boxes` (5, 2, 4) xyxy px with NaN for an absent person, `keypoints` (5, 2, 17, 2) px in COCO's order,
    also of those that are hidden or out of the picture, `object_at` (5, 2) where in the montage the
    held object's centre is, x and y in parts of its side, NaN where it is not seen, `facts` JSON of
    `Facts`.

    Args:
        output: the store.
        settings: of the pictures.
        processes: clips drawn in parallel.
    """
    jobs = {job.name: job for job in plan(settings)}
    with multiprocessing.get_context("spawn").Pool(processes, end_with_parent) as pool:

        def work(names: list[str]) -> store.Batch:
            rows = pool.map(functools.partial(draw_one, settings=settings), [jobs[n] for n in names], 4)
            return store.Batch(names, {key: [row[key] for row in rows] for key in rows[0]}, {})

        store.write(
            output,
            schema=SCHEMA,
            settings=settings.dump(),
            names=list(jobs),
            columns=store.columns(
                SCHEMA,
                frames=(VIDEO.count,),
                boxes=(VIDEO.count, PERSONS, 4),
                keypoints=(VIDEO.count, PERSONS, 17, 2),
                object_at=(VIDEO.count, 2),
            ),
            batch_size=settings.batch,
            work=work,
        )


def draw_one(job: Job, settings: PicturesSettings) -> dict[str, Any]:
    """Draw one clip: a row of the store."""
    rng = generator("training picture", settings.seed, job.name)
    shot = Shot(
        job.action, job.subject, job.camera, job.repeat, seed=job.seed, frames=job.frames,
        size=settings.size, held=job.held, form=job.form,
    )  # fmt: skip
    indices = sampling.uniform_indices(job.frames, VIDEO.count)
    drawn = [frame for frame, _ in zip(shot.pictures(every=job.frames // VIDEO.count), indices, strict=False)]
    # as compressed by a video codec
    quality = int(rng.integers(70, 96))
    coded = [jpeg.encode(frame, quality) for frame in drawn]
    boxes = np.full((VIDEO.count, PERSONS, 4), np.nan, np.float32)
    boxes[:, : shot.boxes.shape[1]] = shot.boxes[indices]
    cuts = [_cut(boxes[i], settings, rng) for i in range(VIDEO.count)]
    crops = [jpeg.decode(data)[y1:y2, x1:x2] for data, (x1, y1, x2, y2) in zip(coded, cuts, strict=True)]
    return {
        "montage": jpeg.encode(join([as_jpeg(crop) for crop in crops], VIDEO.montage), VIDEO.jpeg_quality),
        "frames": coded,
        "empty": jpeg.encode(shot.empty(), quality),
        "boxes": boxes,
        "keypoints": _keypoints(shot, indices),
        "object_at": _object_at(shot, indices, cuts),
        "facts": json.dumps(asdict(_facts(job, shot, indices))),
    }


def as_jpeg(picture: np.ndarray) -> np.ndarray:
    """A picture as it is after the workflow has stored it as JPEG."""
    return jpeg.decode(jpeg.encode(picture, VIDEO.jpeg_quality))


def _cut(boxes: np.ndarray, settings: PicturesSettings, rng: np.random.Generator) -> np.ndarray:
    """The union of the people's boxes (2, 4), its edges moved by a few percent, as those of a detector are."""
    box = union(boxes[np.isfinite(boxes[:, 0])])
    sides = np.tile(box[2:] - box[:2], 2)
    wider = rng.uniform(-0.02, 0.04) * np.array([-1, -1, 1, 1])
    cut = clip(box + (rng.normal(0, settings.box_jitter / 2, 4) + wider) * sides, *settings.size)
    assert cut is not None  # people are inside the picture
    return cut


def _keypoints(shot: Shot, indices: list[int]) -> np.ndarray:
    """See `draw_training_pictures`."""
    points = np.full((VIDEO.count, PERSONS, 17, 2), np.nan, np.float32)
    for person, actor in enumerate(shot.show.actors):
        points[:, person] = shot.view.project(shot.view.to_camera(coco17(actor)[indices]))
    return points


def _object_at(shot: Shot, indices: list[int], cuts: list[np.ndarray]) -> np.ndarray:
    """See `draw_training_pictures`; of a shot whose frames have been drawn."""
    at = np.full((VIDEO.count, 2), np.nan, np.float32)
    if shot.show.held is None:
        return at
    pixels = shot.view.project(shot.view.to_camera(shot.show.held.centre[indices]))
    for i, (pixel, cut) in enumerate(zip(pixels, cuts, strict=True)):
        place = (pixel - cut[:2]) / (cut[2:] - cut[:2])
        if shot.object_pixels[indices[i]] >= SEEN and (place > 0).all() and (place < 1).all():
            at[i] = (i + place[0]) / VIDEO.count, place[1]
    return at


def _facts(job: Job, shot: Shot, indices: list[int]) -> Facts:
    joints = shot.joints[indices]  # (5, M, 25, 3) metres

    def near(others: tuple[int, ...]) -> bool:
        apart = joints[:, :, HANDS, None] - joints[:, :, None, others]
        return bool((np.linalg.norm(apart, axis=-1) < TOUCH).any())

    return Facts(
        action=job.action,
        subject=job.subject,
        camera=job.camera,
        object=shot.object if (shot.object_pixels[indices] >= SEEN).any() else "none",
        persons=shot.boxes.shape[1],
        hand_at_head=near((HEAD,)),
        hand_at_foot=near(FEET),
    )


class Pictures:
    """A sealed store of training pictures."""

    def __init__(self, path: Path):
        self.store = store.Shards([path], SCHEMA)
        self.names = self.store.names

    def montages(self) -> Iterator[np.ndarray]:
        """Every clip's montage, RGB uint8 (480, 480, 3)."""

        return (jpeg.decode(data) for data in self.store.read("montage"))

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every frame of every clip with its boxes (M, 4), then every empty room with none."""

        boxes = self.store.read("boxes")
        for row, five in enumerate(self.store.read("frames")):
            for t, data in enumerate(five):
                yield jpeg.decode(data), boxes[row, t][np.isfinite(boxes[row, t, :, 0])]
        for data in self.store.read("empty"):
            yield jpeg.decode(data), np.empty((0, 4), np.float32)

    def people(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Every frame of every clip with its people's boxes (M, 4) and keypoints (M, 17, 2)."""

        boxes, keypoints = self.store.read("boxes"), self.store.read("keypoints")
        for row, five in enumerate(self.store.read("frames")):
            for t, data in enumerate(five):
                there = np.isfinite(boxes[row, t, :, 0])
                yield jpeg.decode(data), boxes[row, t][there], keypoints[row, t][there]

    def object_at(self) -> np.ndarray:
        """Where in every montage the held object is, (N, 5, 2) in parts of its side; NaN if unseen."""
        return self.store.read("object_at")

    def facts(self) -> list[Facts]:
        """What is true of every clip."""
        return [Facts(**json.loads(text)) for text in self.store.read("facts")]
