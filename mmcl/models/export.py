"""Trained networks for other programs: ONNX, or PyTorch's own exported programs.

An exported file takes clips as the network does, (N, C, T, V, M) with any N and everything else fixed, and holds
the backbone alone, its batch norms in its weights.
"""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.files import written
from mmcl.models.backbone import Backbone
from mmcl.models.inference import folded
from mmcl.progress import progress

log = logging.getLogger(__name__)

FORMATS = (".onnx", ".pt2")
ABOUT = "mmcl.json"
"""Name of the description inside a .pt2 file; in ONNX it is in the metadata, one entry per key."""
TOLERANCE = 1e-4
"""Largest difference of logits between file and network, relative to the largest logit where that is above one."""


class Exported(nn.Module):
    """The exported network: a backbone for clips with a number of people that may be below the network's own.

    The features of the people who are then absent are a constant.

    Args:
        net: the backbone; stays as it is.
        shape: channels, frames and joints of a clip, (C, T, V).
        people: people per clip, K.
    """

    absent: Tensor | None

    def __init__(self, net: Backbone, shape: tuple[int, int, int], people: int):
        super().__init__()
        self.net = folded(net)
        self.people = people
        absent = None
        if people < net.persons:
            slot = torch.arange(people, net.persons)
            with torch.no_grad():
                absent = self.net.trunk(self.net.stem_of(torch.zeros(len(slot), *shape), slot))
        self.register_buffer("absent", absent)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T, V, K) -> logits (N, num_classes)."""
        if self.absent is None:
            found: Tensor = self.net(clips)
            return found
        count = clips.shape[0]
        slot = torch.arange(self.people, device=clips.device).repeat(count)
        there = self.net.trunk(self.net.stem_of(clips.permute(0, 4, 1, 2, 3).flatten(0, 1), slot))
        absent = self.absent.expand(count, -1, -1)
        merged = torch.cat([there.unflatten(0, (-1, self.people)), absent], dim=1)
        return self.net.classify(self.net.merge(merged))


def export(
    net: Backbone,
    output: Path,
    shape: tuple[int, int, int],
    about: dict[str, object],
    people: int | None = None,
) -> float:
    """Write a network, run the file, and compare.

    Args:
        net: the backbone, on the CPU.
        output: ….onnx or ….pt2.
        shape: channels, frames and joints of a clip, (C, T, V).
        about: description for readers of the file; values of JSON.
        people: people per clip, if fewer than the network's.

    Returns:
        The largest difference of logits to `net`, relative to the largest logit where that is above one.

    Raises:
        UserError: another suffix, a package is missing, as many people are not possible, or the file that was
            written gives other logits than the network; then nothing is left at `output`.
    """
    output = Path(output)
    if output.suffix.lower() not in FORMATS:
        raise UserError(f"{output}: the suffix must be one of {', '.join(FORMATS)}")
    people = net.persons if people is None else people
    if not 1 <= people <= net.persons:
        raise UserError(f"people {people}: the model knows 1 to {net.persons}")
    about = {**about, "input": ["clips", *shape, people], "people": people}
    model = Exported(net, shape, people).eval()
    write = _write_onnx if output.suffix.lower() == ".onnx" else _write_pt2
    with written(output) as temporary, progress("exporting", 2, "steps", at_once=True) as step:
        run = write(model, torch.zeros(2, *shape, people), temporary, about)
        step.advance()
        difference = _difference(net, run, shape, people)
        step.advance()
        if not difference <= TOLERANCE:
            raise UserError(f"{output}: not written, its logits differ from the model's by {difference:.1e}")
    return difference


def _write_onnx(
    model: nn.Module, example: Tensor, path: Path, about: dict[str, object]
) -> Callable[[Tensor], Tensor]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reads it while it is imported
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise UserError(f"{error.name} is missing: pip install onnx onnxruntime onnxscript") from None
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it logs every constant that it does not fold
    program = torch.onnx.export(
        _program(model, example),
        input_names=["clips"],
        output_names=["logits"],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    for key, value in about.items():
        program.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(["logits"], {"clips": clips.numpy()})[0])


def _write_pt2(
    model: nn.Module, example: Tensor, path: Path, about: dict[str, object]
) -> Callable[[Tensor], Tensor]:
    torch.export.save(_program(model, example), path, extra_files={ABOUT: json.dumps(about)})
    return torch.export.load(path).module()


def _program(model: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """`model` for any number of clips like those of `example`."""
    with torch.no_grad():
        return torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("clips")},))


@torch.no_grad()
def _difference(
    net: Backbone, run: Callable[[Tensor], Tensor], shape: tuple[int, int, int], people: int
) -> float:
    """Largest difference between an exported network and `net` on random clips, one and three at a time."""
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    training = net.training
    net.eval()
    for count in (1, 3):
        clips = 0.3 * torch.randn(count, *shape, net.persons, generator=generator)
        clips[..., people:] = 0
        expected = net(clips)
        difference = (run(clips[..., :people].contiguous()) - expected).abs().max()
        worst = max(worst, float(difference / expected.abs().max().clamp(min=1)))
    net.train(training)
    return worst
