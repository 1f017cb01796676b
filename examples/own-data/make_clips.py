"""Make a small data set of "your own" to try docs/own-data.md with: people drawn by the project.

`python examples/own-data/make_clips.py FOLDER` writes skeletons in three kinds of files and clips.csv;
with `--videos` videos and clips.csv, with `--unlabelled` a few skeletons without a table.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from mmcl.demo.draw import Shot
from mmcl.demo.write import write_video
from mmcl.layouts import get_layout

ACTIONS = {23: "wave", 80: "squat", 96: "cross arms"}
SIZE = (320, 192)
JOINTS = get_layout("ntu25").joints


def shot(action: int, subject: int, trial: int, frames: int = 30) -> Shot:
    """A person who does something, seen from the front."""
    return Shot(action, subject, 1, trial, seed=7, frames=frames, size=SIZE, held="none", form="ntu")


def write_csv(path: Path, joints: np.ndarray) -> None:
    """One line a frame, the columns named by joint and axis; joints (T, 25, 3) in metres."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(f"{joint}_{axis}" for joint in JOINTS for axis in "xyz")])
        writer.writerows([t, *np.round(frame, 4).ravel()] for t, frame in enumerate(joints))


def write_skeleton(folder: Path, name: str, joints: np.ndarray, kind: str) -> None:
    """The same joints (T, 25, 3) in one of the three kinds of files."""
    if kind == "npz":
        np.savez(folder / f"{name}.npz", joints=joints.astype(np.float32))
    elif kind == "csv":
        write_csv(folder / f"{name}.csv", joints)
    else:
        (folder / f"{name}.json").write_text(json.dumps(np.round(joints, 4).tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", action="store_true", help="videos instead of skeletons")
    parser.add_argument("--unlabelled", action="store_true", help="three skeleton files and no table")
    parser.add_argument("--subjects", type=int, default=6)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.unlabelled:
        for action in ACTIONS:
            write_skeleton(asked.folder, f"unknown-{action}", shot(action, 99, 1).joints[:, 0], "npz")
        return
    rows = []
    for subject in range(1, asked.subjects + 1):
        for action, label in ACTIONS.items():
            name = f"{label.replace(' ', '-')}-{subject}"
            drawn = shot(action, subject, 1)
            if asked.videos:
                write_video(asked.folder / f"{name}.avi", drawn.pictures(), SIZE, 30.0)
            else:
                write_skeleton(asked.folder, name, drawn.joints[:, 0], ("npz", "csv", "json")[subject % 3])
            rows.append([name, label, subject, "train" if subject % 3 else "test"])
    with open(asked.folder / "clips.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "label", "subject", "split"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
