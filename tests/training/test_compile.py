"""Training through torch.compile."""

import csv
import shutil

import pytest
import torch
from made_stores import changed
from made_stores import train as train_made
from torch import nn

from mmcl.engine.loop import compiled_in_training


class Small(nn.Module):
    """What of a backbone is translated."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def features(self, x):
        return self.layer(x).relu()


def test_the_network_is_translated_for_training_alone_and_keeps_its_names(monkeypatch):
    given = {}

    def translate(method, **options):
        given.update(options)
        return lambda x: method(x) + 1000

    monkeypatch.setattr(torch, "compile", translate)
    net, x = Small(), torch.randn(5, 4)
    names, expected = list(net.state_dict()), net.features(x)
    compiled_in_training(net, "features", torch.device("cpu"))
    torch.testing.assert_close(net.features(x), expected + 1000)
    torch.testing.assert_close(net.eval().features(x), expected)
    assert list(net.state_dict()) == names
    assert given["options"] == {"layout_optimization": False}  # without it, three times slower on a CPU
    compiled_in_training(net, "features", torch.device("cuda"))
    assert given["options"] is None


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
def test_a_translated_run_trains_the_same_network(stores, settings, tmp_path):
    found = {}
    for on in (False, True):
        folder = tmp_path / str(on)
        own = changed(settings, train__compile=on, train__epochs=2, train__learning_rate=0.001)
        content = train_made(stores, folder, own)
        rows = list(csv.DictReader((folder / "history.csv").open()))
        found[on] = content["state"], float(rows[-1]["loss"])
    assert found[True][0].keys() == found[False][0].keys()
    assert found[True][1] != found[False][1]  # it was another program
    assert found[True][1] == pytest.approx(found[False][1], rel=1e-3)
    for name, value in found[False][0].items():
        torch.testing.assert_close(found[True][0][name], value, rtol=1e-2, atol=1e-3)
