"""Training of one stream: the skeleton network with FAM and FRM beside it (MMCL, section 3.5)."""

import csv
import io
import logging
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mmcl import checkpoints, device
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.protocols import fit_split, split
from mmcl.errors import UserError
from mmcl.files import write_json, write_text
from mmcl.models.cnn import open_cnn
from mmcl.models.colearn import build_model
from mmcl.skeleton.ragged import join
from mmcl.store import Shards
from mmcl.training.features import answer_features, rgb_features
from mmcl.training.loader import Loader, TrainingData, epoch_seed
from mmcl.training.resume import LastState, fingerprint, only_writer
from mmcl.training.schedule import learning_rate

log = logging.getLogger(__name__)

SCHEMA = "mmcl.model/1"
COLUMNS = ("epoch", "lr", "loss", "cls", "fam", "frm", "accuracy", "seconds")


def train_stream(
    *,
    skeletons: Path,
    output: Path,
    settings: dict,
    montages: Sequence[Path] = (),
    rgb: Sequence[Path] = (),
    answers: Sequence[Path] = (),
    threads: int = 1,
) -> None:
    """Train one stream and write `model.pt`, with `settings.json` and `history.csv` beside it.

    While it runs, `last.pt` beside them holds the state after an epoch. A run that was stopped continues
    from it, and gives the same model as one that ran through.

    Args:
        skeletons: store `mmcl.skeletons/1`.
        output: the model file.
        settings: `protocol`, `stream`, `seed`, `fit` (leave every fifth training subject out), `model`,
            `train`, `version`.
        montages: stores `mmcl.montages/1`, for FAM with a CNN that is trained along.
        rgb: stores `mmcl.rgb/1`, for FAM with a frozen CNN.
        answers: stores `mmcl.answers/1`, for FRM.
        threads: CPU threads and, for pictures, processes.

    Raises:
        UserError: FAM or FRM is on and has nothing to learn from, no training clip, another process
            trains here, the loss is not finite.
    """
    output, options = Path(output), settings["train"]
    torch.set_num_threads(max(1, threads))
    place = device.pick()
    fam, frm = settings["model"]["fam"], settings["model"]["frm"]
    trains_cnn = fam["enabled"] and not fam["cnn"]["frozen"]

    # clips, and what is known of them
    source = SkeletonStore(skeletons)
    rows = training_rows(source, settings)
    persons = int(source.persons.max())
    names = [source.names[row] for row in rows]
    data = TrainingData(
        names,
        join([source.clip(row) for row in rows], persons).to(place),
        torch.from_numpy(source.labels[rows]).to(place),
        source.layout,
    )
    inputs = [source.fingerprint]
    without: dict[str, list[str]] = {}
    if trains_cnn:
        data.montages = _shards(montages, "mmcl.montages/1", "montages")
        inputs.append(data.montages.fingerprint)
        without["picture"] = [name for name in names if name not in data.montages]
    elif fam["enabled"]:
        shards = _shards(rgb, "mmcl.rgb/1", "rgb features")
        inputs.append(shards.fingerprint)
        data.picture, data.has_picture = (part.to(place) for part in rgb_features(shards, names))
        without["picture"] = [name for name in names if name not in shards]
    if frm["enabled"]:
        shards = _shards(answers, "mmcl.answers/1", "answers")
        inputs.append(shards.fingerprint)
        found = answer_features(shards, names, frm["input"], settings["seed"])
        data.answer, data.has_answer = (part.to(place) for part in found)
        without["answer"] = [name for name in names if name not in shards]
    log.info("%d training clips, %d classes; without %s", len(names), len(source.class_ids), _counts(without))

    # the network
    cnn, picture_dim = None, None
    if trains_cnn:
        torch.manual_seed(settings["seed"])
        cnn = open_cnn(fam["cnn"])
        picture_dim = cnn.feature_dim
    elif data.picture is not None:
        picture_dim = data.picture.shape[1]
    form: dict[str, Any] = {
        "num_classes": len(source.class_ids),
        "layout": source.layout,
        "persons": persons,
        "picture_dim": picture_dim,
        "answer_dim": data.answer.shape[1] if data.answer is not None else None,
    }
    # seeded here and built backbone first, so that runs with and without FAM start from the same backbone
    torch.manual_seed(settings["seed"])
    model = build_model(settings["model"], **form, cnn=cnn).to(place)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=options["learning_rate"],
        momentum=options["momentum"],
        nesterov=options["nesterov"],
        weight_decay=options["weight_decay"],
    )
    loader = Loader(data, settings["stream"], options, settings["seed"], workers=max(0, threads - 1))

    with only_writer(output.parent):
        last = LastState(output.with_name("last.pt"), fingerprint(settings, inputs))
        history: list[dict[str, float]] = []
        if state := last.load():
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            history = state["history"]
            log.info("continuing after %d of %d epochs", len(history), options["epochs"])

        model.train()
        with _bar(len(history) * loader.steps, options["epochs"] * loader.steps, settings["stream"]) as bar:
            for epoch in range(len(history), options["epochs"]):
                begin = time.perf_counter()
                rate = learning_rate(epoch, options)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # for the dropout of a CNN that is trained along
                torch.manual_seed(epoch_seed(settings["seed"], epoch))
                sums = torch.zeros(5, device=place)
                for batch in loader.epoch(epoch):
                    with torch.autocast(place.type, torch.bfloat16, enabled=options["precision"] == "bf16"):
                        losses = model.losses(**vars(batch))
                    optimizer.zero_grad()
                    losses.total.backward()
                    optimizer.step()
                    right = (losses.logits.argmax(1) == batch.labels).float().mean()
                    sums += torch.stack([*losses[:4], right]).detach()
                    bar.update()
                loss, cls, align, refine, accuracy = (sums / loader.steps).tolist()
                if not torch.isfinite(sums).all():
                    raise UserError(
                        f"{output}: the loss is not finite in epoch {epoch + 1}; lower train.learning_rate"
                    )
                seconds, percent = time.perf_counter() - begin, round(100 * accuracy, 2)
                bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{percent}%")
                values = (epoch + 1, rate, loss, cls, align, refine, percent, round(seconds, 3))
                history.append(dict(zip(COLUMNS, values, strict=True)))
                last.save(model=model.state_dict(), optimizer=optimizer.state_dict(), history=history)
                done = f"{epoch + 1} of {options['epochs']}"
                log.debug("epoch %s: loss %.4f, accuracy %.2f %%", done, loss, percent)

        about = {
            "settings": settings,
            "versions": {package: version(package) for package in ("mmcl", "torch", "numpy", "h5py")},
            "classes": source.class_ids,
            "class_names": source.class_names,
            **form,
        }
        own = {name: value.cpu() for name, value in model.state_dict().items()}
        write_text(output.with_name("history.csv"), _as_csv(history))
        listed = {"clips": len(names), **{f"without_{what}": clips for what, clips in without.items()}}
        write_json(output.with_name("settings.json"), {**about, **listed})
        checkpoints.save(output, {"schema": SCHEMA, "state": own, **about})
        last.remove()


def training_rows(source: SkeletonStore, settings: dict) -> list[int]:
    """Rows of the store that train: the protocol's, for `fit` without every fifth subject.

    Raises:
        UserError: there are none.
    """
    train, _ = split(settings["protocol"], source.subject, source.camera, source.setup)
    if settings["fit"]:
        train, _ = fit_split(source.subject, train)
    if not train.any():
        raise UserError(f"{source.path}: no training clip for protocol {settings['protocol']}")
    return train.nonzero()[0].tolist()


def _shards(paths: Sequence[Path], schema: str, what: str) -> Shards:
    if not paths:
        raise UserError(f"the model's settings ask for {what}, but none were given")
    return Shards(paths, schema)


def _counts(without: dict[str, list[str]]) -> str:
    return ", ".join(f"{what}: {len(clips)}" for what, clips in without.items()) or "pictures and answers"


def _bar(done: int, total: int, label: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc=label, unit="batch", disable=None)


def _as_csv(history: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
