"""A step of IKEM's pre-training while knowledge is exchanged, which is the longer of its two kinds."""

import itertools
from collections.abc import Callable

import torch
from reference_ikem import ReferenceIKEM
from reference_layers import randomised
from torch import nn

from gpu_rows.measurement import Measurement
from gpu_rows.training import NTU as SHAPE
from gpu_rows.training import WARM, WARM_OURS, graph_of, made_clips
from mmcl.checkpoints import load_reference
from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.precision import arithmetic, autocast
from mmcl.engine.processes import Processes
from mmcl.engine.step import make_step
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.pairs import Pair, Pairs
from mmcl.selfsup.pretrainer import EXCHANGE, Pretrainer
from mmcl.selfsup.train import PretrainingTask
from mmcl.selfsup.views import AugmentedViews
from mmcl.settings.selfsup import EncoderSettings, PretrainingSettings
from mmcl.skeleton.streams import to_streams


def step(measurement: Measurement) -> None:
    """The row. The reference way computes the modalities from joints in each step, as the released one does."""
    device, tiny = measurement.device, measurement.tiny
    settings = PretrainingSettings(
        convention="ikem",
        learning_rate=1e-4,
        precision="bf16",
        batch=4 if tiny else 128,
        memory=64 if tiny else 32768,
        window=12 if tiny else 50,
        encoder=EncoderSettings(width=0.25 if tiny else 1.0),
    )
    measurement.report(unit="clips/s", batch=settings.batch, precision=settings.precision)
    torch.manual_seed(0)
    reference = started(settings)
    weights = {name: value.clone() for name, value in reference.state_dict().items()}
    reference.to(device).train()
    pairs = prepared(settings, device, tiny)
    pair = pairs.seen(next(iter(pairs.epoch(0))))
    length = torch.full((settings.batch,), 100, device=device)
    measurement.begin_memory()
    call = reference_step(reference, pair, settings, length)
    measurement.reference(measurement.timed(call, warm=WARM), settings.batch)

    form = EncoderForm.of(settings.encoder, SHAPE.layout, SHAPE.persons)
    net = Pretrainer(settings, form).to(device).train()
    load_reference(net, weights)
    net.enter(EXCHANGE)
    task = PretrainingTask(net, pairs, settings, seed=1)
    work = make_step(task, build_optimizer(net, settings, task.steps), Processes(device=device))
    batches = itertools.chain.from_iterable(task.batches(epoch) for epoch in itertools.count())
    del reference, call
    measurement.begin_memory()

    def next_step() -> None:
        work(next(batches))

    with arithmetic(settings.precision):
        timing = measurement.timed(next_step, warm=WARM_OURS)
        measurement.note(graph_of(work, device))
        measurement.ours(timing, settings.batch)
        expected, found = losses(weights, net, settings, pair)
        measurement.report(lines=[f"loss {found:.4f}, in float32 as written {expected:.4f}"])
        measurement.profile(next_step)


def started(settings: PretrainingSettings) -> ReferenceIKEM:
    """The reference, with weights away from their start."""
    net = ReferenceIKEM(settings.dim, settings.memory, SHAPE.persons, settings.encoder.width)
    queues = {name: value.clone() for name, value in net.state_dict().items() if name.startswith("queue")}
    for part in net.children():
        randomised(part)
    net.load_state_dict(queues, strict=False)
    return net


def prepared(settings: PretrainingSettings, device: torch.device, tiny: bool) -> Pairs:
    """The batches of the package's own training, of made clips."""
    clips = made_clips(SHAPE._replace(clips=8 if tiny else 640), device, {}).clips
    views = AugmentedViews(clips.to(device), settings.view, SHAPE.layout, settings.augmentation)
    modalities = settings.modalities
    return Pairs(views, modalities, modalities, batch=settings.batch, seed=1)


def reference_step(
    net: ReferenceIKEM, pair: Pair, settings: PretrainingSettings, length: torch.Tensor
) -> Callable[[], None]:
    """Modalities, forward, backward, SGD, key encoders and memory, in float32 with torch's defaults."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, 1e-4, momentum=0.9, weight_decay=1e-4)
    joints = pair.first["joint"], pair.second["joint"]

    def call() -> None:
        views = [to_streams(x, settings.modalities, SHAPE.layout, "ikem", length) for x in joints]
        loss, keys = net(*views)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        net.advance(keys)

    return call


def losses(
    weights: dict[str, torch.Tensor], net: Pretrainer, settings: PretrainingSettings, pair: Pair
) -> tuple[float, float]:
    """The loss of a batch as written and by the package, without dropout."""
    reference = started(settings)
    reference.load_state_dict(weights)
    device = net.memory.keys.device
    reference.to(device).train()
    load_reference(net, weights)
    dropped = [m for m in (*reference.modules(), *net.modules()) if isinstance(m, nn.Dropout)]
    shares = [module.p for module in dropped]
    for module in dropped:
        module.p = 0
    with torch.no_grad():
        with arithmetic("fp32"):
            expected = reference(pair.first, pair.second)[0]
        with autocast(settings.precision, device):
            found = net(pair.first, pair.second).total
    for module, share in zip(dropped, shares, strict=True):
        module.p = share
    return expected.item(), found.item()
