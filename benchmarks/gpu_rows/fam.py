"""CTR-GCN trained with FAM, Inception trained along."""

import copy
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from reference_fam import ReferenceFAM
from reference_layers import normalised, pooled
from torch import Tensor, nn

from gpu_rows.measurement import Absent, Measurement
from gpu_rows.training import NTU, RATE, WARM, WARM_OURS, ProductStep, Shape, graph_of, one_batch, plain
from mmcl.checkpoints import load_reference
from mmcl.colearn.inputs import Complete, Input
from mmcl.colearn.learner import CoLearner, build_model
from mmcl.models.cnn import CNN, open_cnn
from mmcl.settings.model import CnnSettings, FamSettings, FrmSettings, StreamModelSettings

SMALL_GPU = 24.0
"""GB of a GPU that it should fit by accumulating gradients."""
PARTS = (1, 2, 4, 8)
"""Values of `train.accumulate` that are tried until it does."""
WEIGHT = 0.1


class Pictures(Input):
    """Montages that lie on the device: what a step takes beside the time of decoding them."""

    def __init__(self, network: CNN, count: int, side: int, device: torch.device):
        self.network = network
        self.shape = (network.feature_dim,)
        self.fingerprints: list[str] = []
        self.without: list[str] = []
        self.values = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, device=device)

    def epoch(self, draw: Any, parts: Sequence[slice]) -> Iterator[Complete]:
        """See `Input`."""
        for part in parts:
            rows = draw.order[part] % len(self.values)
            yield Complete(
                self.values[rows], torch.ones(len(rows), dtype=torch.bool, device=self.values.device)
            )


def step(measurement: Measurement) -> None:
    """The row."""
    try:
        import torchvision  # noqa: F401
    except ImportError as error:
        raise Absent("torchvision is not installed") from error
    shape, device = NTU.tried(measurement.tiny), measurement.device
    measurement.report(unit="clips/s", batch=shape.batch, precision="bf16")
    cnn = CnnSettings(weights=None)
    if measurement.tiny:
        cnn = CnnSettings(weights=None, architecture="resnet18", image_size=32, num_classes=10)
    torch.manual_seed(0)
    network = open_cnn(cnn)
    backbone = plain("ctrgcn", shape)
    weights = backbone.state_dict()

    pictures = torch.randn(shape.batch, 3, cnn.image_size, cnn.image_size, device=device)
    fam = ReferenceFAM(copy.deepcopy(network.net), cnn.num_classes, 256, backbone.fc.in_features)
    measurement.begin_memory()
    call = reference_step(backbone.to(device).train(), fam.to(device).train(), pictures, shape, device)
    measurement.reference(measurement.timed(call, warm=WARM), shape.batch)
    del call, backbone, fam, pictures
    gc.collect()

    lines = []
    for parts in PARTS:
        model = learner(cnn, copy.deepcopy(network), shape, weights).to(device)
        side = cnn.image_size if measurement.tiny else 480
        source = Pictures(model.terms["fam"].cnn, shape.batch, side, device)
        measurement.begin_memory()
        more = {"accumulate": parts} if parts > 1 else {}
        call = ProductStep(model, "bf16", shape, device, {"picture": source}, **more)
        with call.as_in_fit():
            timing = measurement.timed(call, warm=WARM_OURS)
            if parts == 1:
                measurement.note(graph_of(call.step, device))
                measurement.ours(timing, shape.batch)
            memory = measurement.memory()
            speed = f"{shape.batch / timing.median:,.0f} clips/s"
            lines.append(f"train.accumulate {parts}: {speed}" + (f", {memory:.1f} GB" if memory else ""))
            measurement.report(lines=lines)
            fits = memory is not None and memory <= SMALL_GPU
            if fits or parts == PARTS[-1] or (measurement.tiny and parts == 2):
                # the first is gone; its kernels are the same, of more clips each
                measurement.profile(call)
                return
        del model, source, call
        gc.collect()


def reference_step(
    backbone: nn.Module, fam: ReferenceFAM, pictures: Tensor, shape: Shape, device: torch.device
) -> Callable[[], None]:
    """Both networks, the sum of their losses, SGD, in float32 with torch's defaults."""
    x, labels = one_batch(shape, device)
    parameters = [*backbone.parameters(), *fam.parameters()]
    optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, nesterov=True, weight_decay=4e-4)

    def call() -> None:
        y = normalised(x, backbone.data_bn)
        for number in range(1, backbone.blocks + 1):
            y = getattr(backbone, f"l{number}")(y)
        features = pooled(y, backbone.persons)
        loss = F.cross_entropy(backbone.fc(features), labels) + WEIGHT * fam(features, pictures)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return call


def learner(cnn: CnnSettings, network: CNN, shape: Shape, weights: dict[str, Tensor]) -> CoLearner:
    """The package's network with FAM."""
    settings = StreamModelSettings(
        width=shape.width, fam=FamSettings(weight=WEIGHT, cnn=cnn), frm=FrmSettings(enabled=False)
    )
    form: dict[str, Any] = {"num_classes": shape.classes, "layout": shape.layout, "persons": shape.persons}
    shapes, networks = {"picture": (network.feature_dim,)}, {"picture": network}
    model = build_model(settings, **form, shapes=shapes, label_smoothing=0.0, networks=networks)
    load_reference(model.backbone, weights)
    return model.train()
