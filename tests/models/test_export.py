"""Exported files give the network's logits and hold nothing else."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import NAMES, small
from seeds import shifted

from mmcl.errors import UserError
from mmcl.models import export as exporting
from mmcl.models.export import ABOUT, export

SHAPE = (3, 8, 20)


def short(name, monkeypatch):
    """A backbone of two blocks, the second with a stride: ten take a minute to export."""
    module = __import__(f"mmcl.models.{name.removesuffix('16')}", fromlist=["STRIDES"])
    monkeypatch.setattr(module, "STRIDES", (1, 2))
    if hasattr(module, "CHANNELS"):
        monkeypatch.setattr(module, "CHANNELS", (64, 128))
    else:
        for owner in (module.STGCN, module.STGCN16):
            monkeypatch.setattr(owner, "channels", owner.channels[3:5])
    return small(name)


def logits(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"clips": x.contiguous().numpy()})[0]


def clips(count):
    return 0.3 * torch.randn(count, *SHAPE, 2, generator=torch.Generator().manual_seed(shifted(1)))


SLOW = ("hdgcn", "infogcn")  # many steps


@pytest.mark.parametrize(
    "name",
    # stgcn16 is of stgcn's class
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in NAMES if n != "stgcn16"],
)
def test_onnx_of_every_backbone_for_one_person(name, monkeypatch, tmp_path):
    net = short(name, monkeypatch)
    path = tmp_path / "net.onnx"
    about = {"classes": ["A001", "A002", "A003", "A004", "A005"], "stream": "joint", "window": 8}
    assert export(net, path, SHAPE, about, people=1) < 1e-4
    for count in (1, 5):
        x = clips(count)
        with torch.no_grad():
            both = net(x)
            x[..., 1] = 0
            alone = net(x)
        np.testing.assert_allclose(logits(path, x[..., :1]), alone, rtol=1e-4, atol=1e-5)
        assert (both - alone).abs().max() > 1e-3  # the second person would count
    model = onnx.load(path)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["classes"]) == about["classes"]
    assert facts["stream"] == "joint"
    assert json.loads(facts["input"]) == ["clips", 3, 8, 20, 1]
    # the backbone alone: not more numbers than it has, and some for constants such as graphs and shapes
    held = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    own = sum(value.numel() for value in net.parameters())
    assert 0.7 * own < held < own + 6000
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_a_program_of_pytorch_for_all_people(monkeypatch, tmp_path):
    net = short("infogcn", monkeypatch)
    export(net, tmp_path / "net.pt2", SHAPE, {"layout": "utd20"})
    files = {ABOUT: ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=files)
    assert json.loads(files[ABOUT]) == {"layout": "utd20", "input": ["clips", 3, 8, 20, 2], "people": 2}
    x = clips(5)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-4, atol=1e-5)
    held = sum(value.numel() for value in program.state_dict.values())
    assert held < sum(value.numel() for value in net.parameters()) + 6000


def test_nothing_is_written_when_the_file_is_wrong(monkeypatch, tmp_path):
    net = short("stgcn16", monkeypatch)

    def broken(backbone):
        copy = exporting_folded(backbone)
        copy.head.bias.add_(1)
        return copy

    exporting_folded = exporting.folded
    monkeypatch.setattr(exporting, "folded", broken)
    (tmp_path / "net.pt2").write_text("older")
    with pytest.raises(UserError, match="not written, its logits differ"):
        export(net, tmp_path / "net.pt2", SHAPE, {})
    assert (tmp_path / "net.pt2").read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_arguments(monkeypatch, tmp_path):
    net = short("stgcn16", monkeypatch)
    with pytest.raises(UserError, match=r"the suffix must be one of \.onnx, \.pt2"):
        export(net, tmp_path / "net.tflite", SHAPE, {})
    for people in (0, 3):
        with pytest.raises(UserError, match=f"people {people}: the model knows 1 to 2"):
            export(net, tmp_path / "net.onnx", SHAPE, {}, people=people)
