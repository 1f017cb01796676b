"""Clips as one page of HTML that needs nothing else: no network, no other file."""

import base64
import html
import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmcl.files import write_text
from mmcl.layouts import get_layout
from mmcl.report.player.bones import SURE
from mmcl.report.player.colours import PEOPLE, UNSURE, sides
from mmcl.report.player.film import pictures
from mmcl.report.player.shown import Film, Recognition, Shown, Skeleton
from mmcl.report.player.tracks import tracks_of
from mmcl.report.player.views import Space, space_of, step_of, ticks
from mmcl.report.spread import spread
from mmcl.video import jpeg

MOST_BYTES = 48 << 20
"""Of a page: what a browser opens without delay."""
WIDEST, QUALITY, MOST_PICTURES = 480, 70, 150
"""Pixels and JPEG quality of a video's pictures, and how many of a clip, evenly over its time."""
BEST = 5
"""Classes whose scores are in the page."""


class Page(NamedTuple):
    """What was written.

    Attributes:
        clips: names of those in the page.
        without_video: of these, whose video would have made it too large.
        size: bytes.
    """

    clips: list[str]
    without_video: list[str]
    size: int


def write_page(clips: Iterable[Shown], output: Path, title: str) -> Page:
    """Write a page; clips that would make it larger than MOST_BYTES lose their video, or are left out at the end.

    Args:
        clips: taken one by one.
        output: the file.
        title: of the page.
    """
    parts: list[str] = []
    page = Page([], [], 0)
    size = sum(len(_resource(name)) for name in ("page.html", "page.css", "page.js"))
    for clip in clips:
        part = _json(_clip(clip, clip.film))
        lost = clip.film is not None and size + len(part) > MOST_BYTES
        if lost:
            part = _json(_clip(clip, None))
        if size + len(part) > MOST_BYTES and parts:
            break
        size += len(part)
        parts.append(part)
        page.clips.append(clip.name)
        if lost:
            page.without_video.append(clip.name)
    shared = _json({"hues": [list(hue) for hue in PEOPLE], "unsure": UNSURE, "sure": SURE})
    data = f'{shared[:-1]},"clips":[{",".join(parts)}]}}'
    text = _resource("page.html")
    for key, value in (
        ("title", html.escape(title)),
        ("style", _resource("page.css")),
        ("script", _resource("page.js")),
        ("data", data),  # the last one: what it holds is not replaced
    ):
        text = text.replace(f"{{{{{key}}}}}", value, 1)
    write_text(output, text)
    return page._replace(size=output.stat().st_size)


def _resource(name: str) -> str:
    return files("mmcl.report.player").joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that can stand in a script element: no text of a clip ends it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _clip(clip: Shown, film: Film | None) -> dict[str, Any]:
    return {
        "name": clip.name,
        "label": clip.label,
        "about": ", ".join(clip.about),
        "rate": clip.rate,
        "frames": clip.frames,
        "left_out": clip.left_out,
        "notes": clip.notes,
        "montage": None if clip.montage is None else _image(clip.montage),
        "answers": [
            {**one._asdict(), "p_yes": None if np.isnan(one.p_yes) else one.p_yes} for one in clip.answers
        ],
        "recognition": _recognition(clip.recognition) if clip.recognition else None,
        "film": _film(film) if film else None,
        "skeletons": [
            {
                **_skeleton(
                    one, clip.rate, space_of([other for other in clip.skeletons if other.unit == one.unit])
                ),
                "repeated": not any(one is other for other in clip.different),
            }
            for one in clip.skeletons
        ],
    }


def _skeleton(skeleton: Skeleton, rate: float, space: Space) -> dict[str, Any]:
    layout, tracks = get_layout(skeleton.layout), tracks_of(skeleton, rate)
    people = range(skeleton.joints.shape[1])
    return {
        "title": skeleton.title,
        "unit": skeleton.unit,
        "flat": skeleton.flat,
        "names": layout.joints,
        "parents": layout.parents,
        "sides": sides(layout),
        "shape": skeleton.joints.shape[:3],
        "joints": _floats(skeleton.joints),
        "confidence": None if skeleton.confidence is None else _floats(skeleton.confidence),
        "space": {
            "centre": space.centre.tolist(),
            "half": space.half,
            "ground": space.low.tolist(),
            "step": step_of(2 * space.half),
            "ticks": [ticks(value, space.half) for value in space.centre.tolist()],
        },
        "tracks": {
            "present": ["".join("1" if there else "0" for there in tracks.present[:, one]) for one in people],
            "speed": [[float(f"{value:.4g}") for value in tracks.speed[:, one]] for one in people],
            "full": tracks.full,
            "jumps": [np.flatnonzero(tracks.jumps[:, one]).tolist() for one in people],
            "said": [tracks.said(one, skeleton.unit) for one in people],
        },
    }


def _recognition(found: Recognition) -> dict[str, Any]:
    best = found.best(BEST)
    classes = [found.classes[i] for i in best]
    return {
        "model": found.model,
        "classes": classes,
        "best": classes[:3],
        "ends": found.ends.tolist(),
        "scores": [[float(f"{score:.4g}") for score in row] for row in found.scores[:, best].tolist()],
        "shortest": found.shortest,
    }


def _film(film: Film) -> dict[str, Any]:
    numbers = spread(np.unique(film.frame).tolist(), MOST_PICTURES)
    image = np.searchsorted(numbers, film.frame, "right") - 1
    # a frame of the skeleton that shows each picture
    frames = [int(np.searchsorted(film.frame, number)) for number in numbers]
    width, height = film.size
    scale = min(1.0, WIDEST / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return {
        "size": film.size,
        "frame": film.frame.tolist(),
        "image": image.tolist(),
        "images": [_image(jpeg.encode(picture, QUALITY)) for picture in pictures(film, frames, size)],
        "pixels": None if film.pixels is None else _floats(film.pixels),
    }


def _floats(values: np.ndarray) -> str:
    """Little-endian float32 as base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _image(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
