"""What the processes of a group check together; run by `launch` in test_distributed.py.

The first one writes what it found to `report` of the job.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from seeds import shifted
from test_loader import Values, loader_settings, made_data

from mmcl.colearn.inputs import Masked
from mmcl.colearn.learner import CoLearner, build_model
from mmcl.engine.launch import joined
from mmcl.engine.processes import Processes
from mmcl.engine.step import in_parallel
from mmcl.errors import UserError
from mmcl.settings.jobs import StreamTraining
from mmcl.settings.model import StreamModelSettings
from mmcl.training import train
from mmcl.training.loader import Drawn, Loader, TrainingData


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    with joined() as processes:
        if "fail_in" in job:
            fail_on_the_second(job["fail_in"], processes)
        found = {"world": dist.get_world_size()} | gradients(
            StreamTraining.model_validate(job["run"]["settings"]), processes
        )
        found["states"] = train_and_compare(job["run"], processes)
        if processes.first:
            Path(job["report"]).write_text(json.dumps(found))


def gradients(settings: StreamTraining, processes: Processes) -> dict[str, float]:
    """Largest differences of gradients: to one process with the same clips, and where a term has no clip."""
    values = torch.randn(8, 6, generator=torch.Generator().manual_seed(shifted(1)))
    everywhere = Values(values, torch.ones(8, dtype=torch.bool))
    # FAM contrasts the clips of its own process, so without `gather` its gradient is another: no picture here
    data = made_data(8, picture=Values(values, torch.zeros(8, dtype=torch.bool)), answer=everywhere)
    model = a_model(settings.model)
    loader = Loader(data, "bone", loader_settings(batch=8), 1)
    losses_of = in_parallel(train.StreamTask(model, loader, settings, None), processes)
    model.eval()
    loader, part = one_batch(data, processes)
    losses_of(part).total.backward()
    alone = a_model(settings.model)
    alone_loader, everything = one_batch(data, Processes(device=processes.device))
    alone.losses(alone_loader.view(everything)).total.backward()
    apart = difference(model, alone)
    largest = max(float(p.grad.abs().max()) for p in alone.parameters() if p.grad is not None)

    # the first process has no answer and no picture, the second has both
    masked = Masked(part.inputs["answer"].values, torch.full((4,), not processes.first))
    part = part._replace(inputs={"picture": masked, "answer": masked})
    for _ in range(3):
        losses_of(part).total.backward()
    others = a_model(settings.model)
    for own, other in zip(model.parameters(), others.parameters(), strict=True):
        other.grad = own.grad.clone()
        dist.broadcast(other.grad, 0)
    heads = min(float(p.grad.abs().max()) for p in [*model.fam.parameters(), *model.frm.parameters()])
    return {"apart": apart, "largest": largest, "resting": difference(model, others), "heads": heads}


def a_model(settings: StreamModelSettings) -> CoLearner:
    """In evaluation mode, as batch norms see other clips in a group; everything that begins at zero is moved."""
    torch.manual_seed(shifted(0))
    shapes = {"picture": (6,), "answer": (6,)}
    model = build_model(
        settings, num_classes=10, layout="utd20", persons=2, shapes=shapes, label_smoothing=0.0
    )
    for value in model.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return model.eval()


def one_batch(data: TrainingData, processes: Processes) -> tuple[Loader, Drawn]:
    loader = Loader(data, "bone", loader_settings(batch=8), 1, processes.rank, processes.world)
    return loader, next(loader.drawn(0))


def difference(model: CoLearner, other: CoLearner) -> float:
    """Largest difference of gradients; one that is absent is zero."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return max(float((p.grad - (0 if q.grad is None else q.grad)).abs().max()) for p, q in pairs)


def train_and_compare(run: dict, processes: Processes) -> list[str]:
    """Train, and hash what each process ends up with."""
    models = []
    build = train._open_model

    def keep(*arguments):
        model, form = build(*arguments)
        models.append(model)
        return model, form

    train._open_model = keep
    train._train(processes, **run)
    digest = hashlib.sha256()
    for value in models[0].state_dict().values():
        digest.update(value.numpy().tobytes())
    hashes: list[str] = [""] * processes.world
    dist.all_gather_object(hashes, digest.hexdigest())
    return hashes


def fail_on_the_second(epoch: int, processes: Processes) -> None:
    """Let the second process fail in the middle of an epoch, while the first waits for its gradients."""
    whole = Loader.drawn

    def batches(self: Loader, number: int):
        for step, batch in enumerate(whole(self, number)):
            if number == epoch and step == 1 and not processes.first:
                raise UserError("the second process failed")
            yield batch

    Loader.drawn = batches


if __name__ == "__main__":
    main()
