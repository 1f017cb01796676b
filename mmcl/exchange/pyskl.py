"""Annotation pickles of PYSKL and MMAction2 (Duan et al., PYSKL, ACM MM 2022).

`{"split": {name: [clip, …]}, "annotations": [{…}, …]}`, or the annotations alone. An annotation has `frame_dir` (the
clip's name), `label`, `total_frames`, `keypoint` (M, T, V, 2 or 3), and in 2-D `keypoint_score` (M, T, V) and
`img_shape` (height, width). The published ones are NTU RGB+D in 3-D (`ntu60_3danno.pkl`, 25 joints) and HRNet's
keypoints of the videos (`ntu60_hrnet.pkl`, 17 joints of COCO).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from mmcl.datasets.clip import MOST, ClipEntry
from mmcl.datasets.names import name_fault
from mmcl.errors import UserError, one_line, shown
from mmcl.exchange.arrays import MAX_ROW
from mmcl.exchange.names import MAX_CLASSES, named_clip, names_of_paths
from mmcl.exchange.people import CHECKED, LAYOUT_TEXT, ExchangeOptions, ExchangeReader
from mmcl.exchange.safe_pickle import FileArray, load
from mmcl.layouts import get_layout
from mmcl.settings import base
from mmcl.skeleton.gaps import are_scores

LAYOUTS = {25: "ntu25", 17: "coco17"}
"""Layout by number of joints, where no option names it."""

SEEN = 1e-6
"""A keypoint that is scored no more than this was not found at all."""


@dataclass(frozen=True)
class Annotation:
    """What a pickle holds of one clip; every field but name and label is unchecked.

    The label is None, and `label_fault` states why, where it is no whole number.
    """

    name: str
    label: int | None
    label_fault: str
    total_frames: Any
    keypoint: Any
    score: Any
    img_shape: Any
    numbers: tuple[int | str, int, int] | None
    """Subject, camera, setup, which mmcl's own pickles hold."""


class Content(NamedTuple):
    """What a pickle holds. Classes (id → name) and layout are those that mmcl's own pickles name.

    `splits` has the clips by their names in `annotations`, which `name_of` makes of paths.
    """

    splits: dict[str, list[str]]
    annotations: list[Annotation]
    classes: dict[str, str]
    layout: str | None
    name_of: Callable[[str], str]


class PysklOptions(ExchangeOptions):
    """Options of the reader `pyskl`."""

    layout: base.Text | None = Field(
        None, description=f"{LAYOUT_TEXT}; chosen by the number of joints if left out."
    )
    split: base.Pair[str] | None = Field(
        None,
        description="Names of the two splits that train and test under the protocol given, [xsub_train, xsub_val].",
    )
    min_score: base.Probability = Field(
        0.0, description="2-D keypoints scored below this are interpolated in time."
    )


class PysklReader(ExchangeReader):
    """One annotation pickle.

    Two-dimensional keypoints become x = (u − width/2) / height, y = (height/2 − v) / height, third coordinate 0, so
    that what is done with metres (rotation about an axis, bones, motion) keeps its meaning. A keypoint at 0, 0, of
    score 0, or scored below `min_score` counts as unseen and is interpolated in time between the frames that see it,
    held at the ends; one that is never seen is put at the mean of the person's seen ones. Three numbers of which the
    third is a score are such keypoints, too.
    """

    reads_file: ClassVar[bool] = True
    what_belongs: ClassVar[str] = (
        "An annotation pickle as PYSKL and MMAction2 use them, such as ntu60_3danno.pkl or ntu60_hrnet.pkl"
    )
    Options: ClassVar[type[base.Options]] = PysklOptions
    options: PysklOptions

    def find_layout(self) -> str:
        """See `ExchangeReader`: the layout that the file names, or that has as many joints."""
        return self._content.layout or self._layout_of_joints()

    @cached_property
    def _content(self) -> Content:
        content = load(self.skeletons)
        content = {"annotations": content} if isinstance(content, list) else content
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            raise UserError(f"{self.skeletons}: holds no list of annotations")
        splits, classes = content.get("split") or {}, content.get("classes") or {}
        if not isinstance(content.get("layout"), str | None):
            raise UserError(f"{self.skeletons}: `layout` is no text")
        if not isinstance(splits, dict) or not all(isinstance(names, list) for names in splits.values()):
            raise UserError(f"{self.skeletons}: `split` is not lists of names")
        for key, names in splits.items():
            if odd := next((name for name in names if not isinstance(name, str)), None):
                raise UserError(f"{self.skeletons}: split {shown(key)}: {shown(odd)} is no name")
        texts = (*classes, *classes.values()) if isinstance(classes, dict) else (None,)
        if not all(isinstance(text, str) and not name_fault(text) for text in texts):
            raise UserError(f"{self.skeletons}: `classes` is not id → name")
        items = content["annotations"]
        if not items:
            raise UserError(f"{self.skeletons}: holds no annotation")
        for number, item in enumerate(items):
            if (
                not isinstance(item, dict)
                or not isinstance(item.get("frame_dir"), str)
                or not item["frame_dir"]
            ):
                raise UserError(f"{self.skeletons}/annotations/{number}: has no frame_dir")
        name_of = names_of_paths([item["frame_dir"] for item in items])
        annotations = [self._annotation(item, name_of) for item in items]
        splits = {str(key): [name_of(name) for name in names] for key, names in splits.items()}
        return Content(splits, annotations, classes, content.get("layout"), name_of)

    def _annotation(self, item: dict[Any, Any], name_of: Callable[[str], str]) -> Annotation:
        values: list[Any] = [item.get(key) for key in ("subject", "camera", "setup")]
        known = all(type(value) is int and 0 <= value <= MOST for value in values[1:]) and (
            (type(values[0]) is int and 0 <= values[0] <= MOST) or isinstance(values[0], str)
        )
        label = item.get("label")
        # data frames turn whole numbers into decimals
        whole = int(label) if type(label) is int or (type(label) is float and label.is_integer()) else None
        if whole is not None and abs(whole) > MAX_CLASSES:
            whole = None
        return Annotation(
            name_of(item["frame_dir"]),
            whole,
            "" if whole is not None else f"label is {shown(label)}, no whole number of a class",
            item.get("total_frames"),
            item.get("keypoint"),
            item.get("keypoint_score"),
            item.get("img_shape"),
            (values[0], values[1], values[2]) if known else None,
        )

    def _layout_of_joints(self) -> str:
        joints = {
            item.keypoint.shape[2]
            for item in self._content.annotations
            if isinstance(item.keypoint, FileArray) and len(item.keypoint.shape) == 4
        }
        if len(joints) != 1 or not joints <= set(LAYOUTS):
            found = ", ".join(map(str, sorted(joints))) or "no"
            raise UserError(f"{self.skeletons}: skeletons of {found} joints; set options.layout")
        return LAYOUTS[joints.pop()]

    @cached_property
    def _classes(self) -> dict[str, str]:
        """Class id → name, in the order of labels."""
        _, annotations, own, *_ = self._content
        if own and not self.options.classes and not self.options.names:
            return own
        return self.classes_of([(item.name, item.label) for item in annotations if item.label is not None])

    def class_names(self) -> dict[str, str]:
        """Class id → name: of the option `classes`, NTU's where all names are, else `c0` …."""
        return self._classes

    def list_clips(self) -> list[ClipEntry]:
        """See `Reader`; `skeleton` is `annotations/<number>`. A name that occurs twice is left out."""
        splits, annotations, *_, name_of = self._content
        _ = self.scored  # known to be neither, this is said now
        sides = self._sides(splits)
        ids, videos = list(self._classes), self.find_videos(name_of)
        entries: dict[str, ClipEntry] = {}
        for number, item in enumerate(annotations):
            place, video = f"annotations/{number}", videos.get(item.name, "")
            label = -1 if item.label is None else item.label
            entry = named_clip(item.name, label, sides.get(item.name, ""), place, video, ids)
            if item.label_fault:
                entry = replace(entry, left_out=item.label_fault)
            if item.numbers:
                subject, camera, setup = item.numbers
                entry = replace(entry, subject=subject, camera=camera, setup=setup)
            entry = self.identified(entry)
            if item.name in entries:
                entry = replace(entries[item.name], left_out="occurs in the file twice")
            entries[item.name] = entry
        return [entries[name] for name in sorted(entries)]

    def _sides(self, splits: dict[str, list[str]]) -> dict[str, str]:
        """Clip → train or test, by the option `split`, or the file's only two splits by their names' endings."""
        keys: Sequence[str] | None = self.options.split
        if keys is None:
            trains, tests = (
                [k for k in splits if k.endswith(ends)] for ends in (("train",), ("val", "test"))
            )
            keys = (*trains, *tests) if len(trains) == len(tests) == 1 else ()
        elif missing := [key for key in keys if key not in splits]:
            there = one_line(", ".join(splits), 300) or "none"
            raise UserError(f"options.split: {self.skeletons} has no split {missing[0]}; there are: {there}")
        sides: dict[str, str] = {}
        for key, side in zip(keys, ("train", "test"), strict=False):
            for name in splits[key]:
                if sides.get(name, side) != side:
                    raise UserError(f"options.split: {one_line(name)} is in {keys[0]} and in {keys[1]}")
                sides[name] = side
        return sides

    def read_clip(self, entry: ClipEntry) -> np.ndarray:
        """(T, M, V, 3), metres or parts of the picture's height; see `as_clip`."""
        points, known, item = self._keypoints(entry)
        if known is not None:
            height, width = self._picture(entry, item)
            there = points[..., :2].any((2, 3))
            points = np.stack(
                [
                    (points[..., 0] - width / 2) / height,
                    (height / 2 - points[..., 1]) / height,
                    np.zeros_like(points[..., 0]),
                ],
                axis=-1,
            )
            points[~there] = 0
            known = known.transpose(1, 0, 2)
        return self.finish_clip(entry, points.transpose(1, 0, 2, 3), known)

    def pixel_joints(self, entry: ClipEntry, width: int, height: int) -> np.ndarray:
        """(T, M, 17, 2): the keypoints, scaled from the picture they were found in to the video's size."""
        points, known, item = self._keypoints(entry)
        if known is None:
            return super().pixel_joints(entry, width, height)
        own = self._picture(entry, item)
        points = points[..., :2] * np.array([width / own[1], height / own[0]], np.float32)
        points[~known] = np.nan
        return points.transpose(1, 0, 2, 3)

    def samples(self) -> Iterator[np.ndarray]:
        """See `ExchangeReader`: of keypoints with three numbers and no scores beside them."""
        alone = [
            item for item in self._content.annotations[:CHECKED] if not isinstance(item.score, FileArray)
        ]
        for array in (item.keypoint for item in alone if isinstance(item.keypoint, FileArray)):
            if len(array.shape) == 4 and array.shape[3] == 3 and len(array.data) <= MAX_ROW:
                yield array.read().astype(np.float32).transpose(1, 0, 2, 3)

    def in_pictures(self, points: np.ndarray) -> bool:
        """See `ExchangeReader`: pixels."""
        return bool((points[:, :2] >= 0).all() and points[:, :2].max() > 2)

    def person2(self, entry: ClipEntry) -> str:
        """See `ExchangeReader`; where other annotations have one body, two are two ids, whatever the second holds."""
        rule = super().person2(entry)
        return "kept" if rule == "duplicated" and self._bodies(entry) > min(self._all_bodies) else rule

    def _bodies(self, entry: ClipEntry) -> int:
        return int(self._content.annotations[int(entry.skeleton.rpartition("/")[2])].keypoint.shape[0])

    @cached_property
    def _all_bodies(self) -> set[int]:
        """How many bodies annotations have."""
        arrays = [item.keypoint for item in self._content.annotations]
        return {array.shape[0] for array in arrays if isinstance(array, FileArray) and array.shape}

    def _keypoints(self, entry: ClipEntry) -> tuple[np.ndarray, np.ndarray | None, Annotation]:
        """(M, T, V, 2 or 3) float32, (M, T, V) which of 2-D ones are seen (None for 3-D ones), and the annotation.

        People who are not in a frame are all zero there.
        """
        annotations = self._content.annotations
        _, number = self.part_and_row(entry, {"annotations": len(annotations)}.get)
        item, joints = annotations[number], len(get_layout(self.layout))
        where = f"{self.skeletons}/{entry.skeleton}"
        shape = item.keypoint.shape if isinstance(item.keypoint, FileArray) else ()
        if len(shape) != 4 or shape[2] != joints or shape[3] not in (2, 3) or 0 in shape:
            there = shape or f"no array but {type(item.keypoint).__name__}"
            raise UserError(f"{where}: keypoint is {there}, expected (people, frames, {joints}, 2 or 3)")
        if item.total_frames is not None and item.total_frames != shape[1]:
            raise UserError(
                f"{where}: total_frames is {shown(item.total_frames)}, keypoint has {shape[1]} frames"
            )
        if len(item.keypoint.data) > MAX_ROW:
            raise UserError(f"{where}: a keypoint array of shape {shape} is no clip")
        points = item.keypoint.read().astype(np.float32)
        if not np.isfinite(points).all():
            raise UserError(f"{where}: a keypoint is not finite")
        scores = np.ones(shape[:3], np.float32)
        if isinstance(item.score, FileArray):
            if item.score.shape != shape[:3]:
                raise UserError(f"{where}: keypoint_score is {item.score.shape}, expected {shape[:3]}")
            scores = item.score.read().astype(np.float32)
        if shape[3] == 3:
            if not self.scored:
                return points, None, item
            if points.any() and not are_scores(points[..., 2]):
                raise UserError(f"{where}: the joints' third numbers are no scores; see the option third")
            scores = np.minimum(scores, points[..., 2])
        found, places = scores > SEEN, points[..., :2].any(-1)
        points[~(found.any(2) & places.any(2))] = 0
        known = found & (scores >= self.options.min_score)
        return points, known & places if self.options.zeros == "unseen" else known, item

    def _picture(self, entry: ClipEntry, item: Annotation) -> tuple[int, int]:
        """Height and width of the picture."""
        size = item.img_shape
        good = (
            isinstance(size, Sequence)
            and len(size) == 2
            and all(type(n) is int and 0 < n < 2**16 for n in size)
        )
        if not good:
            raise UserError(
                f"{self.skeletons}/{entry.skeleton}: img_shape is {shown(size)}, not (height, width)"
            )
        return size[0], size[1]
