"""Trained models in Python: `load`, and what a `Model` makes of clips."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch

from mmcl.device import pick_device
from mmcl.errors import UserError, shown
from mmcl.evaluation.finished import find_models
from mmcl.evaluation.recognise import Prediction, Recogniser, best_of, compute
from mmcl.evaluation.recordings import open_recordings
from mmcl.evaluation.score import features
from mmcl.layouts import get_layout
from mmcl.models.export import FORMATS
from mmcl.naming import member_name
from mmcl.skeleton.mapping import map_joints
from mmcl.skeleton.statistics import Difference

if TYPE_CHECKING:
    import pandas as pd

Clips: TypeAlias = "str | PathLike[str] | np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]"
"""What a model takes, see `Model.predict`."""


@dataclass(frozen=True, eq=False)
class Computed:
    """What was computed of clips.

    Attributes:
        names: of the N clips: those of the recordings or of the mapping, else `clip 0`, `clip 1`, ….
        failed: clip → why there is nothing of it; never of arrays, whose faults are errors.
        unlike: clip → in what it is unlike the clips of the training, though not so much that it is refused.
    """

    names: list[str]
    failed: dict[str, str] = field(default_factory=dict, kw_only=True)
    unlike: dict[str, list[str]] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Features(Computed):
    """Features of clips.

    Attributes:
        values: (N, D) float32, what the classifier sees and FAM aligns.
    """

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Predictions(Computed):
    """Classes of clips.

    Attributes:
        probabilities: (N, C) float64, the softmax scores; each row sums to 1.
        classes: ids of the C classes, as in the data set.
        class_names: the C classes in words.
    """

    probabilities: np.ndarray
    classes: list[str]
    class_names: list[str]
    _best: Callable[[np.ndarray, int], list[Prediction]] = field(repr=False)

    def top(self, k: int = 1) -> list[list[Prediction]]:
        """The k best classes of each clip, best first: (class_id, class_name, score) each."""
        return [self._best(row, k) for row in self.probabilities]

    def to_pandas(self, k: int = 1) -> "pd.DataFrame":
        """A row for each clip and rank as `mmcl predict` writes it: name, rank, class_id, class_name, score."""
        import pandas as pd

        rows = [
            (name, rank, *one)
            for name, best in zip(self.names, self.top(k), strict=True)
            for rank, one in enumerate(best, start=1)
        ]
        return pd.DataFrame(rows, columns=["name", "rank", "class_id", "class_name", "score"])


class Model:
    """Trained streams that recognise together, see `load`.

    Attributes:
        classes: ids of the C classes, as in the data set.
        class_names: the C classes in words.
        layout: the joint layout that it takes, such as ntu25.
        joints: names of the layout's V joints, in their order.
        persons: people per clip that it sees; of a clip with more those with the most motion.
        members: names of the K streams.
        weights: their weights in the sum.
        device: where it computes.
    """

    def __init__(self, recogniser: Recogniser):
        self.recogniser = recogniser
        first = recogniser.first
        self.classes, self.class_names = first.classes, first.class_names
        self.layout, self.persons = first.layout, first.persons
        self.joints = get_layout(first.layout).joints
        trained = [one.settings for one in recogniser.models]
        self.members = [member_name(one.model.backbone, one.model.graph, one.stream) for one in trained]
        self.weights = list(recogniser.weights)
        self.device = first.device

    def __repr__(self) -> str:
        members = ", ".join(self.members)
        return f"<mmcl.Model of {len(self.classes)} classes, layout {self.layout}: {members}>"

    def predict(
        self,
        clips: Clips,
        *,
        reader: str | None = None,
        options: dict[str, Any] | None = None,
        names: Sequence[str] = (),
        layout: str | None = None,
        unchecked: bool = False,
    ) -> Predictions:
        """Recognise clips. The numbers are those of `mmcl predict`.

        An array is one clip, (T, V, C) of one person or (T, M, V, C) of M people in T frames; absent people are all
        zero. A list of such arrays, or a mapping from names to them, is several clips of any length, and so is an array
        (N, T, M, V, C). C is 3: metres, with the axes of the training's recordings; or 2: x and y in parts of the
        picture's height, y up, for a model of 2-D skeletons. Where a clip lies in the room does not matter, it is
        centred as those of the training are.

        Args:
            clips: arrays as above; or the path of a store of skeletons (….h5), or with `reader` of a recording or a
                folder of them.
            reader: of recordings: ntu, utd_mhad, own, …
            options: of the reader, as in config.yaml.
            names: of the store's or the folder's clips only these.
            layout: of the arrays' joints if it is not the model's; they are mapped by their names.
            unchecked: whether clips whose layout, unit, depth or axes cannot be those of the training are recognised
                all the same.

        Raises:
            UserError: nothing can be read; an array of another shape, with values that are not finite, with nobody in
                it, or unlike the clips of the training. Of paths such clips are in `failed`, unless all are.
        """
        given = _Given(reader, options, names, layout, unchecked)
        found = self._compute(clips, given, self.recogniser.computed, len(self.classes))
        best = partial(best_of, self.recogniser.first)
        kinds = (self.classes, self.class_names, best)
        return Predictions(found.names, found.rows, *kinds, failed=found.failed, unlike=found.unlike)

    def features(
        self,
        clips: Clips,
        *,
        reader: str | None = None,
        options: dict[str, Any] | None = None,
        names: Sequence[str] = (),
        layout: str | None = None,
        unchecked: bool = False,
    ) -> Features:
        """Features of clips by the one stream of this model.

        Args:
            clips, reader, options, names, layout, unchecked: see `predict`.

        Raises:
            UserError: see `predict`; or the model is an ensemble: load one of its members.
        """
        if len(self.members) > 1:
            raise UserError(
                f"an ensemble of {len(self.members)} streams has no features of its own; load one, "
                f"mmcl.load(…, member=…): {', '.join(self.members)}"
            )
        first = self.recogniser.first

        def rows_of(part: Sequence[np.ndarray]) -> np.ndarray:
            return features(first, part, self.recogniser.precision)

        width = first.model.backbone.feature_dim
        given = _Given(reader, options, names, layout, unchecked)
        found = self._compute(clips, given, rows_of, width)
        return Features(found.names, found.rows, failed=found.failed, unlike=found.unlike)

    def _compute(
        self, clips: Clips, given: "_Given", rows_of: Callable[[list[np.ndarray]], np.ndarray], width: int
    ) -> "_Rows":
        """What `rows_of` makes of clips, whatever they are given as."""
        if isinstance(clips, str | PathLike):
            return self._of_recordings(Path(clips).expanduser(), given, rows_of, width)
        if given.reader or given.options or given.names:
            raise UserError("reader, options and names are of a path, and arrays were given")
        named = dict(_named(clips))
        layout = given.layout if given.layout != self.layout else None
        own = [self._own_joints(name, clip, layout) for name, clip in named.items()]
        differing = self.recogniser.checked([*named], own, given.unchecked, layout is not None)
        return _Rows([*named], rows_of(own), {}, _messages(zip(named, differing, strict=True)))

    def _own_joints(self, name: str, clip: np.ndarray, layout: str | None) -> np.ndarray:
        """A clip in the joints of the model."""
        if layout is None:
            return clip
        if clip.shape[2] != len(get_layout(layout)):
            raise UserError(f"{name}: has {clip.shape[2]} joints, layout {layout} {len(get_layout(layout))}")
        return map_joints(clip, layout, self.layout)

    def _of_recordings(
        self, path: Path, given: "_Given", rows_of: Callable[[list[np.ndarray]], np.ndarray], width: int
    ) -> "_Rows":
        if given.layout is not None:
            raise UserError("layout: is of arrays; that of recordings is known, or an option of their reader")
        recordings = open_recordings(path, given.reader, given.options, given.names)
        found, failed, differing = {}, {}, []
        for name, row, differences in compute(self.recogniser, recordings, rows_of, given.unchecked):
            if isinstance(row, UserError):
                failed[name] = str(row)
            else:
                found[name] = row
                differing.append((name, differences))
        if failed and not found:
            name, why = next(iter(failed.items()))
            raise UserError(f"none of the clips could be read; the first is {name}: {why}")
        rows = np.stack([*found.values()]) if found else np.empty((0, width))
        return _Rows([*found], rows, failed, _messages(differing))


class _Given(NamedTuple):
    """How clips are given beside themselves, see `Model.predict`."""

    reader: str | None
    options: dict[str, Any] | None
    names: Sequence[str]
    layout: str | None
    unchecked: bool


class _Rows(NamedTuple):
    """Rows (N, …) of N clips, see `Computed`."""

    names: list[str]
    rows: np.ndarray
    failed: dict[str, str]
    unlike: dict[str, list[str]]


def load(
    named: str | PathLike[str],
    *,
    member: str | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
) -> Model:
    """Load a trained model.

    Args:
        named: a finished benchmark (its name, its folder or its ensemble.json), whose members are fused with its
            weights; the folder of a trained stream; or a model.pt.
        member: this member of a benchmark alone, such as ctrgcn-natural-joint.
        device: cpu, cuda or cuda:N; unless stated `MMCL_DEVICE` of the environment, else a GPU if there is one.
        precision: fp32, tf32 or bf16, the arithmetic on a GPU; unless stated that of the test clips' scores.

    Raises:
        UserError: it names no model, the file is damaged, there is no such member or device.
    """
    if precision not in (None, "fp32", "tf32", "bf16"):
        raise UserError(f"precision: {shown(precision)}; it may be fp32, tf32 or bf16")
    path = Path(named).expanduser()
    if path.suffix.lower() in FORMATS:
        raise UserError(
            f"{path}: an exported file, for other programs; load the model.pt that it was made of"
        )
    found = find_models(path, member)
    return Model(Recogniser.load(found.paths, found.weights, _device(device), precision, found.normalise))


def _device(named: str | torch.device | None) -> torch.device:
    if named is None:
        return pick_device()
    try:
        device = torch.device(named)
    except RuntimeError:
        raise UserError(f"device: {shown(named)} is no device; it may be cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {device} is not there, this process sees {torch.cuda.device_count()} GPUs")
    return device


def _messages(differing: Iterable[tuple[str, list[Difference]]]) -> dict[str, list[str]]:
    return {name: [one.message for one in found] for name, found in differing if found}


def _named(
    clips: np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray],
) -> Iterator[tuple[str, np.ndarray]]:
    """Clips with their names, (T, M, V, 3) float32 each.

    Raises:
        UserError: something is no such array.
    """
    if isinstance(clips, Mapping):
        parts = [(str(name), clip) for name, clip in clips.items()]
    else:
        several = isinstance(clips, list | tuple) or np.ndim(clips) == 5
        parts = [(f"clip {number}", clip) for number, clip in enumerate(clips if several else [clips])]
    for name, clip in parts:
        yield name, _as_clip(name, clip)


def _as_clip(name: str, given: Any) -> np.ndarray:
    try:
        clip = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise UserError(f"{name}: is no array of numbers") from None
    if clip.ndim not in (3, 4) or clip.shape[-1] not in (2, 3):
        raise UserError(
            f"{name}: has the shape {clip.shape}, expected (frames, joints, 2 or 3) or (frames, people, joints, 2 or 3)"
        )
    if clip.ndim == 3:
        clip = clip[:, None]
    return clip if clip.shape[-1] == 3 else np.concatenate([clip, np.zeros_like(clip[..., :1])], -1)
