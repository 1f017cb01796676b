"""The kinds of input: an example of each, how it is changed, and what the project does with it.

Everything goes through functions that the workflow and the commands use, so that the harness outlives what is behind
them. What `use` returns is compared with what the unchanged example gives.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import chain
from fuzz import mutations as m
from mmcl import checkpoints, store
from mmcl.config import load
from mmcl.datasets import open_reader, reader_settings
from mmcl.datasets.exclusion import read_exclusion
from mmcl.datasets.index import read_index
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.evaluation.ensemble import read_scores
from mmcl.evaluation.score import predict
from mmcl.exchange.convert import convert
from mmcl.inspect import inspect
from mmcl.layouts import get_layout
from mmcl.models import build_backbone
from mmcl.naming import PROJECT
from mmcl.settings.jobs import StreamTraining
from mmcl.training import train
from mmcl.training.trained import load_model
from mmcl.video import jpeg, weights
from mmcl.video.decode import Recording

BINARY = m.BYTES


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: in the table.
        file: that is changed, from the folder of the example.
        use: what the project does with the folder; raises UserError if it refuses.
        mutations: one of these changes the file.
        example: which folder below the made world is the example; "" for the whole world without recordings.
        slow: whether a try takes a second rather than a hundredth; a quarter of the tries is made then.
    """

    name: str
    file: str
    use: Callable[[Path], Any]
    mutations: list[m.Mutation] = field(default_factory=lambda: BINARY)
    example: str = ""
    slow: bool = False


class Stopped(Exception):
    """A job that was stopped."""


# ------------------------------------------------------------------------------------------------ examples


def make_examples(world: Path) -> None:
    """The chain's files, and recordings and files of every other kind."""
    chain.run(world)
    rng = np.random.default_rng(1)
    joints = SkeletonStore(world / "skeletons.h5").clip(0)[:, 0]
    own = world / "own"
    (own / "npz").mkdir(parents=True)
    for form in ("csv", "json"):
        (own / form).mkdir()
    table = "name,label,subject,split\na,wave,1,train\nb,drink,2,test\n"
    names = get_layout("ntu25").joints
    for clip in "ab":
        x = joints + 0.01 * rng.normal(size=joints.shape)
        np.savez(own / f"npz/{clip}.npz", joints=x)
        (own / f"json/{clip}.json").write_text(json.dumps({"joints": x.tolist()}))
        head = ",".join(["frame", *[f"{joint}_{axis}" for joint in names for axis in "xyz"]])
        rows = [",".join([str(i), *map(repr, f.ravel().tolist())]) for i, f in enumerate(x)]
        (own / f"csv/{clip}.csv").write_text("\n".join([head, *rows]) + "\n")
    for form in ("npz", "csv", "json"):
        (own / form / "clips.csv").write_text(table)
    for output in ("exchange/a.npz", "exchange/a.pkl", "exchange/crosclr"):
        (world / output).parent.mkdir(exist_ok=True)
        convert(
            world / "skeletons.h5", world / output, protocol="odd_subjects" if "pkl" not in output else None
        )
    _make_mat(world / "utd")
    small = world / "small"
    small.mkdir()
    shutil.copy(next((world / "ntu/videos").glob("*.avi")), small / "a.avi")
    shutil.copy(next((world / "ntu/skeletons").glob("*.skeleton")), small)
    (small / "a.jpg").write_bytes(
        store.Shards([world / "montages.h5"], "mmcl.montages/1").row("images", _first(world))
    )
    shutil.copy(PROJECT / "resources/layouts/ntu25.json", small / "layout.json")
    (small / "exclude.txt").write_text("# damaged\nS001C001P001R001A001\nS001C001P001R001A023\n")
    (small / "config.yaml").write_text((PROJECT / "config.yaml").read_text())
    checkpoints.save(small / "released.pt", checkpoints.reference_state(_network()))
    _make_last(world)
    _make_begun(world / "begun")
    (world / "vlm").mkdir()
    shutil.copytree(PROJECT / "resources/demo/vlm", world / "vlm/model")
    shutil.copy(PROJECT / "resources/demo/detector.safetensors", small)


def _make_mat(folder: Path) -> None:
    import scipy.io

    folder.mkdir()
    x = np.random.default_rng(2).normal(size=(20, 3, 15))
    scipy.io.savemat(folder / "a1_s1_t1_skeleton.mat", {"d_skel": x})


def _make_begun(folder: Path) -> None:
    """A store that was stopped before its last batch."""

    def work(names: list[str]) -> store.Batch:
        if "f" in names:
            raise Stopped
        return _batch(names)

    folder.mkdir()
    with contextlib.suppress(Stopped):
        _write(folder, work)


def _make_last(world: Path) -> None:
    """A training that was stopped after its first epoch."""

    from mmcl.engine.resume import LastState

    save = LastState.save

    def once(self: LastState, **state: Any) -> None:
        save(self, **state)
        raise Stopped

    LastState.save = once
    try:
        with contextlib.suppress(Stopped):
            _train(world, world / "stopped")
    finally:
        LastState.save = save


def _first(world: Path) -> str:
    return store.Shards([world / "montages.h5"], "mmcl.montages/1").names[0]


def _network() -> Any:
    return build_backbone("ctrgcn", num_classes=4, layout="ntu25", persons=2, width=0.125)


# ---------------------------------------------------------------------------------------------------- uses


def _read(reader: str, where: str = "", **options: Any) -> Callable[[Path], Any]:
    """Reads every clip; a clip that is refused is refused if no other one is left."""

    def use(folder: Path) -> Any:
        opened = open_reader(reader_settings(reader, options), folder / where)
        found, reasons = {}, []
        for entry in opened.list_clips():
            try:
                found[entry] = opened.read_clip(entry)
            except UserError as error:
                reasons.append(error)
        if reasons:
            raise reasons[0]
        return found, opened.class_names()

    return use


def _columns(name: str, schema: str, *columns: str) -> Callable[[Path], Any]:
    def use(folder: Path) -> Any:
        shards = store.Shards([folder / f"{name}.h5"], schema)
        rows = {clip: [shards.row(column, clip) for column in columns] for clip in shards.names}
        return rows, shards.failed, shards.settings

    return use


def _pictures(name: str, schema: str) -> Callable[[Path], Any]:
    def use(folder: Path) -> Any:
        shards = store.Shards([folder / f"{name}.h5"], schema)
        return {
            clip: [jpeg.decode(data) for data in np.atleast_1d(shards.row("images", clip))]
            if name == "crops"
            else jpeg.decode(shards.row("images", clip))
            for clip in shards.names
        }

    return use


def _skeletons(folder: Path) -> Any:
    found = SkeletonStore(folder / "skeletons.h5")
    about = found.names, found.labels, found.class_ids, found.subject, found.split, found.failed
    return about, predict(load_model(folder / "model/model.pt"), [found.clip(i) for i in range(len(found))])


def _model(folder: Path) -> Any:
    found = SkeletonStore(folder / "skeletons.h5")
    model = load_model(folder / "model/model.pt")
    return predict(model, [found.clip(i) for i in range(len(found))]), model.classes, model.about


def _scores(folder: Path) -> Any:
    return read_scores([folder / "scores.h5"])


def _inspected(folder: Path) -> Any:
    return inspect(folder / "skeletons.h5")


def _train(world: Path, output: Path) -> Any:
    plain = {"width": 0.125, "fam": {"enabled": False}, "frm": {"enabled": False}}
    settings = StreamTraining.model_validate({**chain.TRAINING, "model": plain})
    output.mkdir(exist_ok=True)
    train.train_stream(skeletons=world / "skeletons.h5", output=output / "model.pt", settings=settings)
    return checkpoints.read(output / "model.pt")["state"]


def _last(folder: Path) -> Any:
    return _train(folder, folder / "stopped")


def _released(folder: Path) -> Any:
    net = _network()
    checkpoints.load_reference(net, folder / "released.pt")
    return net.state_dict()


def _detector(folder: Path) -> Any:
    return weights.read_state(folder / "detector.safetensors")


def _video(folder: Path) -> Any:
    recording = Recording(folder / "a.avi")
    return recording.choose(lambda frames: [0, frames // 2]), recording.frames, recording.size


def _config(folder: Path) -> Any:
    config = load(folder / "config.yaml")
    sections = [*config.datasets.values(), *config.benchmarks.values()]
    return [section.dump() for section in sections], config.questions


def _answers(folder: Path) -> Any:
    import torch

    from mmcl.settings.vlm import VlmSettings
    from mmcl.vlm import open_vlm

    settings = VlmSettings.model_validate({**chain.VLM, "weights": str(folder / "model")})
    model = open_vlm(settings, torch.device("cpu"))
    return model.answer([np.full((100, 100, 3), 99, np.uint8)], [chain.QUESTION])


def _begun(folder: Path) -> Any:
    """Continues a store of which two of three batches are there."""
    _write(folder, _batch)
    shards = store.Shards([folder / "x.h5"], "mmcl.rgb/1")
    return [shards.row("features", name) for name in "abcdef"]


def _batch(names: list[str]) -> store.Batch:
    return store.Batch(names, {"features": [[float(ord(name))] * 3 for name in names]}, {})


def _write(folder: Path, work: Callable[[list[str]], store.Batch]) -> None:
    store.write(
        folder / "x.h5",
        schema="mmcl.rgb/1",
        settings={"a": 1},
        names=list("abcdef"),
        columns={"features": store.Column("float32", (3,))},
        batch_size=2,
        work=work,
    )


JSON = [*m.TEXT, *[m.of_json] * 8]
PICKLES = [*BINARY, *[m.of_pickle] * 6, *[m.of_hostile_pickle] * 3]
SAFETENSORS = [*BINARY, *[m.of_safetensors] * 8]
STORES = [*BINARY, *[m.of_hdf5] * 9]
CHECKPOINTS = [*BINARY, *[m.of_checkpoint] * 6, m.of_hostile_checkpoint]

WITH_CHECKSUM = [
    Kind("skeletons store", "skeletons.h5", _skeletons, STORES),
    Kind("inspect", "skeletons.h5", _inspected, STORES),
    Kind("crops store", "crops.h5", _pictures("crops", "mmcl.crops/1"), STORES),
    Kind("montages store", "montages.h5", _pictures("montages", "mmcl.montages/1"), STORES),
    Kind("rgb store", "rgb.h5", _columns("rgb", "mmcl.rgb/1", "features"), STORES),
    Kind(
        "answers store",
        "answers.h5",
        _columns("answers", "mmcl.answers/1", "states", "mask", "ids", "text", "p_yes"),
        STORES,
    ),
    Kind("scores store", "scores.h5", _scores, STORES),
    Kind("batch", "x.h5.part/000001.h5", _begun, STORES, "begun"),
    Kind("model.pt", "model/model.pt", _model, CHECKPOINTS),
    Kind("last.pt", "stopped/last.pt", _last, CHECKPOINTS, slow=True),
]
"""Files of the project's own."""

KINDS = [
    Kind("own npz", "a.npz", _read("own", layout="ntu25"), [*BINARY, *[m.of_npz] * 8], "own/npz"),
    Kind("own csv", "a.csv", _read("own", layout="ntu25"), m.TEXT, "own/csv"),
    Kind("own json", "a.json", _read("own", layout="ntu25"), JSON, "own/json"),
    Kind("table", "clips.csv", _read("own", layout="ntu25"), m.TEXT, "own/npz"),
    Kind("skeleton", "*.skeleton", _read("ntu", use_missing_list=False), m.TEXT, "small"),
    Kind("mat", "*.mat", _read("utd_mhad"), BINARY, "utd"),
    Kind("ctr npz", "a.npz", _read("ctr_npz", "a.npz"), [*BINARY, *[m.of_npz] * 8], "exchange"),
    Kind("npy", "train_data_joint.npy", _read("crosclr"), [*BINARY, *[m.of_npy] * 8], "exchange/crosclr"),
    Kind("label pickle", "train_label.pkl", _read("crosclr"), PICKLES, "exchange/crosclr"),
    Kind("pyskl pickle", "a.pkl", _read("pyskl", "a.pkl"), PICKLES, "exchange"),
    Kind("video", "a.avi", _video, BINARY, "small"),
    Kind("JPEG", "a.jpg", lambda folder: jpeg.decode((folder / "a.jpg").read_bytes()), BINARY, "small"),
    Kind("index", "index.tsv", lambda folder: read_index(folder / "index.tsv"), m.TEXT),
    Kind("layout", "layout.json", lambda folder: get_layout(str(folder / "layout.json")), JSON, "small"),
    Kind(
        "exclusion",
        "exclude.txt",
        lambda folder: read_exclusion(str(folder / "exclude.txt")),
        m.TEXT,
        "small",
    ),
    Kind("config", "config.yaml", _config, [*m.TEXT, *[m.of_yaml] * 12], "small"),
    *WITH_CHECKSUM,
    *[
        replace(kind, name=f"{kind.name}, renewed", mutations=[m.renewed(one) for one in kind.mutations])
        for kind in WITH_CHECKSUM
    ],
    Kind("plan", "x.h5.part/plan.json", _begun, JSON, "begun"),
    Kind("released.pt", "released.pt", _released, CHECKPOINTS, "small"),
    Kind("safetensors", "detector.safetensors", _detector, SAFETENSORS, "small"),
    Kind("VLM config", "model/config.json", _answers, JSON, "vlm", slow=True),
    Kind("VLM tokenizer", "model/tokenizer.json", _answers, JSON, "vlm", slow=True),
    Kind("VLM weights", "model/model.safetensors", _answers, SAFETENSORS, "vlm", slow=True),
]
"""All; `…, renewed`: with a valid checksum after the change, as an attacker would give it."""
