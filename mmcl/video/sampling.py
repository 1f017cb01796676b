"""Which frames of a recording are used. F (`frames`) is the number of frames that can be decoded."""

from collections.abc import Callable, Sequence


def uniform_indices(frames: int, count: int) -> list[int]:
    """Frames 0, k, …, (count − 1)·k with k = ⌊F/count⌋ (MMCL's released sampling).

    With fewer frames than asked for: ⌊i·F/count⌋ + ⌊F/(2·count)⌋, so that frames repeat. F = 0 gives none.
    """
    if frames <= 0:
        return []
    if frames < count:
        return [i * frames // count + frames // (2 * count) for i in range(count)]
    return [i * (frames // count) for i in range(count)]


def segment_centres(frames: int, count: int) -> list[int]:
    """The centre frame of each of `count` equal segments, ⌊(2i + 1)·F / (2·count)⌋, the clip's end included."""
    return [(2 * i + 1) * frames // (2 * count) for i in range(count)] if frames > 0 else []


RULES: dict[str, Callable[[int, int], list[int]]] = {
    "chosen": uniform_indices,
    "segment_centre": segment_centres,
}
"""Setting `frames` → the rule that chooses the frames."""


def search_order(index: int, frames: int, count: int) -> list[int]:
    """The frames searched if frame `index` shows nobody: its neighbours within ± k/2, nearest and earlier first.

    k = ⌊F/count⌋ is the distance of two chosen frames, so no two chosen frames share a neighbour but the one
    half way between them.
    """
    reach = frames // count // 2
    around = (index + sign * d for d in range(1, reach + 1) for sign in (-1, 1))
    return [i for i in around if 0 <= i < frames]


def nearest_found(position: int, indices: Sequence[int], found: Sequence[bool]) -> int | None:
    """The position of the nearest chosen frame that has a person, the earlier of two at the same distance.

    Args:
        position: of the chosen frame without people.
        indices: frame numbers of the chosen frames.
        found: whether each of them has a person.
    """
    candidates = [p for p, has_person in enumerate(found) if has_person]
    return min(candidates, key=lambda p: (abs(indices[p] - indices[position]), p), default=None)
