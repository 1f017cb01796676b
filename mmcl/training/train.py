"""Training of one stream: the skeleton network with its co-learning terms (MMCL, sections 3.4 and 4).

Called by `train_stream`, or by `torchrun --nproc_per_node=2 -m mmcl.training.train JOB.json`, where the file holds the
arguments of `train_stream` without `gpus`.
"""

import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcl import checkpoints
from mmcl.colearn.distil import Distillation
from mmcl.colearn.learner import CoLearner, build_model, class_weights
from mmcl.colearn.term import Form
from mmcl.datasets.mapped import seen_as
from mmcl.datasets.prepare import SkeletonStore
from mmcl.engine.history import as_csv
from mmcl.engine.launch import joined, launch
from mmcl.engine.loop import Fitted, Losses, Task, fit, on_cpu
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark, digest
from mmcl.errors import UserError
from mmcl.files import write_json, write_text
from mmcl.naming import sha256
from mmcl.paths import LAST, of_other_settings
from mmcl.settings.jobs import StreamTraining
from mmcl.settings.protocol import SelectionSettings
from mmcl.skeleton.statistics import training_clips
from mmcl.training.data import read_training_data
from mmcl.training.initial import begin_from, open_initial
from mmcl.training.loader import Drawn, Loader, TrainingData
from mmcl.training.predict import ScoredClips
from mmcl.training.teachers import Teachers
from mmcl.training.trained import SCHEMA, ModelForm
from mmcl.versions import versions

log = logging.getLogger("mmcl.training.train")  # also where it is run as __main__


def train_stream(
    *,
    skeletons: Path,
    output: Path,
    settings: StreamTraining,
    inputs: Mapping[str, Sequence[Path]] | None = None,
    init: Path | None = None,
    threads: int = 1,
    gpus: int = 1,
) -> None:
    """Train one stream and write `model.pt`, with `settings.json` and `history.csv` beside it.

    With `train.evaluate_every`, `best_on_test.pt` is the network of the epoch that scored the test clips best;
    `model.pt` is always that of the last epoch.

    While it runs, `last.pt` beside them holds the state after an epoch. A run that was stopped resumes from it, and
    gives the same model as one that ran through.

    With several GPUs, each gets an equal part of every batch and has its own batch-norm statistics, as in the
    reference's DataParallel; the first one's are kept. Gradients are averaged.

    Args:
        skeletons: store `mmcl.skeletons/1`.
        output: the model file.
        settings: of the stage.
        inputs: files of what the terms need, by name: `picture`, stores `mmcl.montages/1` for FAM with a CNN that is
            trained along, else `mmcl.rgb/1`; `answer`, stores `mmcl.answers/1` for FRM; `teachers`, model.pt of an
            ensemble's members, and `ensemble`, its ensemble.json, for `train.distil`; for another term's input NAME,
            stores `mmcl.NAME/1`.
        init: model.pt of pretrain_streams, distil_student or another data set's stream, for `train.init`: the network
            and the model then have its layout and people, whatever those of the skeletons.
        threads: CPU threads and, for pictures, processes; shared out among the GPUs.
        gpus: training processes, one per GPU; without GPUs they share the CPU.

    Raises:
        UserError: a term has nothing to learn from, no training clip, another process trains here, the loss is not
            finite, too few GPUs; an initial network or teachers that do not fit.
    """
    job: dict[str, Any] = {
        "skeletons": str(skeletons),
        "output": str(output),
        "settings": settings.dump(),
        "inputs": {name: [str(path) for path in paths] for name, paths in (inputs or {}).items()},
        "init": str(init) if init else None,
        "threads": threads,
    }
    if gpus > 1:
        launch("mmcl.training.train", job, gpus)
    else:
        _train(Processes(), **job)


class StreamTask(Task[Drawn]):
    """The training of a stream.

    Args:
        model: on the device.
        loader: of its batches.
        settings: of the stage.
        scored: clips that are scored during training, with `train.evaluate_every`.
    """

    net: CoLearner

    def __init__(
        self, model: CoLearner, loader: Loader, settings: StreamTraining, scored: ScoredClips | None
    ):
        self.net = model.train()
        self.label = settings.stream
        self.steps = loader.steps
        self.seed = settings.seed
        self.rate_key = "train.learning_rate"
        self.precision = settings.train.precision
        self.accumulate = settings.train.accumulate
        pictures = [one for one in loader.data.inputs.values() if one.network is not None]
        self.same_pictures = any(not one.without for one in pictures)
        self.evaluate_every = settings.train.evaluate_every
        self.loader = loader
        self.scored = scored

    def batches(self, epoch: int) -> Iterable[Drawn]:
        """See `Task`."""
        return self.loader.drawn(epoch)

    def losses(self, batch: Drawn) -> Losses:
        """See `Task`: the clips are augmented in the step, so that a CUDA graph does that, too."""
        return self.net.losses(self.loader.view(batch))

    def evaluate(self) -> float:
        """See `Task`."""
        assert self.scored
        return self.scored.top1(self.net)

    def optional_parameters(self) -> Iterable[nn.Parameter]:
        """See `Task`: a process may have no clip with a term's input."""
        return [parameter for term in self.net.terms.values() for parameter in term.parameters()]

    def kept_state(self) -> dict[str, Tensor]:
        """See `Task`; without terms that are not saved."""
        unsaved = tuple(f"{name}." for name, term in self.net.terms.items() if not term.saved)
        state = self.net.state_dict()
        return on_cpu({name: state[name] for name in state if not name.startswith(unsaved)})


def _train(
    processes: Processes,
    *,
    skeletons: str,
    output: str,
    settings: dict[str, Any],
    inputs: Mapping[str, Sequence[str]],
    init: str | None,
    threads: int,
) -> None:
    """One process of the training; its arguments are values of JSON."""
    stated, target = StreamTraining.model_validate(settings), Path(output)
    files = {name: [Path(path) for path in paths] for name, paths in inputs.items()}
    threads = max(1, threads // processes.world)
    torch.set_num_threads(threads)

    source = SkeletonStore(skeletons)
    initial = open_initial(init, stated) if init else None
    if initial:
        source = seen_as(source, initial.layout, initial.persons)
    data = read_training_data(source, stated, files, processes.device, threads - 1)
    loader = Loader(data, stated.stream, stated.train, stated.seed, processes.rank, processes.world)
    scored = ScoredClips(source, stated, processes) if stated.train.evaluate_every else None
    without = {name: one.without for name, one in data.inputs.items()}

    model, form = _open_model(stated, source, data)
    if initial:
        begin_from(model.backbone, initial)
    if stated.train.distil:
        teachers = _open_teachers(files, stated, source, data)
        data.inputs["teachers"] = teachers
        own = Form(form.num_classes, model.backbone.feature_dim, {"teachers": teachers.shape})
        model.add(Distillation(stated.train.distil, own, teachers.memory).to(processes.device))

    content = {"skeletons": source.fingerprint, "training clips": digest(data.names)}
    content |= {name: " ".join(one.fingerprints) for name, one in data.inputs.items()}
    if init:
        content["train.init"] = sha256(Path(init))
    mark = Mark(_learned(stated), content, _evaluation(stated))
    task = StreamTask(model, loader, stated, scored)
    # all settings are part of the folder's name, those that change no weight, too
    elsewhere = of_other_settings(target, LAST)
    with fit(
        task, stated.train, target=target, mark=mark, processes=processes, elsewhere=elsewhere
    ) as fitted:
        if processes.first:
            seen = training_clips([data.clips.clip(i) for i in range(len(data.names))], source.layout)
            about = {
                "settings": settings,
                "versions": versions("mmcl", "torch", "numpy", "h5py"),
                "classes": source.class_ids,
                "class_names": source.class_names,
                **form.dump(),
            }
            counts: dict[str, Any] = {"processes": processes.world, "clips": len(data.names)}
            counts |= {f"without_{name}": w for name, w in without.items()}
            _write(target, task, fitted, about, counts, {"training_clips": seen.dump()} if seen else {})


def _learned(settings: StreamTraining) -> dict[str, Any]:
    """The settings that change a weight; clips, answers, features and other models enter by their content."""
    unused = {*SelectionSettings.model_fields, "fit", "question", "vlm"}
    kept = {key: value for key, value in settings.dump().items() if key not in unused}
    model, train = kept["model"], kept["train"]
    for term in ("fam", "frm"):
        if not model[term]["enabled"]:
            del model[term]
    if settings.model.fam.enabled:
        for key in [*model["fam"]["cnn"]] if settings.model.fam.cnn.frozen else ("name", "batch"):
            del model["fam"]["cnn"][key]
    del train["evaluate_every"]
    if not settings.train.distil:
        del train["test_crop"]  # with teachers their memory is of clips as they are shown in the test
    for key in ("init", "distil"):
        train.get(key, {}).pop("from", None)
    train.get("init", {}).pop("what", None)
    return kept


def _evaluation(settings: StreamTraining) -> dict[str, Any]:
    """The settings that decide what is evaluated during the training; none if nothing is."""
    if not settings.train.evaluate_every:
        return {}
    selection = {*SelectionSettings.model_fields, "fit"}
    dumped = settings.dump()
    return {key: value for key, value in dumped.items() if key in selection} | {
        key: dumped["train"][key] for key in ("evaluate_every", "test_crop")
    }


def _write(
    target: Path,
    task: StreamTask,
    fitted: Fitted,
    about: dict[str, Any],
    counts: dict[str, Any],
    seen: dict[str, Any],
) -> None:
    """Write the models, their history and settings."""
    best, beside = fitted.best, target.with_name("best_on_test.pt")
    if best:
        about["best_on_test"] = {key: best[key] for key in ("epoch", "top1")}
        checkpoints.save(beside, {"schema": SCHEMA, "state": best["state"], **about, **seen})
    else:
        beside.unlink(missing_ok=True)
    write_text(target.with_name("history.csv"), as_csv(fitted.history))
    write_json(target.with_name("settings.json"), {**about, **counts})
    checkpoints.save(target, {"schema": SCHEMA, "state": task.kept_state(), **about, **seen})


def _open_model(
    settings: StreamTraining, source: SkeletonStore, data: TrainingData
) -> tuple[CoLearner, ModelForm]:
    """The network on the training device, and the sizes that it is built for."""
    device = data.labels.device
    form = ModelForm(
        num_classes=len(source.class_ids),
        layout=source.layout,
        persons=data.clips.joints.shape[3],
        shapes={name: one.shape for name, one in data.inputs.items()},
    )
    networks = {name: one.network for name, one in data.inputs.items() if one.network is not None}
    stated, weights = settings.train.class_weights, None
    if stated:
        weights = class_weights(stated, data.labels, source.class_ids, source.class_names)
    # seeded here and built backbone first, so that runs with and without terms start from the same backbone
    torch.manual_seed(settings.seed)
    model = build_model(
        settings.model,
        **form.sizes,
        networks=networks,
        label_smoothing=settings.train.label_smoothing,
        class_weights=weights,
    ).to(device)
    return model, form


def _open_teachers(
    files: Mapping[str, Sequence[Path]], settings: StreamTraining, source: SkeletonStore, data: TrainingData
) -> Teachers:
    if not files.get("teachers") or not files.get("ensemble"):
        raise UserError("train.distil asks for teachers and their ensemble, but none were given")
    (ensemble,) = files["ensemble"]
    return Teachers(files["teachers"], ensemble, settings, source, data.clips.to(data.labels.device))


def main() -> None:
    """One process of a training that torchrun or `train_stream` started; its argument is the job's file."""
    with joined() as processes:
        _train(processes, **json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
