"""Person boxes: which part of a picture is cut out. A box is x1, y1, x2, y2 in pixels."""

import numpy as np


def union(boxes: np.ndarray) -> np.ndarray:
    """The smallest box (4,) around boxes (n, 4)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:4].max(0)])


def choose_people(people: np.ndarray, pair: bool) -> tuple[np.ndarray, float] | None:
    """One box for a picture.

    Args:
        people: (n, 5) boxes with confidence, most confident first.
        pair: take the union of the two most confident people where there are two; else the most confident.

    Returns:
        The box (4,) and its confidence, for a union that of the less certain of the two; None without people.
    """
    if not len(people):
        return None
    taken = people[: 2 if pair else 1]
    return union(taken[:, :4]), float(taken[:, 4].min())


def wants_pair(rule: str, action: str, two_person_actions: frozenset[str]) -> bool:
    """Whether a clip's box holds two people.

    Args:
        rule: `by_action`: in the data set's two-person classes; `label_free`: always, which needs no
            class.
        action: the clip's class id.
        two_person_actions: ids of the two-person classes.
    """
    return rule == "label_free" or action in two_person_actions


def clip(box: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """A box (4,) rounded to whole pixels within the picture, int64; None if nothing of it is left."""
    limits = np.array([width, height, width, height])
    box = np.clip(np.rint(box), 0, limits).astype(np.int64)
    return box if (box[2:] > box[:2]).all() else None


def from_joints(pixels: np.ndarray, width: int, height: int, margin: float = 0.0) -> np.ndarray:
    """Boxes around projected joints, one per person, in the order of the persons.

    Args:
        pixels: (M, V, 2) joints in pixels, NaN where unknown.
        width, height: of the picture.
        margin: added on every side, as a part of the box's longer side: joints lie inside the body.

    Returns:
        (n, 5) for the n persons with joints in the picture; the last number is the part of the person's
        joints that lies in the picture.
    """
    people = []
    for person in pixels:
        seen = np.isfinite(person).all(-1)
        inside = seen & (person >= 0).all(-1) & (person < (width, height)).all(-1)
        if inside.any():
            low, high = person[seen].min(0), person[seen].max(0)
            around = margin * (high - low).max()
            people.append([*(low - around), *(high + around), inside.mean()])
    return np.array(people, np.float32).reshape(-1, 5)


def whole_frame(width: int, height: int) -> np.ndarray:
    """The whole picture as one box with confidence 1, (1, 5)."""
    return np.array([[0, 0, width, height, 1]], np.float32)
