"""CTR-GCN at full width recognising clips: the plain reference against what `mmcl` runs and exports.

120 classes, 64 frames, 25 joints, 2 people, float32, the same weights; half of the ways see clips of one person,
which the reference processes as two.
`python benchmarks/inference.py`
"""

import os
import tempfile
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reads it while it is imported

import onnxruntime
import torch
from interleaved import medians, show
from reference_ctrgcn import ReferenceCTRGCN
from reference_layers import randomised
from torch import Tensor

from mmcl.checkpoints import load_reference
from mmcl.models import build_backbone
from mmcl.models.export import export
from mmcl.models.inference import Inference

SHAPE = (3, 64, 25)
BATCH = 8


def session(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(expected: Tensor, *others: Tensor) -> None:
    """Equal to 1e-4 of the largest logit."""
    for other in others:
        assert (other - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    reference = randomised(ReferenceCTRGCN(120)).eval()
    net = build_backbone("ctrgcn", 120).eval()
    load_reference(net, reference.state_dict())
    ours = Inference(net)
    pair = 0.3 * torch.randn(BATCH, *SHAPE, 2, generator=torch.Generator().manual_seed(0))
    single = pair.clone()
    single[..., 1] = 0

    check(reference(pair), ours(pair))
    check(reference(single), ours(single))
    ways = {
        "reference, eager": lambda: reference(pair),
        "Inference": lambda: ours(pair),
        "Inference, clips of one person": lambda: ours(single),
    }
    print("inference of CTR-GCN at full width, 64 frames, one thread, median CPU time")
    show(f"{BATCH} clips together", medians(ways, rounds=7), BATCH)

    one, alone = pair[:1].contiguous(), single[:1].contiguous()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False):
        both_path, alone_path = Path(folder) / "both.onnx", Path(folder) / "alone.onnx"
        export(net, both_path, SHAPE, {})
        export(net, alone_path, SHAPE, {}, people=1)
        both_session, alone_session = session(both_path), session(alone_path)
    clip, person = {"clips": one.numpy()}, {"clips": one[..., :1].numpy()}
    check(reference(one), torch.from_numpy(both_session.run(None, clip)[0]), ours(one))
    check(reference(alone), torch.from_numpy(alone_session.run(None, person)[0]), ours(alone))
    ways = {
        "reference, eager": lambda: reference(one),
        "Inference": lambda: ours(one),
        "ONNX Runtime": lambda: both_session.run(None, clip),
        "Inference, a clip of one person": lambda: ours(alone),
        "ONNX Runtime, export --people 1": lambda: alone_session.run(None, person),
    }
    show("one clip", medians(ways, rounds=25))


if __name__ == "__main__":
    main()
