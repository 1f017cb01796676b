"""Pre-training of skeleton encoders without labels, and their distillation (IKEM, Wei et al., ICASSP 2024).

`pretrain_streams` and `distil_student` are the ways in; both are the same loop over pairs of views. `torchrun
--nproc_per_node=2 -m mmcl.selfsup.train JOB.json` is another, for whoever starts the processes himself; the file
holds the arguments but `gpus`.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmcl import __version__
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.errors import UserError
from mmcl.files import write_json, write_text
from mmcl.naming import sha256
from mmcl.selfsup.build import build_distiller, build_pretrainer
from mmcl.selfsup.distiller import Distiller
from mmcl.selfsup.files import Encoders, save_encoders, seen
from mmcl.selfsup.norms import measure_norms
from mmcl.selfsup.pairs import Pairs
from mmcl.selfsup.pretrainer import EXCHANGE, Pretrainer, Step
from mmcl.selfsup.views import Views
from mmcl.skeleton.ragged import Ragged, join
from mmcl.training.distributed import Processes
from mmcl.training.history import as_table
from mmcl.training.launch import joined, launch
from mmcl.training.loader import epoch_seed
from mmcl.training.precision import autocast
from mmcl.training.progress import progress
from mmcl.training.resume import LastState, fingerprint, only_writer
from mmcl.training.schedule import learning_rate

log = logging.getLogger("mmcl.selfsup.train")  # also where it is run as __main__

BEFORE = -2
"""Stands for an epoch's number, downwards, while the students' memory is filled; −1 is `EVERY_EPOCH`."""


def pretrain_streams(
    *, skeletons: Path, output: Path, settings: dict, threads: int = 1, gpus: int = 1
) -> None:
    """Pre-train an encoder a modality, and write `model.pt` with `settings.json` and `history.csv` beside it.

    Only clips that train by the protocol are read, and no label of theirs. While it runs, `last.pt` beside the
    output holds the state after an epoch. A run that was stopped continues from it, and gives the same model as one
    that ran through.

    With several GPUs each gets an equal part of every batch, and its own batch-norm statistics, of which the first
    one's are kept; keys are remembered of all.

    Args:
        skeletons: store `mmcl.skeletons/1`.
        output: the file of the query encoders with their projection heads, see `mmcl.selfsup.files`.
        settings: `protocol` and what else `mmcl.datasets.selection.select` takes, `seed`, `selfsup`, `version`.
        threads: CPU threads, shared out among the processes.
        gpus: training processes, one a GPU; without GPUs they share the CPU.

    Raises:
        UserError: no training clip, an encoder that cannot be built, another process trains here, the loss is not
            finite, too few GPUs.
    """
    _start(gpus, skeletons=str(skeletons), output=str(output), settings=settings, threads=threads)


def distil_student(
    *, skeletons: Path, teachers: Path, output: Path, settings: dict, threads: int = 1, gpus: int = 1
) -> None:
    """Distil pre-trained encoders into fewer; files, resume and processes as with `pretrain_streams`.

    Args:
        skeletons, output, settings, threads, gpus: see there.
        teachers: `model.pt` of a pre-training on the same clips.

    Raises:
        UserError: see there; or the teachers see other skeletons.
    """
    paths = {"skeletons": str(skeletons), "output": str(output), "teachers": str(teachers)}
    _start(gpus, **paths, settings=settings, threads=threads)


def _start(gpus: int, **job: Any) -> None:
    if gpus > 1:
        launch("mmcl.selfsup.train", job, gpus)
    else:
        _train(Processes(), **job)


def _train(
    processes: Processes,
    *,
    skeletons: str,
    output: str,
    settings: dict,
    teachers: str | None = None,
    threads: int = 1,
) -> None:
    """One process of the training."""
    target, place = Path(output), processes.device
    torch.set_num_threads(max(1, threads // processes.world))

    # ------------------------------------------------------------------------------------- clips and network
    source = SkeletonStore(skeletons)
    clips = _training_clips(source, settings)
    options, inputs = settings["selfsup"], [source.fingerprint]
    torch.manual_seed(settings["seed"])
    net: Pretrainer | Distiller
    if teachers is None:
        net, about = build_pretrainer(options, source.layout, clips.joints.shape[3])
        second = net.modalities
    else:
        options = {**options, **options["student"]}
        net, about = build_distiller(options, teachers)
        second = seen(net.inputs)
        inputs.append(sha256(Path(teachers)))
        _check_same_skeletons(about["encoder"], source, clips, teachers)
    net.to(place).train()
    views = Views(clips.to(place), {**about["view"], "augmentation": options["augmentation"]}, source.layout)
    parts = {"rank": processes.rank, "world": processes.world}
    seed = settings["seed"]
    pairs = Pairs(views, net.modalities, second, batch=options["batch"], settings=options, seed=seed, **parts)
    log.info("%d training clips in batches of %d", pairs.count, pairs.batch)
    if options["memory"] > pairs.count:
        log.warning(
            "memory holds %d keys of %d clips: every clip's own earlier keys are among its negatives",
            *(options["memory"], pairs.count),
        )
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=options["learning_rate"],
        momentum=options["momentum"],
        weight_decay=options["weight_decay"],
    )

    with only_writer(target.parent) if processes.first else nullcontext():
        last = LastState(target.with_name("last.pt"), fingerprint(settings, inputs))
        history: list[dict[str, float]] = []
        with processes.in_turn():  # the first sets a damaged file aside
            if state := last.load():
                net.load_state_dict(state["net"])
                optimizer.load_state_dict(state["optimizer"])
                history = state["history"]
                log.info("continuing after %d of %d epochs", len(history), options["epochs"])
                if state["processes"] != processes.world:
                    log.warning(
                        "it was begun with %d processes, now there are %d",
                        *(state["processes"], processes.world),
                    )
        if isinstance(net, Distiller) and options["fill_memory"] and not history:
            _fill_memory(net, pairs, options)

        # ------------------------------------------------------------------------------------------ loop
        done = len(history)
        what = "student" if teachers else "pretrain"
        with progress(what, pairs.steps, done, options["epochs"], processes) as bar:
            for epoch in range(done, options["epochs"]):
                begin = time.perf_counter()
                if epoch in (done, options["exchange_after"]):
                    step_of = _enter(net, epoch, options, processes)
                rate = learning_rate(epoch, options)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                torch.manual_seed(epoch_seed(seed, epoch, processes.rank))  # for dropout
                sums, names = _epoch(
                    step_of, net, pairs.epoch(epoch), optimizer, options["precision"], bar.update
                )
                means = processes.sum(sums) / (pairs.steps * processes.world)
                if not torch.isfinite(means).all():
                    raise UserError(
                        f"{target}: the loss is not finite in epoch {epoch + 1}; lower selfsup.learning_rate"
                    )
                processes.share_buffers(net)
                row: dict[str, float] = {"epoch": epoch + 1, "lr": rate}
                if isinstance(net, Pretrainer):
                    row["stage"] = net.stage
                row["seconds"] = round(time.perf_counter() - begin, 3)
                row |= dict(zip(names, means.tolist(), strict=True))
                history.append(row)
                bar.set_postfix(loss=f"{row['loss']:.3f}")
                log.debug("epoch %d: loss %.4f", epoch + 1, row["loss"])
                if processes.first:
                    last.save(
                        net=net.state_dict(),
                        optimizer=optimizer.state_dict(),
                        history=history,
                        processes=processes.world,
                    )

        # --------------------------------------------------------------------------------------- writing
        if not processes.first:
            return
        packages = {name: version(name) for name in ("torch", "numpy", "h5py")}
        told = {"settings": settings, "versions": {"mmcl": __version__, **packages}}
        write_text(target.with_name("history.csv"), as_table(history))
        counts = {"processes": processes.world, "clips": pairs.count}
        write_json(target.with_name("settings.json"), {**told, **about, **counts})
        nets = net.queries if isinstance(net, Pretrainer) else net.students
        if options["norms"] == "measured":
            measure_norms(Encoders(nets.eval(), about), views)
        save_encoders(target, nets, about, **told)
        last.remove()


def _training_clips(source: SkeletonStore, settings: dict) -> Ragged:
    """The clips that train by the protocol."""
    rows = select(source, settings).train.nonzero()[0].tolist()
    if not rows:
        raise UserError(f"{source.path}: no training clip for protocol {settings['protocol']}")
    return join([source.clip(row) for row in rows], int(source.persons.max()))


def _check_same_skeletons(encoder: dict, source: SkeletonStore, clips: Ragged, teachers: str) -> None:
    theirs, here = (encoder["layout"], encoder["persons"]), (source.layout, clips.joints.shape[3])
    if theirs != here:
        raise UserError(
            f"{teachers}: its encoders see {theirs[1]} persons of layout {theirs[0]}, {source.path} holds {here[1]} of"
            f" layout {here[0]}"
        )


@torch.no_grad()
def _fill_memory(net: Distiller, pairs: Pairs, options: dict) -> None:
    """Fill memory with the teachers' embeddings, so that no student learns from random neighbours."""
    steps = -(-options["memory"] // pairs.batch)
    for step in range(0, steps, pairs.steps):
        for number, (first, _) in enumerate(pairs.epoch(BEFORE - step // pairs.steps)):
            if step + number < steps:
                with autocast(options["precision"], net.memory.keys.device):
                    keys = net.teach(first)
                net.advance(keys)


def _enter(
    net: Pretrainer | Distiller, epoch: int, options: dict, processes: Processes
) -> Callable[..., Step]:
    """The network for the epochs from this one on, in the stage that it belongs to."""
    if not isinstance(net, Pretrainer):
        return processes.parallel(net, broadcast_buffers=False)
    if options["exchange_after"] is not None and epoch >= options["exchange_after"]:
        net.enter(EXCHANGE)
    # where no knowledge is mined, IKEM's term alone is left, and the projection heads rest
    idle = net.stage == EXCHANGE and not net.mining_weight
    return processes.parallel(net, broadcast_buffers=False, find_unused_parameters=idle)


def _epoch(
    step_of: Callable[..., Step],
    net: Pretrainer | Distiller,
    pairs: Iterable[tuple[dict[str, Tensor], dict[str, Tensor]]],
    optimizer: torch.optim.Optimizer,
    precision: str,
    done: Callable[[], Any],
) -> tuple[Tensor, list[str]]:
    """A pass over the training clips. Returns sums over the steps, and what of: the loss, and each part of it."""
    sums: Tensor | float = 0.0
    names: list[str] = []
    encoders = net.modalities if isinstance(net, Pretrainer) else tuple(net.inputs)
    for first, second in pairs:
        with autocast(precision, net.memory.keys.device):
            step = step_of(first, second)
        optimizer.zero_grad()
        step.total.backward()
        optimizer.step()
        net.advance(step.keys)
        sums = sums + torch.cat([step.total.detach()[None], *step.parts.values()])
        names = ["loss", *(f"{part}_{encoder}" for part in step.parts for encoder in encoders)]
        done()
    return torch.as_tensor(sums), names


def main() -> None:
    """One process of a training that torchrun or `_start` started; its argument is the job's file."""
    with joined() as processes:
        _train(processes, **json.loads(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
