"""A store of skeletons in the form that a network of another joint layout or number of people takes."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmcl.datasets.prepare import SkeletonStore
from mmcl.skeleton.cleaning import most_moving
from mmcl.skeleton.mapping import joint_map, map_joints


class MappedStore(SkeletonStore):
    """The same clips in another joint layout, with as many people as a network takes.

    Args:
        source: the store.
        layout: joint layout to map to, by name, see `map_joints`.
        people: people per clip; those that a clip lacks are absent, of more those with the most motion are kept.

    Raises:
        UserError: the joints cannot be made from those of the store.
    """

    def __init__(self, source: SkeletonStore, layout: str, people: int):
        joint_map(source.layout, layout)
        vars(self).update(vars(source))
        self.stored_layout, self.layout = source.layout, layout
        self._people = people

    @property
    def people(self) -> int:
        """See `SkeletonStore`."""
        return self._people

    def clip(self, i: int) -> np.ndarray:
        """(T, M, V, 3) of clip i, M ≤ `people`."""
        return self._mapped(super().clip(i))

    def read_clips(self, rows: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """See `SkeletonStore`."""
        return map(self._mapped, super().read_clips(rows))

    def _mapped(self, clip: np.ndarray) -> np.ndarray:
        return map_joints(clip[:, most_moving(clip, self._people)], self.stored_layout, self.layout)


def seen_as(source: SkeletonStore, layout: str, people: int) -> SkeletonStore:
    """A store in the form that a network for `people` people of a layout takes: itself if it has that form.

    Raises:
        UserError: see `MappedStore`.
    """
    if (source.layout, source.people) == (layout, people):
        return source
    return MappedStore(source, layout, people)
