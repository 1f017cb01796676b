"""Training of one stream: the skeleton network with FAM and FRM beside it (MMCL, section 3.5).

`train_stream` is the way in. `torchrun --nproc_per_node=2 -m mmcl.training.train JOB.json` is another, for whoever
starts the processes himself; the file holds the arguments of `train_stream` but `gpus`.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmcl import __version__, checkpoints
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.files import write_json, write_text
from mmcl.models.backbone import Backbone
from mmcl.models.cnn import open_cnn
from mmcl.models.colearn import CoLearner, Losses, build_model
from mmcl.naming import sha256
from mmcl.skeleton.mapped import seen_as
from mmcl.training.data import read_training_data
from mmcl.training.distil import Distillation, Teachers
from mmcl.training.distributed import Processes
from mmcl.training.history import MEANS, as_csv, as_line
from mmcl.training.initial import begin_from, open_initial
from mmcl.training.launch import joined, launch
from mmcl.training.loader import Batch, Loader, TrainingData, epoch_seed
from mmcl.training.precision import autocast
from mmcl.training.predict import ScoredClips
from mmcl.training.progress import progress
from mmcl.training.resume import LastState, fingerprint, only_writer
from mmcl.training.schedule import learning_rate
from mmcl.training.trained import SCHEMA

log = logging.getLogger("mmcl.training.train")  # also where it is run as __main__


def train_stream(
    *,
    skeletons: Path,
    output: Path,
    settings: dict,
    montages: Sequence[Path] = (),
    rgb: Sequence[Path] = (),
    answers: Sequence[Path] = (),
    init: Path | None = None,
    teachers: Sequence[Path] = (),
    ensemble: Path | None = None,
    threads: int = 1,
    gpus: int = 1,
) -> None:
    """Train one stream and write `model.pt`, with `settings.json` and `history.csv` beside it.

    With `train.evaluate_every`, `best_on_test.pt` is the network of the epoch that scored the test clips best;
    `model.pt` is always that of the last epoch.

    While it runs, `last.pt` beside them holds the state after an epoch. A run that was stopped continues
    from it, and gives the same model as one that ran through.

    With several GPUs, each gets an equal part of every batch and has its own batch-norm statistics, as in the
    reference's DataParallel; the first one's are kept. Gradients are averaged.

    Args:
        skeletons: store `mmcl.skeletons/1`.
        output: the model file.
        settings: `protocol`, `stream`, `seed`, `fit` (leave every fifth training subject out), `model`,
            `train`, `version`.
        montages: stores `mmcl.montages/1`, for FAM with a CNN that is trained along.
        rgb: stores `mmcl.rgb/1`, for FAM with a frozen CNN.
        answers: stores `mmcl.answers/1`, for FRM.
        init: model.pt of pretrain_streams or distil_student, for `train.init`: of its layout and people are then the
            network and the model, whatever the skeletons have.
        teachers: model.pt of an ensemble's members, for `train.distil`.
        ensemble: its ensemble.json.
        threads: CPU threads and, for pictures, processes; shared out among the GPUs.
        gpus: training processes, one a GPU; without GPUs they share the CPU.

    Raises:
        UserError: FAM or FRM is on and has nothing to learn from, no training clip, another process
            trains here, the loss is not finite, too few GPUs; an encoder or teachers that do not fit.
    """
    job: dict[str, Any] = {
        "skeletons": str(skeletons),
        "output": str(output),
        "settings": settings,
        "montages": [str(path) for path in montages],
        "rgb": [str(path) for path in rgb],
        "answers": [str(path) for path in answers],
        "init": str(init) if init else None,
        "teachers": [str(path) for path in teachers],
        "ensemble": str(ensemble) if ensemble else None,
        "threads": threads,
    }
    if gpus > 1:
        launch("mmcl.training.train", job, gpus)
    else:
        _train(Processes(), **job)


def _train(
    processes: Processes,
    *,
    skeletons: str,
    output: str,
    settings: dict,
    montages: Sequence[str] = (),
    rgb: Sequence[str] = (),
    answers: Sequence[str] = (),
    init: str | None = None,
    teachers: Sequence[str] = (),
    ensemble: str | None = None,
    threads: int = 1,
) -> None:
    """One process of the training."""
    target, options, place = Path(output), settings["train"], processes.device
    threads = max(1, threads // processes.world)
    torch.set_num_threads(threads)

    # ---------------------------------------------------------------------------------------------- data
    source = SkeletonStore(skeletons)
    encoders = open_initial(init, settings) if init else None
    if encoders:
        source = seen_as(source, encoders.layout, encoders.persons)
    read = read_training_data(source, settings, montages, rgb, answers, place)
    inputs = [*read.inputs, *([sha256(Path(init))] if init else [])]
    rank, world = processes.rank, processes.world
    loader = Loader(read.data, settings["stream"], options, settings["seed"], threads - 1, rank, world)
    scored = ScoredClips(source, settings, processes) if options["evaluate_every"] else None

    # --------------------------------------------------------------------------------------------- model
    model, form = _open_model(settings, source, read.data)
    if encoders:
        begin_from(model.backbone, encoders, settings)
    if ensemble:
        loader.teachers = taught_by = Teachers(
            teachers, ensemble, settings, source, read.data.clips.to(place)
        )
        inputs += taught_by.inputs
        model.distil = Distillation(model.backbone.feature_dim, taught_by.memory, options["distil"]).to(place)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=options["learning_rate"],
        momentum=options["momentum"],
        nesterov=options["nesterov"],
        weight_decay=options["weight_decay"],
    )

    with only_writer(target.parent) if processes.first else nullcontext():
        last = LastState(target.with_name("last.pt"), fingerprint(settings, inputs))
        history: list[dict[str, float]] = []
        best: dict[str, Any] | None = None  # epoch, top1, state
        with processes.in_turn():  # the first sets a damaged file aside
            if state := last.load():
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
                history, best = state["history"], state["best"]
                log.info("continuing after %d of %d epochs", len(history), options["epochs"])
                if state["processes"] != world:
                    log.warning("it was begun with %d processes, now there are %d", state["processes"], world)

        # ------------------------------------------------------------------------------------------ loop
        losses_of = processes.losses_of(model)
        model.train()
        done = len(history)
        with progress(settings["stream"], loader.steps, done, options["epochs"], processes) as bar:
            for epoch in range(done, options["epochs"]):
                begin = time.perf_counter()
                rate = learning_rate(epoch, options)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # for the dropout of a CNN that is trained along
                torch.manual_seed(epoch_seed(settings["seed"], epoch, rank))
                sums = _epoch(losses_of, loader.epoch(epoch), optimizer, options["precision"], bar.update)
                means = processes.sum(sums) / (loader.steps * world)
                if not torch.isfinite(means).all():
                    raise UserError(
                        f"{target}: the loss is not finite in epoch {epoch + 1}; lower train.learning_rate"
                    )
                row = {"epoch": epoch + 1, "lr": rate, **dict(zip(MEANS, means.tolist(), strict=True))}
                row["accuracy"] = round(100 * row["accuracy"], 2)
                row["seconds"] = round(time.perf_counter() - begin, 3)
                processes.share_buffers(model)
                if scored and _is_due(epoch, options):
                    row["test_top1"] = scored.top1(model)
                    if best is None or row["test_top1"] > best["top1"]:
                        best = {"epoch": epoch + 1, "top1": row["test_top1"], "state": _on_cpu(model)}
                history.append(row)
                bar.set_postfix(loss=f"{row['loss']:.3f}", accuracy=f"{row['accuracy']}%")
                log.debug("%s", as_line(row))
                if processes.first:
                    last.save(
                        model=model.state_dict(),
                        optimizer=optimizer.state_dict(),
                        history=history,
                        best=best,
                        processes=world,
                    )

        # --------------------------------------------------------------------------------------- writing
        if not processes.first:
            return
        about = {
            "settings": settings,
            "versions": {"mmcl": __version__, **{name: version(name) for name in ("torch", "numpy", "h5py")}},
            "classes": source.class_ids,
            "class_names": source.class_names,
            **form,
        }
        if best:
            about["best_on_test"] = {key: best[key] for key in ("epoch", "top1")}
        listed = {f"without_{what}": clips for what, clips in read.without.items()}
        counts = {"processes": world, "clips": len(read.data.names)}
        write_text(target.with_name("history.csv"), as_csv(history, tested=scored is not None))
        write_json(target.with_name("settings.json"), {**about, **counts, **listed})
        beside = target.with_name("best_on_test.pt")
        if best:
            checkpoints.save(beside, {"schema": SCHEMA, "state": best["state"], **about})
        else:
            beside.unlink(missing_ok=True)
        checkpoints.save(target, {"schema": SCHEMA, "state": _on_cpu(model), **about})
        last.remove()


def _open_model(settings: dict, source: SkeletonStore, data: TrainingData) -> tuple[CoLearner, dict]:
    """The network on the training device, and the arguments of `build_model` beside the settings."""
    place, options = data.labels.device, settings["train"]
    cnn, picture_dim = None, None
    if data.montages is not None:
        torch.manual_seed(settings["seed"])
        cnn = open_cnn(settings["model"]["fam"]["cnn"])
        picture_dim = cnn.feature_dim
    elif data.picture is not None:
        picture_dim = data.picture.shape[1]
    form: dict[str, Any] = {
        "num_classes": len(source.class_ids),
        "layout": source.layout,
        "persons": data.clips.joints.shape[3],
        "picture_dim": picture_dim,
        "answer_dim": data.answer.shape[1] if data.answer is not None else None,
    }
    # seeded here and built backbone first, so that runs with and without FAM start from the same backbone
    torch.manual_seed(settings["seed"])
    smoothing = options.get("label_smoothing", 0.0)
    model = build_model(settings["model"], **form, cnn=cnn, label_smoothing=smoothing).to(place)
    if options["compile"]:
        _compile(model.backbone, place)
    return model, form


def _compile(backbone: Backbone, place: torch.device) -> None:
    """Let torch.compile translate `features` as it is in training.

    A method is replaced and not the module, so that the names in the state dict stay.
    """
    # Inductor's channels-last layouts cut the batched products of graph convolutions up on a CPU: slower than eager
    options: dict[str, Any] | None = {"layout_optimization": False} if place.type == "cpu" else None
    eager, compiled = backbone.features, torch.compile(backbone.features, dynamic=False, options=options)
    backbone.features = lambda x: compiled(x) if backbone.training else eager(x)  # type: ignore[method-assign]


def _epoch(
    losses_of: Callable[..., Losses],
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    precision: str,
    done: Callable[[], Any],
) -> Tensor:
    """A pass over the training clips. Returns the sums of MEANS over the steps."""
    sums: Tensor | float = 0.0
    for batch in batches:
        with autocast(precision, batch.x.device):
            losses = losses_of(**vars(batch))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        right = (losses.logits.argmax(1) == batch.labels).float().mean()
        sums = sums + torch.stack([*losses[:-1], right]).detach()
        done()
    return torch.as_tensor(sums)


def _is_due(epoch: int, options: dict) -> bool:
    """Whether to look at the test clips after an epoch: every so many, and after the last."""
    return (epoch + 1) % options["evaluate_every"] == 0 or epoch + 1 == options["epochs"]


def _on_cpu(model: CoLearner) -> dict[str, Tensor]:
    """A copy of the network's state, without what is there to learn from teachers alone."""
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("distil.")}
    return {name: value.detach().to("cpu", copy=True) for name, value in kept.items()}


def main() -> None:
    """One process of a training that torchrun or `train_stream` started; its argument is the job's file."""
    with joined() as processes:
        _train(processes, **json.loads(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
