"""NTU RGB+D prepared the reference's way: three stages, everything in memory between them, padded at the end.

Written from the rules of the public scripts (read the text line by line; clean; centre and pad), with their numbers,
their row order and their frame numbering. `prepare_ntu.py` runs it beside mmcl.
"""

import pickle
from pathlib import Path

import numpy as np

FRAMES, VALUES = 300, 75
TRAINING = {1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38}
TRAINING |= {45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89}
TRAINING |= {91, 92, 93, 94, 95, 97, 98, 100, 103}


def read_recording(path: Path) -> dict:
    """Frames that show somebody, and joints, colour and frame numbers of every body."""
    lines = path.read_text().splitlines()
    at, kept, bodies = 1, 0, {}
    for _ in range(int(lines[0])):
        count = int(lines[at])
        at += 1
        for _ in range(count):
            identity = lines[at].split()[0]
            joints, colour = np.zeros((25, 3), np.float32), np.zeros((25, 2), np.float32)
            for joint in range(25):
                fields = lines[at + 2 + joint].split()
                joints[joint] = np.array(fields[:3], np.float32)
                colour[joint] = np.array(fields[5:7], np.float32)
            at += 27
            if identity in bodies:
                body = bodies[identity]
                body["joints"] = np.vstack((body["joints"], joints))
                body["colour"] = np.vstack((body["colour"], colour[np.newaxis]))
                body["interval"].append(body["interval"][-1] + 1)
            else:
                bodies[identity] = {"joints": joints, "colour": colour[np.newaxis], "interval": [kept]}
        kept += count > 0
    if len(bodies) > 1:
        for body in bodies.values():
            body["motion"] = np.sum(np.var(body["joints"], axis=0))
    return {"frames": kept, "bodies": bodies}


def people(recording: dict) -> np.ndarray:
    """(T, 75) of one person or (T, 150) of two."""
    bodies = recording["bodies"]
    if len(bodies) == 1:
        return next(iter(bodies.values()))["joints"].reshape(-1, VALUES)
    left = {name: body for name, body in bodies.items() if len(body["interval"]) > 11}
    for name in list(left) if len(left) > 1 else []:
        if len(left) == 1:
            break
        joints = left[name]["joints"].reshape(-1, 25, 3)
        good = [t for t, frame in enumerate(joints) if np.ptp(frame[:, 0]) <= 0.8 * np.ptp(frame[:, 1])]
        if 1 - len(good) / len(joints) >= 0.69754:
            del left[name]
        elif len(good) < len(joints):
            motion = np.sum(np.var(joints[good].reshape(-1, 3), axis=0))
            left[name]["motion"] = min(left[name]["motion"], motion)
    ordered = sorted(left.values(), key=lambda body: -body["motion"])
    table = np.zeros((recording["frames"], VALUES * min(len(ordered), 2)), np.float32)
    spans = [None, [0, 0]]
    for body in ordered:
        start, end = body["interval"][0], body["interval"][-1]
        if spans[0] is None:
            actor, spans[0] = 0, [start, end]
        else:
            apart = [min(span[1], end) - max(span[0], start) <= 0 for span in spans]
            if not any(apart):
                continue
            actor = apart.index(True)
            spans[actor] = [min(spans[actor][0], start), max(spans[actor][1], end)]
        table[start : end + 1, VALUES * actor : VALUES * (actor + 1)] = body["joints"].reshape(-1, VALUES)
    return np.array([frame for frame in table if np.sum(frame) != 0])


def centred(table: np.ndarray) -> np.ndarray:
    """Relative to person 1's second joint in the first frame; who is absent stays zero; one person stands twice."""
    table = table.copy()
    first = next(t for t in range(len(table)) if np.any(table[t, :VALUES] != 0))
    origin = table[first, 3:6].copy()
    for frame in table:
        for person in range(len(frame) // VALUES):
            values = frame[VALUES * person : VALUES * (person + 1)]
            if np.any(values != 0):
                values -= np.tile(origin, 25)
    return np.hstack((table, table)) if table.shape[1] == VALUES else table


def prepare(files: list[Path], folder: Path) -> None:
    """`.skeleton` files in name order → `raw.pkl`, `cleaned.pkl` and `NTU120_CSub.npz` in `folder`."""
    with open(folder / "raw.pkl", "wb") as file:
        pickle.dump([read_recording(path) for path in files], file, pickle.HIGHEST_PROTOCOL)
    with open(folder / "raw.pkl", "rb") as file:
        recordings = pickle.load(file)
    with open(folder / "cleaned.pkl", "wb") as file:
        pickle.dump([people(recording) for recording in recordings], file, pickle.HIGHEST_PROTOCOL)
    del recordings
    with open(folder / "cleaned.pkl", "rb") as file:
        tables = pickle.load(file)
    padded = np.zeros((len(tables), FRAMES, 2 * VALUES), np.float32)
    for row, table in zip(padded, tables, strict=True):
        row[: len(table)] = centred(table)
    subjects = np.array([int(path.stem[9:12]) for path in files])
    one_hot = np.eye(120)[[int(path.stem[17:20]) - 1 for path in files]]
    order = np.argsort(subjects, kind="stable")
    train = np.array([i for i in order if subjects[i] in TRAINING])
    test = np.array([i for i in order if subjects[i] not in TRAINING])
    np.savez(
        folder / "NTU120_CSub.npz",
        x_train=padded[train],
        y_train=one_hot[train],
        x_test=padded[test],
        y_test=one_hot[test],
    )


if __name__ == "__main__":
    import sys

    prepare(sorted(Path(sys.argv[1]).rglob("*.skeleton"), key=lambda path: path.name), Path(sys.argv[2]))
