"""Draw a whole data set in NTU RGB+D's or UTD-MHAD's own form; a killed job continues where it stopped."""

import json
import logging
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterator, Sequence
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
from mmcl.files import locked, read_json, write_json, write_text
from mmcl.helpers import end_with_parent
from mmcl.progress import tracked
from mmcl.settings.jobs import Drawing

WORKING = ".drawing"
"""Folder of unfinished files inside the data set's; deleted when all recordings are drawn."""

DRAWN = re.compile(
    r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}(\.skeleton|_rgb\.avi)|a\d+_s\d+_t\d+_(skeleton\.mat|color\.avi)"
)
"""Names of recordings."""
LOCK = "lock"
"""The file there that a process holds while it draws."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedClip:
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


def plan(settings: Drawing) -> list[PlannedClip]:
    """All recordings that the settings ask for, sorted by name.

    Raises:
        UserError: an action that is not drawn in that form, or an odd size.
    """
    form, actions, subjects = settings.form, settings.actions, settings.subjects
    known = ACTIONS if form == "ntu" else UTD_ACTIONS
    if unknown := sorted(set(actions) - set(known)):
        raise UserError(f"actions: {form} draws {sorted(known)}, not {unknown}")
    cameras = settings.cameras if form == "ntu" else (1,)
    if any(side % 2 for side in settings.size):
        raise UserError(f"size must be even, not {list(settings.size)}")
    trials = settings.trials
    recordings = []
    for action in actions:
        for subject in subjects:
            for camera in cameras:
                for trial in range(1, trials + 1):
                    name = (
                        ntu_name(action, subject, camera, trial)
                        if form == "ntu"
                        else utd_name(action, subject, trial)
                    )
                    recordings.append(PlannedClip(name, form, action, subject, camera, trial))
    if settings.damaged and form == "ntu":
        for kind, a, s, c in damage.plan(actions, subjects, cameras):
            recordings.append(PlannedClip(ntu_name(a, s, c, trials + 1), form, a, s, c, trials + 1, kind))
    return sorted(recordings, key=lambda r: r.name)


def draw_dataset(folder: Path, settings: Drawing, processes: int) -> None:
    """Draw every recording and list them in `<folder>/drawn.json`, which is written last.

    Args:
        folder: gets `skeletons/`, `videos/` and `drawn.json`.
        settings: of the stage. In the form of UTD-MHAD there is one camera, and no damaged recording; in that of NTU
            a damaged one is the replication after the last.
        processes: how many draw in parallel; the files do not depend on it.

    Raises:
        UserError: settings that cannot be drawn, or another process draws into this folder.
    """
    folder = Path(folder)
    working = folder / WORKING
    recordings = plan(settings)
    with locked(working / LOCK, f"{folder} is being written by another process; wait for it or stop it"):
        _continue_or_begin(folder, settings)
        todo = [r for r in recordings if _record(folder, r) is None]
        if there := len(recordings) - len(todo):
            log.info("%s: %d of %d recordings are there already", folder, there, len(recordings))
        _draw_all(folder, settings, todo, processes)
        clips = [_record(folder, r) for r in recordings]
        damaged = {r.name: damage.KINDS[r.damage] for r in recordings if r.damage}
        lines = ",\n".join(json.dumps(clip) for clip in clips)
        head = json.dumps({"settings": settings.dump(), "damaged": damaged}, indent=1)
        text = head[:-2] + ',\n "clips": [\n' + lines + "\n ]\n}\n"
        write_text(folder / "drawn.json", text)
        shutil.rmtree(working)


def _continue_or_begin(folder: Path, settings: Drawing) -> None:
    """Keep the files of an interrupted run with the same settings; otherwise delete all that was drawn before."""
    marker = folder / WORKING / "settings.json"
    wanted = {"settings": settings.dump()}
    (folder / "drawn.json").unlink(missing_ok=True)
    for part in ("skeletons", "videos"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    if marker.exists():
        try:
            if read_json(marker) == wanted:
                return
        except UserError as error:  # of a full disk, or after a power failure
            log.warning("%s: all recordings are drawn again", error)
    for part in ("skeletons", "videos"):
        # by name: which settings drew them is not always known
        for file in (folder / part).iterdir():
            if DRAWN.fullmatch(file.name):
                file.unlink()
    for file in (folder / WORKING).iterdir():
        if file.name != LOCK:
            file.unlink()
    write_json(marker, wanted)


def _record(folder: Path, recording: PlannedClip) -> dict[str, Any] | None:
    """What is listed of a finished recording; None if it is not finished."""
    try:
        record: dict[str, Any] = read_json(folder / WORKING / f"{recording.name}.json")
        sizes = [(folder / file).stat().st_size for file in recording.files]
        return record["clip"] if record["bytes"] == sizes else None
    except (UserError, OSError, LookupError, TypeError):
        return None


def _draw_all(folder: Path, settings: Drawing, todo: list[PlannedClip], processes: int) -> None:
    # neighbours in this order share a room, which a process then draws once
    todo = sorted(todo, key=lambda r: (setup_of(r.subject), r.camera, r.name))
    for _ in tracked(_run(folder, settings, todo, processes), f"drawing {folder.name}", "clips", len(todo)):
        pass


def _run(folder: Path, settings: Drawing, todo: list[PlannedClip], processes: int) -> Iterator[None]:
    if processes <= 1 or len(todo) < 2:
        for recording in todo:
            draw_recording(folder, settings, recording)
            yield
        return
    chunk = max(len(todo) // (processes * 6), 1)
    chunks = [todo[i : i + chunk] for i in range(0, len(todo), chunk)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=end_with_parent) as pool:
        jobs = [pool.submit(_draw_chunk, folder, settings, part) for part in chunks]
        for job in jobs:
            yield from [None] * job.result()


def _draw_chunk(folder: Path, settings: Drawing, recordings: Sequence[PlannedClip]) -> int:
    import cv2

    cv2.setNumThreads(1)
    for recording in recordings:
        draw_recording(folder, settings, recording)
    return len(recordings)


def draw_recording(folder: Path, settings: Drawing, recording: PlannedClip) -> None:
    """Draw one recording; its files get their names when they are complete, its record last."""
    r, seed, size = recording, settings.seed, settings.size
    working = folder / WORKING
    frames = pick_length(seed, r.form, r.action, r.subject, r.replication, settings.frames)
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
    # UTD-MHAD's colour camera has half the frame rate of the skeleton
    every = 1 if r.form == "ntu" else 2
    skeleton, video = (working / Path(file).name for file in r.files)
    sensor = generator("sensor", seed, r.form, r.name)
    if r.form == "ntu":
        text = skeleton_text(track(shot.joints, sensor), shot.view)
        write_text(skeleton, damage.damage_skeleton(text, r.damage))
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
    sizes = [file.stat().st_size for file in (skeleton, video)]
    for temporary, final in zip((skeleton, video), r.files, strict=True):
        os.replace(temporary, folder / final)
    write_text(working / f"{r.name}.json", json.dumps({"clip": record, "bytes": sizes}))
