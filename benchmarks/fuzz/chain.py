"""A small chain of the project's stages, from drawn recordings to scores: `python benchmarks/fuzz/chain.py FOLDER`.

Like Snakemake, it makes what is not there, and a job that was stopped is started again.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from mmcl.datasets.prepare import index_clips, prepare_skeletons
from mmcl.demo.dataset import draw_dataset
from mmcl.errors import UserError
from mmcl.evaluation.score import score_stream
from mmcl.files import write_text
from mmcl.naming import PROJECT, slug
from mmcl.settings.base import narrowed
from mmcl.settings.jobs import (
    Answering,
    Cropping,
    Drawing,
    Embedding,
    Encoding,
    Indexing,
    Montages,
    Preparation,
    Scoring,
    StreamTraining,
)
from mmcl.training.train import train_stream
from mmcl.video.crop import crop_people
from mmcl.video.encode import encode_montages
from mmcl.video.montage import concatenate_frames
from mmcl.vlm.answer import answer_question
from mmcl.vlm.embed import embed_pictures

QUESTION = "whether the people are holding objects?"
FURTHER = "is there a person?"
QUESTION_FILE = f"{slug(QUESTION)}.txt"
DEMO = PROJECT / "resources/demo"
READER = {"reader": "ntu", "options": {"colour_size": [160, 90], "use_missing_list": False}}
DRAWN = {
    "form": "ntu",
    "seed": 5,
    "actions": [1, 23, 50],
    "subjects": [1, 2, 3],
    "cameras": [1],
    "trials": 1,
    "frames": [12, 14],
    "size": [160, 90],
    "damaged": False,
}
CROPS = {"boxes": "whole_frame", "frames": "chosen", "people": "label_free", "batch": 4}
CNN = {
    "name": "demo-shufflenet",
    "architecture": "shufflenet_v2_x0_5",
    "weights": str(DEMO / "cnn.safetensors"),
    "num_classes": 6,
    "feature": "pooled",
    "image_size": 64,
    "frozen": True,
    "batch": 4,
}
VLM = {"name": "demo-blip", "weights": str(DEMO / "vlm"), "image_size": None, "batch": 4}
TRAINING = {
    "protocol": "odd_subjects",
    "stream": "joint",
    "seed": 1,
    "model": {"width": 0.125, "fam": {"cnn": {k: v for k, v in CNN.items() if k != "batch"}}},
    "train": {"epochs": 3, "batch": 3, "warmup_epochs": 1, "steps": [2], "window": 16, "min_crop": 8},
}


def stages(folder: Path) -> dict[str, Callable[[], object]]:
    """What the chain makes → how, in order."""
    raw = folder / "ntu"
    skeletons, videos, index = raw / "skeletons", raw / "videos", folder / "index.tsv"
    stores = "skeletons", "crops", "montages", "rgb", "embeddings", "answers", "scores"
    at = {name: folder / f"{name}.h5" for name in stores}
    model, question = folder / "model/model.pt", folder / QUESTION_FILE
    stream = StreamTraining.model_validate(TRAINING)
    vlm = Answering.model_validate(VLM)
    cached = Answering.model_validate({**VLM, "cache_images": True})
    return {
        "ntu/drawn.json": lambda: draw_dataset(raw, Drawing.model_validate(DRAWN), 1),
        "index.tsv": lambda: index_clips(
            output=index, settings=Indexing.model_validate(READER), skeletons=skeletons, videos=videos
        ),
        "skeletons.h5": lambda: prepare_skeletons(
            index, at["skeletons"], Preparation.model_validate(READER), skeletons
        ),
        "crops.h5": lambda: crop_people(
            index,
            skeletons,
            videos,
            (0, 1),
            at["crops"],
            Cropping.model_validate({**READER, "video": CROPS}),
            1,
        ),
        "montages.h5": lambda: concatenate_frames(
            at["crops"],
            at["montages"],
            Montages.model_validate({"montage": {"size": 100}, "jpeg_quality": 95, "batch": 4}),
        ),
        "rgb.h5": lambda: encode_montages(at["montages"], at["rgb"], Encoding.model_validate(CNN), 1),
        QUESTION_FILE: lambda: write_text(question, QUESTION),
        "answers.h5": lambda: answer_question(at["montages"], question, at["answers"], vlm, 1),
        "embeddings.h5": lambda: embed_pictures(
            at["montages"], at["embeddings"], narrowed(Embedding, vlm), 1
        ),
        f"cached/{slug(FURTHER)}/answers.h5": lambda: answer_question(
            at["embeddings"],
            question,
            folder / "cached" / slug(QUESTION) / "answers.h5",
            cached,
            1,
            also=[FURTHER],
        ),
        "model/model.pt": lambda: train_stream(
            skeletons=at["skeletons"],
            output=model,
            settings=stream,
            inputs={"picture": [at["rgb"]], "answer": [at["answers"]]},
        ),
        "metrics.json": lambda: score_stream(  # after the scores, so both are there then
            model=model,
            skeletons=at["skeletons"],
            output=at["scores"],
            metrics=folder / "metrics.json",
            settings=Scoring.model_validate({"protocol": "odd_subjects"}),
        ),
    }


def run(folder: Path) -> None:
    """Make what is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in stages(folder).items():
        if not (folder / name).exists():
            make()


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]))
    except UserError as error:
        sys.exit(f"chain: {error}")
