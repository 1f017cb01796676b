"""Draw a whole data set in NTU RGB+D's or UTD-MHAD's own form; a killed job continues where it was."""

import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.demo import damage
from mmcl.demo.actions import ACTIONS, FPS
from mmcl.demo.draw import UTD_ACTIONS, Shot, ntu_name, pick_length, setup_of, utd_joints, utd_name
from mmcl.demo.kinect import jitter, track
from mmcl.demo.seeding import generator
from mmcl.demo.write import skeleton_text, write_mat, write_video
from mmcl.errors import UserError

VERSION = 1
"""Raised when the same settings would give other files."""

WORKING = ".drawing"
"""Folder of unfinished files inside the data set's; gone when everything is drawn."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """One recording to draw."""

    name: str
    form: str
    action: int
    subject: int
    camera: int
    replication: int
    damage: str = ""

    @property
    def files(self) -> tuple[str, str]:
        """Skeleton and video, relative to the data set's folder."""
        if self.form == "ntu":
            return f"skeletons/{self.name}.skeleton", f"videos/{self.name}_rgb.avi"
        return f"skeletons/{self.name}_skeleton.mat", f"videos/{self.name}_color.avi"


def plan(settings: dict[str, Any]) -> list[Recording]:
    """All recordings that the settings ask for, sorted by name.

    Raises:
        UserError: an action, camera or form that is not drawn.
    """
    form, actions, subjects = settings["form"], settings["actions"], settings["subjects"]
    if form not in ("ntu", "utd_mhad"):
        raise UserError(f"form must be ntu or utd_mhad, not {form!r}")
    known = ACTIONS if form == "ntu" else UTD_ACTIONS
    if unknown := sorted(set(actions) - set(known)):
        raise UserError(f"actions: {form} draws {sorted(known)}, not {unknown}")
    cameras = settings["cameras"] if form == "ntu" else [1]
    if unknown := sorted(set(cameras) - {1, 2, 3}):
        raise UserError(f"cameras: there are 1, 2 and 3, not {unknown}")
    if any(side % 2 for side in settings["size"]):
        raise UserError(f"size must be even, not {settings['size']}")
    trials = settings.get("trials", 1)
    recordings = []
    for a in actions:
        for s in subjects:
            for c in cameras:
                for r in range(1, trials + 1):
                    name = ntu_name(a, s, c, r) if form == "ntu" else utd_name(a, s, r)
                    recordings.append(Recording(name, form, a, s, c, r))
    if settings.get("damaged") and form == "ntu":
        for kind, a, s, c in damage.plan(actions, subjects, cameras):
            recordings.append(Recording(ntu_name(a, s, c, trials + 1), form, a, s, c, trials + 1, kind))
    return sorted(recordings, key=lambda r: r.name)


def draw_dataset(folder: Path, settings: dict[str, Any], processes: int) -> None:
    """Draw every recording and list them in `<folder>/drawn.json`, which is written last.

    Args:
        folder: gets `skeletons/`, `videos/` and `drawn.json`.
        settings: `form` ("ntu" or "utd_mhad"), `seed`, `actions` (NTU numbers), `subjects`, `cameras` (NTU
            form), `trials`, `frames` [least, most], `size` [width, height], `damaged` (NTU form: adds
            recordings with something wrong, as the replication after the last).
        processes: how many draw at once; the files do not depend on it.

    Raises:
        UserError: settings that cannot be drawn.
    """
    folder = Path(folder)
    working = folder / WORKING
    recordings = plan(settings)
    stamp = json.dumps({"version": VERSION, "settings": settings}, sort_keys=True)
    _continue_or_begin(folder, stamp)
    todo = [r for r in recordings if not _finished(folder, r)]
    if len(todo) < len(recordings):
        log.info(
            "%s: %d of %d recordings are there already", folder, len(recordings) - len(todo), len(recordings)
        )
    _draw_all(folder, settings, todo, processes)
    clips = [json.loads((working / f"{r.name}.json").read_text()) for r in recordings]
    damaged = {r.name: damage.KINDS[r.damage] for r in recordings if r.damage}
    lines = ",\n".join(json.dumps(clip) for clip in clips)
    head = json.dumps({"version": VERSION, "settings": settings, "damaged": damaged}, indent=1)
    text = head[:-2] + ',\n "clips": [\n' + lines + "\n ]\n}\n"
    (working / "drawn.json").write_text(text)
    os.replace(working / "drawn.json", folder / "drawn.json")
    shutil.rmtree(working)


def _continue_or_begin(folder: Path, stamp: str) -> None:
    """Keep what an interrupted run with the same settings left; otherwise remove what a former run drew."""
    working, done = folder / WORKING, folder / "drawn.json"
    marker = working / "settings.json"
    if marker.exists() and marker.read_text() == stamp:
        done.unlink(missing_ok=True)
    else:
        former = [json.loads(path.read_text()) for path in (marker, done) if path.exists()]
        for old in former:
            for recording in plan(old["settings"]):
                for file in recording.files:
                    (folder / file).unlink(missing_ok=True)
        done.unlink(missing_ok=True)
        shutil.rmtree(working, ignore_errors=True)
    for part in ("skeletons", "videos", WORKING):
        (folder / part).mkdir(parents=True, exist_ok=True)
    marker.write_text(stamp)


def _finished(folder: Path, recording: Recording) -> bool:
    record = folder / WORKING / f"{recording.name}.json"
    return record.exists() and all((folder / file).exists() for file in recording.files)


def _draw_all(folder: Path, settings: dict[str, Any], todo: list[Recording], processes: int) -> None:
    from tqdm import tqdm

    # Neighbours in this order share a room, which a process then draws once.
    todo = sorted(todo, key=lambda r: (setup_of(r.subject), r.camera, r.name))
    with tqdm(total=len(todo), desc=f"drawing {folder.name}", unit="clip", disable=None) as bar:
        for _ in _run(folder, settings, todo, processes):
            bar.update()


def _run(folder: Path, settings: dict[str, Any], todo: list[Recording], processes: int) -> Iterator[None]:
    if processes <= 1 or len(todo) < 2:
        yield from (draw_recording(folder, settings, r) for r in todo)
        return
    chunk = max(len(todo) // (processes * 6), 1)
    chunks = [todo[i : i + chunk] for i in range(0, len(todo), chunk)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_draw_chunk, folder, settings, part) for part in chunks]
        for job in jobs:
            yield from [None] * job.result()


def _draw_chunk(folder: Path, settings: dict[str, Any], recordings: Iterable[Recording]) -> int:
    import cv2

    cv2.setNumThreads(1)
    return sum(draw_recording(folder, settings, r) is None for r in recordings)


def draw_recording(folder: Path, settings: dict[str, Any], recording: Recording) -> None:
    """Draw one recording; its files appear under their names only when whole, its record last of all."""
    r, seed, size = recording, settings["seed"], tuple(settings["size"])
    working = folder / WORKING
    frames = pick_length(seed, r.form, r.action, r.subject, r.replication, tuple(settings["frames"]))
    shot = Shot(
        r.action,
        r.subject,
        r.camera,
        r.replication,
        seed=seed,
        frames=frames,
        size=size,
        held=None,
        form=r.form,
    )
    # UTD-MHAD's colour camera runs at half the skeleton's rate.
    every = 1 if r.form == "ntu" else 2
    skeleton, video = (working / Path(file).name for file in r.files)
    sensor = generator("sensor", seed, r.form, r.name)
    if r.form == "ntu":
        text = skeleton_text(track(shot.joints, sensor), shot.view)
        skeleton.write_text(damage.damage_skeleton(text, r.damage))
    else:
        write_mat(skeleton, utd_joints(jitter(shot.joints[:, 0], sensor)[0]))
    empty = r.damage == "nobody_in_video"
    pictures = (shot.empty() for _ in range(frames)) if empty else shot.pictures(every)
    write_video(video, pictures, size, FPS / every)
    damage.damage_video(video, r.damage)
    boxes = np.rint(shot.boxes[::every]).astype(int)
    record = {
        "name": r.name,
        "action": r.action,
        "subject": r.subject,
        "camera": r.camera,
        "replication": r.replication,
        "object": shot.object,
        "persons": 0 if empty else boxes.shape[1],
        "frames": frames,
        "video_frames": len(boxes),
        "damage": r.damage,
        "object_pixels": [] if empty else shot.object_pixels[::every].tolist(),
        "boxes": [] if empty else boxes.tolist(),
    }
    for temporary, final in zip((skeleton, video), r.files, strict=True):
        os.replace(temporary, folder / final)
    record_path = working / f"{r.name}.json"
    record_path.with_suffix(".part").write_text(json.dumps(record))
    os.replace(record_path.with_suffix(".part"), record_path)
