"""Training through torch.compile."""

import csv
import shutil

import pytest
import torch
from made_stores import changed
from torch import nn

from mmcl import checkpoints
from mmcl.training.train import _compile, train_stream


class Small(nn.Module):
    """What of a backbone is translated."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def features(self, x):
        return self.layer(x).relu()


def test_the_network_is_translated_for_training_alone_and_keeps_its_names(monkeypatch):
    told = {}

    def translate(method, **options):
        told.update(options)
        return lambda x: method(x) + 1000

    monkeypatch.setattr(torch, "compile", translate)
    net, x = Small(), torch.randn(5, 4)
    names, expected = list(net.state_dict()), net.features(x)
    _compile(net, torch.device("cpu"))
    torch.testing.assert_close(net.features(x), expected + 1000)
    torch.testing.assert_close(net.eval().features(x), expected)
    assert list(net.state_dict()) == names
    assert told["options"] == {"layout_optimization": False}  # without it, three times slower on a CPU
    _compile(net, torch.device("cuda"))
    assert told["options"] is None


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
def test_a_translated_run_trains_the_same_network(stores, settings, tmp_path):
    found = {}
    for on in (False, True):
        folder = tmp_path / str(on)
        train_stream(
            skeletons=stores["skeletons"],
            rgb=[stores["rgb"]],
            answers=[stores["answers"]],
            output=folder / "model.pt",
            settings=changed(settings, train__compile=on, train__epochs=2, train__learning_rate=0.001),
        )
        rows = list(csv.DictReader((folder / "history.csv").open()))
        found[on] = checkpoints.read(folder / "model.pt")["state"], float(rows[-1]["loss"])
    assert found[True][0].keys() == found[False][0].keys()
    assert found[True][1] != found[False][1]  # it was another program
    assert found[True][1] == pytest.approx(found[False][1], rel=1e-3)
    for name, value in found[False][0].items():
        torch.testing.assert_close(found[True][0][name], value, rtol=1e-2, atol=1e-3)
