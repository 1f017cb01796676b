"""A working directory in which the commands of the pages can be run: made files under the names of the examples."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import yaml
from documented import BLOCK, PROJECT
from exchange.made_exchange import NAMES, make_store, save_names, save_xsub
from made_bodies import body
from made_stores import make_stores
from planned import at, stream
from scipy.io import savemat

from mmcl import store
from mmcl.config import Config
from mmcl.evaluation.ensemble import write_ensemble
from mmcl.evaluation.score import score_stream
from mmcl.plan import Plan
from mmcl.settings.jobs import Fusion, Scoring, StreamTraining
from mmcl.training.train import train_stream
from mmcl.video import jpeg

LINKED = ("Snakefile", "workflow", "profiles", "examples", "resources", "mmcl", "benchmarks")
FINISHED = (
    *("ntu120_xsub", "ntu120_xsub_plain", "t3_ctrgcn", "t3_ctrgcn_mmcl"),
    *("demo_xsub", "demo_xsub_no_fam", "demo_joint", "demo_joint_plain"),
)
"""Benchmarks that the pages take as finished."""
CLIPS = [*NAMES, "S003C001P011R001A050"]
"""Of the data set `demo`."""
QUESTION = "whether-the-people-are-302e3a4e"
PROBED = ("a", "b")
DATASETS = ("ntu60", "ntu120")
SMALL = """
instruction: which?
datasets: {ntu120: {reader: ntu}}
benchmarks:
  made:
    dataset: ntu120
    protocol: ntu120_xsub
    threads: 1
    model: {width: 0.125, fam: {enabled: false}, frm: {enabled: false}}
    train: {epochs: 2, batch: 8, learning_rate: 0.01, warmup_epochs: 0, steps: [], window: 8, min_crop: 4}
    ensemble: {members: [{stream: joint}], weights: equal}
"""


def make_world(folder: Path) -> None:
    """Everything; takes seconds."""
    for name in LINKED:
        (folder / name).symlink_to(PROJECT / name)
    recordings(folder)
    configuration(folder)
    subprocess.run([sys.executable, "examples/own-data/make_clips.py", "results/my-clips"], check=True)
    stores(folder)
    finished(folder)
    exchanged(folder)
    (folder / "weights").mkdir()
    (folder / "docs/pictures").mkdir(parents=True)


def configuration(folder: Path) -> None:
    """config.yaml with folders for all data sets, and the file of one's own that the pages add."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text())
    for name in DATASETS:
        config["datasets"][name] |= {"skeletons": "clips", "videos": "clips"}
    config["datasets"]["nw_ucla"] |= {"skeletons": "all_sqe", "videos": "Depth-video"}
    config["datasets"]["utd_mhad"] |= {"skeletons": "Skeleton", "videos": "Depth-video"}
    config["datasets"]["sysu"] |= {"skeletons": "clips", "videos": "clips"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    page = (PROJECT / "docs/tutorial.md").read_text()
    yamls = [text for _, language, text in BLOCK.findall(page) if language == "yaml"]
    for name, text in zip(("tutorial.yaml", "mine.yaml"), yamls, strict=True):
        # the folds of protocols.md are planned with it, too
        (folder / name).write_text(text.replace("protocol: given", "protocol: folds5"))


def recordings(folder: Path) -> None:
    """Of NTU (in clips/), NW-UCLA and UTD-MHAD, with depth videos."""
    for name in ("all_sqe", "Skeleton", "Depth-video"):
        (folder / name).mkdir()
    (folder / "data").mkdir()
    (folder / "data/all_sqe").symlink_to("../all_sqe")
    for action in (1, 2):
        for subject in (1, 2, 3, 4):
            joints = body(10 * action + subject)[:, 0]
            for view in (1, 3):
                name = f"a{action:02d}_s{subject:02d}_e00_v{view:02d}"
                clip = {"file_name": name, "skeletons": (joints + view).tolist(), "label": action}
                (folder / f"all_sqe/{name}.json").write_text(json.dumps(clip))
            name = f"a{action}_s{subject}_t1"
            savemat(folder / f"Skeleton/{name}_skeleton.mat", {"d_skel": joints.transpose(1, 2, 0)})
            video(folder / f"Depth-video/{name}_depth.avi", len(joints))


def video(path: Path, frames: int) -> None:
    """Of noise."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (32, 24))
    for frame in range(frames):
        writer.write(np.full((24, 32, 3), frame % 256, np.uint8))
    writer.release()


def stores(folder: Path) -> None:
    """Skeletons, montages and answers where the workflow keeps them."""
    ntu = make_store(folder / "made/ntu", NAMES)
    demo = make_store(folder / "made/demo", CLIPS)
    other = make_stores(folder / "made")["skeletons"]
    kept = {**dict.fromkeys(DATASETS, ntu), "demo": demo}
    for name, source in (kept | dict.fromkeys(("demo_target", "nw_ucla", "utd_mhad"), other)).items():
        place(source, folder / f"results/skeletons/{name}.h5")
    (folder / "made/ntu/raw").rename(folder / "clips")
    for kind in ("skeletons", "videos"):
        shutil.copytree(folder / "made/demo/raw", folder / "results/demo/raw/demo" / kind)
    shutil.copytree(folder / "Skeleton", folder / "results/demo/raw/demo_target/skeletons")
    for place_of, names in (("ntu120/blip", NAMES), ("demo/demo-blip", CLIPS)):
        dataset = place_of.split("/")[0]
        answers(folder / f"results/answers/{place_of}/{QUESTION}/007-of-032.h5", names)
        montages(folder / f"results/montages/{dataset}/007-of-032.h5", names)


def answers(path: Path, names: list[str]) -> None:
    """To a question about clips of NTU: yes or no by the action, with a state that tells nothing."""
    yes = np.array([name.endswith("A001") for name in names])
    columns = {
        "states": (store.Column("float32", (1, 2)), np.ones((len(names), 1, 2))),
        "mask": (store.Column("bool", (1,)), np.ones((len(names), 1))),
        "ids": (store.Column("int64", (1,)), yes[:, None]),
        "text": (store.Column("text"), ["yes" if one else "no" for one in yes]),
        "p_yes": (store.Column("float32"), yes * 0.8 + 0.1),
    }
    write(path, "mmcl.answers/1", columns, names)


def montages(path: Path, names: list[str]) -> None:
    """Grey pictures."""
    grey = jpeg.encode(np.full((16, 16, 3), 99, np.uint8), 95)
    write(path, "mmcl.montages/1", {"images": (store.Column("bytes"), [grey] * len(names))}, names)


def write(path: Path, schema: str, columns: dict, names: list[str]) -> None:
    """A store with a row for each clip."""
    path.parent.mkdir(parents=True)
    rows = {key: values for key, (_, values) in columns.items()}
    store.write(
        path,
        schema=schema,
        settings={},
        names=names,
        columns={key: column for key, (column, _) in columns.items()},
        batch_size=len(names),
        work=lambda part: store.Batch(part, rows, {}),
    )


def place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def finished(folder: Path) -> None:
    """A benchmark of one small stream, under every name of FINISHED."""
    plan = Plan(Config(yaml.safe_load(SMALL)))
    benchmark = plan.config.benchmark("made")
    [member] = benchmark.members
    run = plan.folder_of("made", member, 1)
    where = stream(plan, "made", member=member.name)
    model = folder / run / "model.pt"
    skeletons = folder / "results/skeletons/ntu120.h5"
    train_stream(
        skeletons=skeletons,
        output=model,
        settings=StreamTraining.model_validate(plan.stream_settings(where)),
        inputs={},
    )
    written = {"output": model.with_name("scores.h5"), "metrics": model.with_name("metrics.json")}
    settings = Scoring.model_validate(plan.score_settings(where))
    score_stream(model=model, skeletons=skeletons, settings=settings, **written)
    result = folder / "results/made/ensemble.json"
    result.parent.mkdir()
    write_ensemble(
        result,
        scores=[written["output"]],
        metrics=[written["metrics"]],
        fit=[],
        settings=Fusion.model_validate(plan.ensemble_settings(at(benchmark="made"))),
    )
    for name in FINISHED:
        place(result, folder / f"results/{name}/ensemble.json")
    for name in PROBED:
        for file in written.values():
            place(file, folder / f"results/{name}/ikem/probe/pretrain/seed-1/{file.name}")


def exchanged(folder: Path) -> None:
    """Files of other tools."""
    save_xsub(folder / "NTU60_CS.npz")
    for name in ("skes_available_name.txt", "names.txt"):
        save_names(folder / name)
