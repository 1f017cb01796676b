"""A made data set that a network can learn in seconds: each class moves another joint."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from seeds import shifted

from mmcl import checksum, store
from mmcl.layouts import get_layout
from mmcl.settings.jobs import StreamTraining
from mmcl.video import jpeg

SETTINGS = {
    "protocol": "odd_subjects",
    "stream": "joint",
    "seed": shifted(1),
    "fit": False,
    "version": 1,
    "model": {
        "backbone": "ctrgcn",
        "graph": "natural",
        "width": 0.125,
        "fam": {
            "enabled": True,
            "weight": 0.1,
            "temperature": 0.4,
            "loss": "grace",
            "hidden": 16,
            "cnn": {"frozen": True},
        },
        "frm": {
            "enabled": True,
            "weight": 0.2,
            "n": 2,
            "input": "hidden",
            "matrices": "diagonal",
            "detach": False,
            "hidden": 8,
        },
    },
    "train": {
        "epochs": 4,
        "batch": 5,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 0.0004,
        "warmup_epochs": 1,
        "schedule": "steps",
        "steps": [3],
        "decay": 0.1,
        "window": 8,
        "crop": [0.5, 1.0],
        "min_crop": 4,
        "test_crop": 0.95,
        "rotation": 0.3,
        "precision": "fp32",
        "repeat": 1,
        "evaluate_every": 0,
    },
}


def stream_settings(**values) -> StreamTraining:
    """Settings of train_stream that take a second, with entries replaced as by `changed`."""
    return StreamTraining.model_validate(changed(SETTINGS, **values))


def train(stores: dict[str, Path], output: Path, settings: dict | StreamTraining, **more) -> dict:
    """Train a stream from made stores; returns the content of `output`/model.pt.

    Args:
        stores: of `make_stores`.
        output: the folder.
        settings: as they are, or to be validated.
        more: further arguments of train_stream; `inputs` in place of rgb and answers.
    """
    # torch is imported here, as conftest.py sets its number of threads first
    from mmcl import checkpoints
    from mmcl.training.train import train_stream

    if isinstance(settings, dict):
        settings = StreamTraining.model_validate(settings)
    kinds = {"fam": ("picture", "rgb"), "frm": ("answer", "answers")}
    terms = [kinds[term] for term in settings.model.enabled_terms if term in kinds]
    train_stream(
        skeletons=stores["skeletons"],
        output=output / "model.pt",
        settings=settings,
        **{"inputs": {name: [stores[store]] for name, store in terms}, **more},
    )
    return checkpoints.read(output / "model.pt")


def changed(settings: dict, **values) -> dict:
    """Settings with entries replaced: `train__epochs=2` is settings["train"]["epochs"]."""
    settings = copy.deepcopy(settings)
    for path, value in values.items():
        *parents, key = path.split("__")
        place = settings
        for parent in parents:
            place = place[parent]
        place[key] = value
    return settings


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Edit a sealed store in place, and seal it again."""
    with h5py.File(path, "r+") as file:
        yield file
    checksum.write(path)


def make_stores(folder: Path, layout_name: str = "utd20", persons: int = 1) -> dict[str, Path]:
    """Write the four stores. a1_s1 has neither picture nor answer; bad_s1 and bad_s2 no skeleton."""
    random = np.random.default_rng(shifted(0))
    joints = len(get_layout(layout_name))
    clips = {f"a{a}_s{s}": (a, s) for a in range(4) for s in range(1, 9)}
    pose = random.normal(0, 0.3, (joints, 3))
    recordings = {}
    for name, (action, subject) in clips.items():
        frames = 12 + (5 * action + subject) % 9
        x = np.tile(pose * (1 + 0.02 * subject), (frames, persons, 1, 1))
        x[:, :, 5 + action, 1] += np.sin(np.linspace(0, 6, frames))[:, None]
        recordings[name] = (x + random.normal(0, 0.01, x.shape)).astype(np.float32)

    def finish(file: h5py.File) -> None:
        sizes = file["frames"][:].astype(np.int64) * file["persons"][:]
        file["offset"][:] = np.cumsum(sizes) - sizes
        for key in ("id", "name"):
            texts = np.array([f"a{a}" for a in range(4)], dtype=object)
            file.create_dataset(f"classes/{key}", data=texts, dtype=store.TEXT)
        for key, numbers_of_failed in (("subject", [1, 2]), ("camera", [1, 1]), ("setup", [1, 1])):
            file.create_dataset(f"failed/{key}", data=np.array(numbers_of_failed, np.int16))
        for key, texts in (("action", ["a0", "a0"]), ("split", ["", ""])):
            file.create_dataset(f"failed/{key}", data=np.array(texts, dtype=object), dtype=store.TEXT)

    numbers = ("offset", "frames", "persons", "labels", "subject", "camera", "setup")

    def skeletons(names: list[str]) -> store.Batch:
        here = [name for name in names if name in clips]
        columns = {
            "joints": np.concatenate([recordings[name].reshape(-1, joints, 3) for name in here]),
            "offset": np.zeros(len(here)),
            "frames": [len(recordings[name]) for name in here],
            "persons": [persons] * len(here),
            "labels": [clips[name][0] for name in here],
            "subject": [clips[name][1] for name in here],
            "camera": np.ones(len(here)),
            "setup": np.ones(len(here)),
            "split": [""] * len(here),
        }
        return store.Batch(here, columns, {name: "empty" for name in names if name not in clips})

    def write(file: str, schema: str, columns: dict, names: list[str], work, **more) -> Path:
        store.write(
            folder / file,
            schema=schema,
            settings={},
            names=names,
            columns=columns,
            batch_size=40,
            work=work,
            **more,
        )
        return folder / file

    pictured = [name for name in clips if name != "a1_s1"]

    def pictures(names: list[str]) -> store.Batch:
        return store.Batch(names, {"features": _by_action(names, clips, (6,))}, {})

    def answers(names: list[str]) -> store.Batch:
        columns = {
            "states": _by_action(names, clips, (3, 7)),
            "mask": np.ones((len(names), 3)),
            "ids": np.array([[2748 + clips[name][0] % 2, 102, 0] for name in names]),
            "text": ["yes"] * len(names),
            "p_yes": [clips[name][0] % 2 for name in names],
        }
        return store.Batch(names, columns, {})

    def montages(names: list[str]) -> store.Batch:
        images = [jpeg.encode(np.full((16, 16, 3), 20 + 50 * clips[name][0], np.uint8), 95) for name in names]
        return store.Batch(names, {"images": images}, {})

    skeleton_columns = {key: store.Column("int64") for key in numbers}
    skeleton_columns["split"] = store.Column("text")
    skeleton_columns["joints"] = store.Column("float32", (joints, 3), flat=True)
    answer_columns = {
        "states": store.Column("float32", (3, 7)),
        "mask": store.Column("bool", (3,)),
        "ids": store.Column("int64", (3,)),
        "text": store.Column("text"),
        "p_yes": store.Column("float32"),
    }
    return {
        "skeletons": write(
            "skeletons.h5",
            "mmcl.skeletons/1",
            skeleton_columns,
            [*clips, "bad_s1", "bad_s2"],
            skeletons,
            finish=finish,
            attributes={"layout": layout_name},
        ),
        "rgb": write("rgb.h5", "mmcl.rgb/1", {"features": store.Column("float32", (6,))}, pictured, pictures),
        "montages": write(
            "montages.h5", "mmcl.montages/1", {"images": store.Column("bytes")}, pictured, montages
        ),
        "answers": write("answers.h5", "mmcl.answers/1", answer_columns, pictured, answers),
    }


def _by_action(names: list[str], clips: dict, shape: tuple[int, ...]) -> np.ndarray:
    """Features that tell the action."""
    return np.stack([np.random.default_rng(clips[name][0]).normal(0, 1, shape) for name in names])
