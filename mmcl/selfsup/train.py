"""Pre-training of skeleton encoders without labels, and their distillation (IKEM, Wei et al., ICASSP 2024).

`pretrain_streams` and `distil_student` are the stages. `torchrun --nproc_per_node=2 -m mmcl.selfsup.train JOB.json`
trains likewise in processes that torchrun starts; the file holds the arguments except `gpus`, the settings as
`settings.dump()`.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.engine.history import Row, as_csv
from mmcl.engine.launch import joined, launch
from mmcl.engine.loop import Losses, Task, fit
from mmcl.engine.precision import autocast
from mmcl.engine.processes import Processes
from mmcl.engine.resume import Mark, digest
from mmcl.errors import UserError
from mmcl.files import write_json, write_text
from mmcl.naming import sha256
from mmcl.selfsup.distiller import Distiller
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.files import Encoders, EncodersDescription, read_encoders, save_encoders
from mmcl.selfsup.norms import measure_norms
from mmcl.selfsup.pairs import PairDraw, Pairs
from mmcl.selfsup.pretrainer import EXCHANGE, Pretrainer
from mmcl.selfsup.views import AugmentedViews
from mmcl.settings.jobs import Pretraining, StudentTraining
from mmcl.settings.selfsup import ContrastSettings, DistillationSettings
from mmcl.skeleton.ragged import Ragged, join
from mmcl.versions import versions

log = logging.getLogger(__name__)

BEFORE = -2
"""Stands for an epoch's number, downwards, while the students' memory is filled; −1 is `EVERY_EPOCH`."""


def pretrain_streams(
    *, skeletons: Path, output: Path, settings: Pretraining, threads: int = 1, gpus: int = 1
) -> None:
    """Pre-train one encoder per modality, and write `model.pt` with `settings.json` and `history.csv` beside it.

    Only the protocol's training clips are read, and none of their labels. While it runs, `last.pt` beside the output
    holds the state after an epoch. A run that was stopped resumes from it, and gives the same model as one that ran
    through.

    With several GPUs each gets an equal part of every batch, and its own batch-norm statistics, of which the first
    one's are kept; the keys of all are remembered.

    Args:
        skeletons: store `mmcl.skeletons/1`.
        output: the file of the query encoders with their projection heads, see `mmcl.selfsup.files`.
        settings: of the stage.
        threads: CPU threads, shared out among the processes.
        gpus: training processes, one per GPU; without GPUs they share the CPU.

    Raises:
        UserError: no training clip, an encoder that cannot be built, another process trains here, the loss is not
            finite, too few GPUs.
    """
    if gpus > 1:
        job = {"skeletons": str(skeletons), "output": str(output), "settings": settings.dump()}
        launch("mmcl.selfsup.train", {**job, "threads": threads}, gpus)
    else:
        _pretrain(Processes(), Path(skeletons), Path(output), settings, threads)


def distil_student(
    *,
    skeletons: Path,
    teachers: Path,
    output: Path,
    settings: StudentTraining,
    threads: int = 1,
    gpus: int = 1,
) -> None:
    """Distil pre-trained encoders into fewer; files, resuming and processes as with `pretrain_streams`.

    Args:
        skeletons, output, threads, gpus: see there.
        teachers: `model.pt` of a pre-training on the same clips.
        settings: of the stage.

    Raises:
        UserError: see there; or the teachers were trained on other skeletons.
    """
    if gpus > 1:
        job = {"skeletons": str(skeletons), "output": str(output), "settings": settings.dump()}
        launch("mmcl.selfsup.train", {**job, "teachers": str(teachers), "threads": threads}, gpus)
    else:
        _distil(Processes(), Path(skeletons), Path(teachers), Path(output), settings, threads)


class Contrast(Task[PairDraw]):
    """What pre-training and distillation have in common: pairs of views, and a memory of keys."""

    net: Pretrainer | Distiller
    rate_key = "selfsup.learning_rate"

    def __init__(self, net: Pretrainer | Distiller, pairs: Pairs, settings: ContrastSettings, seed: int):
        self.net = net
        self.pairs = pairs
        self.steps = pairs.steps
        self.seed = seed
        self.precision = settings.precision

    def batches(self, epoch: int) -> Iterable[PairDraw]:
        """See `Task`."""
        return self.pairs.epoch(epoch)

    def losses(self, batch: PairDraw) -> Losses:
        """See `Task`."""
        losses: Losses = self.net(*self.pairs.seen(batch))
        return losses

    def after_step(self, losses: Losses) -> None:
        """See `Task`: key encoders follow, and the step's keys are remembered."""
        self.net.advance(losses.carry)


class PretrainingTask(Contrast):
    """Pre-training in its two stages."""

    net: Pretrainer
    label = "pretrain"

    def begin_epoch(self, epoch: int) -> bool:
        """See `Task`: the change to stage EXCHANGE."""
        settings = self.net.settings
        after = settings.exchange_after
        if after is None or epoch < after or self.net.stage == EXCHANGE:
            return False
        self.net.enter(EXCHANGE)
        # without knowledge mining only IKEM's term is left, and the projection heads get no gradient
        self.unused_parameters = not settings.mining_weight
        return True

    def end_epoch(self, row: Row) -> None:
        """See `Task`."""
        row["stage"] = self.net.stage


class DistillationTask(Contrast):
    """Distillation, whose students begin with a memory of the teachers' embeddings."""

    net: Distiller
    label = "student"

    @torch.no_grad()
    def begin(self, done: int) -> None:
        """See `Task`: fill the memory, so that no student learns from random neighbours."""
        settings = self.net.settings
        if done or not settings.fill_memory:
            return
        steps = -(-settings.memory // self.pairs.batch)
        for step in range(0, steps, self.pairs.steps):
            for number, draw in enumerate(self.pairs.epoch(BEFORE - step // self.pairs.steps)):
                if step + number < steps:
                    with autocast(self.precision, self.net.memory.keys.device):
                        keys = self.net.teach(self.pairs.seen(draw).first)
                    self.net.advance(keys)


def _pretrain(
    processes: Processes, skeletons: Path, output: Path, settings: Pretraining, threads: int
) -> None:
    """One process of `pretrain_streams`."""
    torch.set_num_threads(max(1, threads // processes.world))
    source = SkeletonStore(skeletons)
    clips = _training_clips(source, settings)
    torch.manual_seed(settings.seed)
    form = EncoderForm.of(settings.selfsup.encoder, source.layout, clips.joints.shape[3])
    net = Pretrainer(settings.selfsup, form)
    pairs = _pairs(clips, net, net.modalities, settings.selfsup, settings.seed, processes)
    task = PretrainingTask(net, pairs, settings.selfsup, settings.seed)
    _train(task, net.queries, settings, settings.selfsup, _content(source, settings), output, processes)


def _distil(
    processes: Processes,
    skeletons: Path,
    teachers: Path,
    output: Path,
    settings: StudentTraining,
    threads: int,
) -> None:
    """One process of `distil_student`."""
    torch.set_num_threads(max(1, threads // processes.world))
    source = SkeletonStore(skeletons)
    clips = _training_clips(source, settings)
    used = settings.selfsup.distillation
    torch.manual_seed(settings.seed)
    net = build_distiller(teachers, used)
    _check_same_skeletons(net.description.encoder, source, clips, teachers)
    pairs = _pairs(clips, net, net.description.modalities, used, settings.seed, processes)
    task = DistillationTask(net, pairs, used, settings.seed)
    inputs = {**_content(source, settings), "teachers": sha256(teachers)}
    _train(task, net.students, settings, used, inputs, output, processes)


def build_distiller(teachers: str | Path, settings: DistillationSettings) -> Distiller:
    """Students beside the encoders of a pre-training, whose view of clips they share.

    Args:
        teachers: `model.pt` of a pre-training.
        settings: of the distillation.

    Raises:
        UserError: no such file, or an encoder that cannot be built.
    """
    state, description = read_encoders(teachers)
    net = Distiller(description, settings)
    net.teachers.load_state_dict(state)
    return net


def _pairs(
    clips: Ragged,
    net: Pretrainer | Distiller,
    second: Iterable[str],
    settings: ContrastSettings,
    seed: int,
    processes: Processes,
) -> Pairs:
    """The batches; the network is moved to the device of this process."""
    net.to(processes.device).train()
    description = net.description
    views = AugmentedViews(
        clips.to(processes.device), description.view, description.encoder.layout, settings.augmentation
    )
    parts = {"rank": processes.rank, "world": processes.world}
    pairs = Pairs(views, net.modalities, tuple(second), batch=settings.batch, seed=seed, **parts)
    log.info("%d training clips in batches of %d", pairs.count, pairs.batch)
    if settings.memory > pairs.count:
        log.warning(
            "memory holds %d keys of %d clips: every clip's own earlier keys are among its negatives",
            *(settings.memory, pairs.count),
        )
    return pairs


def _train(
    task: Contrast,
    nets: torch.nn.ModuleDict,
    settings: Pretraining | StudentTraining,
    used: ContrastSettings,
    inputs: dict[str, str],
    output: Path,
    processes: Processes,
) -> None:
    """Train, and write the encoders `nets`."""
    # the statistics of batch norms are measured after the training
    learned = {key: value for key, value in used.dump().items() if key != "norms"}
    mark = Mark({"version": settings.version, "seed": settings.seed, "selfsup": learned}, inputs)
    with fit(task, used, target=output, mark=mark, processes=processes) as fitted:
        if not processes.first:
            return
        made: dict[str, Any] = {
            "settings": settings.dump(),
            "versions": versions("mmcl", "torch", "numpy", "h5py"),
        }
        description: EncodersDescription = task.net.description
        write_text(output.with_name("history.csv"), as_csv(fitted.history))
        counts = {"processes": processes.world, "clips": task.pairs.count}
        write_json(output.with_name("settings.json"), {**made, **description.dump(), **counts})
        if used.norms == "measured":
            measure_norms(Encoders(nets.eval(), description), task.pairs.views)
        save_encoders(output, nets, description, **made)


def _training_clips(source: SkeletonStore, settings: Pretraining | StudentTraining) -> Ragged:
    """The clips that train by the protocol."""
    rows = select(source, settings).train.nonzero()[0].tolist()
    if not rows:
        raise UserError(f"{source.path}: no training clip for protocol {settings.protocol}")
    return join(source.read_clips(rows), int(source.persons.max()), source.frames[rows])


def _content(source: SkeletonStore, settings: Pretraining | StudentTraining) -> dict[str, str]:
    """Fingerprints of what a training learns from."""
    names = [source.names[row] for row in select(source, settings).train.nonzero()[0]]
    return {"skeletons": source.fingerprint, "training clips": digest(names)}


def _check_same_skeletons(form: EncoderForm, source: SkeletonStore, clips: Ragged, teachers: Path) -> None:
    theirs, here = (form.layout, form.persons), (source.layout, clips.joints.shape[3])
    if theirs != here:
        raise UserError(
            f"{teachers}: its encoders see {theirs[1]} persons of layout {theirs[0]}, {source.path} holds {here[1]} of"
            f" layout {here[0]}"
        )


def main() -> None:
    """One process of a training that torchrun or `launch` started; its argument is the job's file."""
    with joined() as processes:
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        settings, threads = job.pop("settings"), job.pop("threads", 1)
        paths = {name: Path(path) for name, path in job.items()}
        if "teachers" in paths:
            _distil(processes, **paths, settings=StudentTraining.model_validate(settings), threads=threads)
        else:
            _pretrain(processes, **paths, settings=Pretraining.model_validate(settings), threads=threads)


if __name__ == "__main__":
    main()
