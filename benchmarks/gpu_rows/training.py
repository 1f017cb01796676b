"""Training steps of the backbones: the plain network of the equations against what `train_stream` runs."""

import gc
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from reference_ctrgcn import ReferenceCTRGCN
from reference_ctrs import ReferenceCTRS
from reference_hdgcn import ReferenceHDGCN
from reference_infogcn import ReferenceInfoGCN, auxiliary_loss
from reference_layers import randomised
from reference_stgcn import ReferenceSTGCN, ReferenceSTGCN16
from torch import Tensor, nn

from gpu_rows.measurement import Measurement
from mmcl.checkpoints import load_reference
from mmcl.colearn.learner import CoLearner, build_model
from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.precision import arithmetic, autocast
from mmcl.engine.processes import Processes
from mmcl.engine.step import Step, make_step
from mmcl.layouts import get_layout
from mmcl.precision import searched_convolutions
from mmcl.settings.jobs import StreamTraining
from mmcl.settings.model import FamSettings, FrmSettings, StreamModelSettings
from mmcl.settings.tables import default_graph
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import Ragged
from mmcl.training.loader import Loader, TrainingData
from mmcl.training.train import StreamTask

REFERENCES: dict[str, Callable[..., nn.Module]] = {
    "ctrgcn": ReferenceCTRGCN,
    "ctrs": ReferenceCTRS,
    "hdgcn": ReferenceHDGCN,
    "infogcn": ReferenceInfoGCN,
    "stgcn": ReferenceSTGCN,
    "stgcn16": ReferenceSTGCN16,
}
RATE = 1e-4
"""So small that the weights stay what they are: all steps are of the same kind."""
WARM, WARM_OURS = 5, 12
"""Steps before the measured ones; the package captures its CUDA graph in them."""

CLIPS_A_SECOND = {"bf16": 4500, "tf32": 1800}
"""Goals of CTR-GCN on an H200, by precision, beside those that are ratios."""


class Shape(NamedTuple):
    """What is trained with.

    Attributes:
        layout, persons, classes: of the clips.
        batch: clips of a step.
        window: frames.
        feeder: how clips are shown.
        clips: of an epoch.
        width: of the network.
    """

    layout: str
    persons: int
    classes: int
    batch: int
    window: int
    feeder: str
    clips: int
    width: float = 1.0

    def tried(self, tiny: bool) -> "Shape":
        """So small that a CPU does a step in a moment."""
        if not tiny:
            return self
        return self._replace(classes=5, batch=4, window=12, clips=8, width=0.125)


NTU = Shape("ntu25", 2, 120, 200, 64, "resize", 1000)
UCLA = Shape("ucla20", 1, 10, 16, 52, "ucla", 1018)


def ntu(measurement: Measurement, backbone: str, precision: str) -> None:
    """A row: 200 clips of NTU's shape; of fewer where both networks have no room for as many."""
    shape = NTU.tried(measurement.tiny)
    while True:
        try:
            compare(measurement, backbone, precision, shape)
            break
        except torch.OutOfMemoryError:
            if shape.batch <= 32:
                raise
            measurement.note(f"out of memory with {shape.batch} clips a step: measured with half as many")
            shape = shape._replace(batch=shape.batch // 2)
        measurement.begin_memory()
    if backbone == "ctrgcn" and precision in CLIPS_A_SECOND:
        found = measurement.found
        lines = [f"{found['ours']:,.0f} clips/s (goal {CLIPS_A_SECOND[precision]:,})"]
        if found["ours_memory"] is not None:
            part = found["ours_memory"] / found["reference_memory"]
            lines.append(f"peak memory {part:.2f} of the reference's (goal 0.5)")
        measurement.report(lines=lines)


def ucla(measurement: Measurement) -> None:
    """A row: 16 clips of NW-UCLA's shape."""
    compare(measurement, "ctrgcn", "tf32", UCLA.tried(measurement.tiny))
    measurement.report(lines=[f"{measurement.found['ours_ms']:.2f} ms a step (goal 7 ms)"])


def compare(measurement: Measurement, backbone: str, precision: str, shape: Shape) -> None:
    """The reference way with torch's defaults, then the package's own."""
    measurement.report(unit="clips/s", batch=shape.batch, precision=precision)
    device = measurement.device
    x, labels = one_batch(shape, device)
    weights = plain(backbone, shape).state_dict()

    reference = plain(backbone, shape).to(device).train()
    measurement.begin_memory()
    step = reference_step(backbone, reference, x, labels)
    measurement.reference(measurement.timed(step, warm=WARM), shape.batch)
    del reference, step
    gc.collect()

    model = ours(backbone, shape, weights).to(device)
    measurement.begin_memory()
    call = ProductStep(model, precision, shape, device)
    with call.as_in_fit():
        timing = measurement.timed(call, warm=WARM_OURS)
        measurement.note(graph_of(call.step, device))
        measurement.ours(timing, shape.batch)
        apart = differences(backbone, model, weights, precision, x, shape)
        measurement.report(difference=apart[0], difference_of_plain=apart[1])
        # last, as a profiler is what may end the process
        measurement.profile(call)


def one_batch(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor]:
    """Clips (N, 3, T, V, M) and labels, as they come out of a feeder."""
    generator = torch.Generator().manual_seed(0)
    joints = len(get_layout(shape.layout))
    x = 0.3 * torch.randn(shape.batch, 3, shape.window, joints, shape.persons, generator=generator)
    labels = torch.randint(shape.classes, (shape.batch,), generator=generator)
    return x.to(device), labels.to(device)


def plain(backbone: str, shape: Shape) -> nn.Module:
    """The reference network, with weights away from their start."""
    net = REFERENCES[backbone](shape.classes, shape.layout, shape.persons, width=shape.width)
    return randomised(net)


def ours(backbone: str, shape: Shape, weights: dict[str, Tensor]) -> CoLearner:
    """The package's network with the weights of the reference."""
    off = {"fam": FamSettings(enabled=False), "frm": FrmSettings(enabled=False)}
    settings = StreamModelSettings(backbone=backbone, graph=default_graph(backbone), width=shape.width, **off)
    form: dict[str, Any] = {"num_classes": shape.classes, "layout": shape.layout, "persons": shape.persons}
    model = build_model(settings, **form, shapes={}, label_smoothing=0.0)
    load_reference(model.backbone, weights)
    return model.train()


def reference_step(backbone: str, net: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Forward, backward and SGD as the released trainings have them, in float32 with torch's defaults."""
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=4e-4)
    prior = None
    if isinstance(net, ReferenceInfoGCN):
        prior = torch.empty(net.decoder.out_features, net.decoder.in_features)
        prior = nn.init.orthogonal_(prior, 3.0).to(x.device)

    def step() -> None:
        if isinstance(net, ReferenceInfoGCN):
            z = net.bottleneck(x)
            loss = F.cross_entropy(net.decoder(z), labels) + auxiliary_loss(z, labels, prior)
        else:
            loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


class ProductStep:
    """Takes the next batch, as `train_stream` makes them, and trains with it. To be called within `as_in_fit`.

    Args:
        model: on the device.
        precision: `train.precision`.
        shape: of clips and batches.
        device: where.
        inputs: of co-learning terms.
        more: settings of `train`.
    """

    def __init__(
        self,
        model: CoLearner,
        precision: str,
        shape: Shape,
        device: torch.device,
        inputs: dict[str, Any] | None = None,
        **more: Any,
    ):
        train = TrainSettings(
            batch=shape.batch,
            window=shape.window,
            feeder=shape.feeder,
            precision=precision,
            learning_rate=RATE,
            warmup_epochs=0,
            **more,
        )
        # of the stage's settings nothing else is read while it trains
        settings = StreamTraining.model_construct(stream="joint", seed=1, train=train)
        loader = Loader(made_clips(shape, device, inputs or {}), settings.stream, train, settings.seed)
        task = StreamTask(model, loader, settings, None)
        self.step = make_step(task, build_optimizer(model, train, task.steps), Processes(device=device))
        self.batches = itertools.chain.from_iterable(task.batches(epoch) for epoch in itertools.count())

    def __call__(self) -> None:
        self.step(next(self.batches))

    @contextmanager
    def as_in_fit(self) -> Iterator[None]:
        """What `mmcl.engine.loop.fit` sets around the steps."""
        task = self.step.task
        with arithmetic(task.precision), searched_convolutions() if task.same_pictures else nullcontext():
            yield


def graph_of(step: Step[Any], device: torch.device) -> str:
    """Whether steps were replayed as a CUDA graph."""
    if device.type != "cuda":
        return "no CUDA graph on a CPU"
    return (
        "steps were replayed as a CUDA graph" if step.recorded else "steps were not replayed as a CUDA graph"
    )


def made_clips(shape: Shape, device: torch.device, inputs: dict[str, Any]) -> TrainingData:
    """Clips of NTU's lengths, on the device."""
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(30, 301, (shape.clips,), generator=generator)
    joints = len(get_layout(shape.layout))
    clips = Ragged(
        0.3 * torch.randn(3, int(length.sum()), joints, shape.persons, device=device),
        length.cumsum(0) - length,
        length,
    )
    labels = torch.randint(shape.classes, (shape.clips,), generator=generator).to(device)
    names = [f"clip{number}" for number in range(shape.clips)]
    return TrainingData(names, clips, labels, shape.layout, inputs)


def differences(
    backbone: str, model: CoLearner, weights: dict[str, Tensor], precision: str, x: Tensor, shape: Shape
) -> tuple[float, float]:
    """Root mean square difference of a batch's logits to those of the reference in float32, as a part of their spread
    over the clips: of the package's network, and of the reference in the same precision.

    Batch norms have the batch's statistics; nothing is dropped out.
    """
    reference = plain(backbone, shape).to(x.device).train()
    reference.load_state_dict(weights)
    load_reference(model.backbone, weights)
    found = []
    for net, own in ((reference, "fp32"), (model, precision), (reference, precision)):
        dropped = [(module, module.p) for module in net.modules() if isinstance(module, nn.Dropout)]
        for module, _ in dropped:
            module.p = 0
        torch.manual_seed(0)  # of InfoGCN's noise
        with torch.no_grad(), arithmetic(own), autocast(own, x.device):
            found.append(net(x).float())
        for module, share in dropped:
            module.p = share
    expected, *others = found
    spread = expected.std(0).mean()
    ours_, plain_ = (((one - expected).square().mean().sqrt() / spread).item() for one in others)
    return ours_, plain_
