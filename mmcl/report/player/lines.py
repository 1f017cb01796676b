"""The lines of time below the panels: who is there and how fast, and what is recognised so far."""

import numpy as np

from mmcl.report.player.colours import MIDDLE, of_person, rgb
from mmcl.report.player.shown import Recognition, Shown, Skeleton
from mmcl.report.player.text import GREY, INK, RED, shortened, write
from mmcl.report.player.tracks import tracks_of

LEFT, ROW, PLOT, LEGEND = 96, 26, 92, 230
"""Pixels: left of the line of time, height of a person's row and of the plot, width of the plot's legend."""
CURVES = ((30, 30, 30), (213, 94, 0), (0, 114, 178), (0, 158, 115))
"""Of Okabe and Ito's colours for colour-blind readers."""


def time_x(frame: float, frames: int, width: int) -> int:
    """Where a frame is on a line of time in a picture of a width."""
    return LEFT + round(frame * (width - LEFT - LEGEND - 1) / max(1, frames - 1))


def people_lines(skeleton: Skeleton, rate: float, frames: int, width: int, title: str = "") -> np.ndarray:
    """(rows, width, 3): for each person the frames in which he is there, his speed, and jumps in red."""
    import cv2

    tracks = tracks_of(skeleton, rate)
    people = tracks.present.shape[1]
    image = np.full((people * ROW + 4, width, 3), 255, np.uint8)
    for person in range(people):
        top, bottom = person * ROW + 3, (person + 1) * ROW - 2
        hue = of_person(person)
        named = shortened(title or "person", LEFT - 20, 12)
        write(image, (2, top + 3), f"{named} {person + 1}", 12, rgb(hue[MIDDLE]))
        for frame in np.flatnonzero(tracks.present[:, person]).tolist():
            x, after = time_x(frame - 0.5, frames, width), time_x(frame + 0.5, frames, width)
            high = round(min(1.0, tracks.speed[frame, person] / tracks.full) * (bottom - top))
            cv2.rectangle(image, (max(x, LEFT), top), (after - 1, bottom), (238, 238, 238), -1)
            cv2.rectangle(image, (max(x, LEFT), bottom - high), (after - 1, bottom), rgb(hue.left), -1)
        for frame in np.flatnonzero(tracks.jumps[:, person]).tolist():
            x = time_x(frame, frames, width)
            cv2.line(image, (x, top - 2), (x, bottom), RED, 2)
        said = shortened(tracks.said(person, skeleton.unit), LEGEND - 10, 12)
        write(image, (width - LEGEND + 8, top + 3), said, 12, INK)
    return image


def recognition_lines(recognition: Recognition, label: str, frames: int, width: int) -> np.ndarray:
    """(rows, width, 3): scores of the best classes from the beginning to each frame."""
    import cv2

    image = np.full((PLOT + 26, width, 3), 255, np.uint8)
    right = time_x(frames - 1, frames, width)
    unlike = time_x(recognition.shortest - 1, frames, width)
    if unlike > LEFT:
        cv2.rectangle(image, (LEFT, 4), (unlike, PLOT), (236, 236, 236), -1)
    for share in (0, 0.5, 1):
        y = _y(share)
        cv2.line(image, (LEFT, y), (right, y), (210, 210, 210), 1)
        write(image, (LEFT - 24, y - 7), f"{share:g}", 10, GREY)
    write(image, (2, 4), "score of the", 11, INK)
    write(image, (2, 18), "clip so far", 11, INK)
    for number, which in enumerate(recognition.best(3)):
        colour = CURVES[number]
        points = [
            (time_x(end - 1, frames, width), _y(score))
            for end, score in zip(recognition.ends, recognition.scores[:, which], strict=True)
        ]
        cv2.polylines(image, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
        name = shortened(recognition.classes[which], LEGEND - 70, 12)
        write(
            image,
            (width - LEGEND + 24, 4 + 20 * number),
            f"{recognition.scores[-1, which]:.2f} {name}",
            12,
            INK,
        )
        cv2.line(
            image, (width - LEGEND + 8, 13 + 20 * number), (width - LEGEND + 19, 13 + 20 * number), colour, 3
        )
    said = "grey: shorter than any piece of this clip in a training"
    write(image, (LEFT, PLOT + 6), shortened(said, width - LEFT, 11), 11, GREY)
    return image


def _y(score: float) -> int:
    return round(PLOT - float(score) * (PLOT - 4))


def lines_of(clip: Shown, width: int) -> np.ndarray:
    """(rows, width, 3): all lines of time of a clip."""
    different = clip.different
    several = len(different) > 1
    # rows of the same joints drawn in several layouts would be the same
    parts = [
        people_lines(one, clip.rate, clip.frames, width, one.title if several else "") for one in different
    ]
    if clip.recognition:
        parts.append(recognition_lines(clip.recognition, clip.label, clip.frames, width))
    return np.concatenate(parts)


def at_frame(lines: np.ndarray, frame: int, frames: int) -> np.ndarray:
    """The lines with a mark at a frame."""
    image = lines.copy()
    x = time_x(frame, frames, lines.shape[1])
    image[:, x : x + 2] = INK
    return image
