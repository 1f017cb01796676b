import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmcl.errors import UserError
from mmcl.video.weights import read_weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), rest=nn.Sequential(nn.SiLU()))
    )


def assert_same(state, expected):
    assert set(state) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0)


def test_a_pickled_network_gives_its_state(tmp_path):
    net = network()
    net.names = {0: "person", 1: "dog"}
    torch.save({"model": net, "ema": None, "epoch": 3}, tmp_path / "net.pt")
    content = read_weights(tmp_path / "net.pt")
    assert_same(content.tensors, net.state_dict())
    assert content.names == {0: "person", 1: "dog"}
    assert content.described is None


def test_the_moving_average_comes_first_and_half_becomes_float(tmp_path):
    net, average = network(), network().half()
    torch.save({"model": net, "ema": average}, tmp_path / "net.pt")
    state, names, _ = read_weights(tmp_path / "net.pt")
    assert_same(state, average.float().state_dict())
    assert state["conv.weight"].dtype == torch.float32
    assert state["norm.num_batches_tracked"].dtype == torch.int64
    assert names is None


def test_plain_state_dicts(tmp_path):
    expected = network().state_dict()
    torch.save(expected, tmp_path / "a.pt")
    torch.save({"model": expected}, tmp_path / "b.pt")
    save_file(expected, tmp_path / "c.safetensors")
    for name in ("a.pt", "b.pt", "c.safetensors"):
        state, names, _ = read_weights(tmp_path / name)
        assert_same(state, expected)
        assert names is None


class Evil:
    def __init__(self, victim: Path):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f"touch {self.victim}",)


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path):
    victim = tmp_path / "victim"
    torch.save({"model": Evil(victim)}, tmp_path / "evil.pt")
    with pytest.raises(
        UserError, match=r"evil\.pt: refused, nothing of it was executed: it names 'posix\.system'"
    ):
        read_weights(tmp_path / "evil.pt")
    assert not victim.exists()
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert victim.exists()  # it would have worked


class Constructor:
    """Calls an admitted layer class with arguments of its own, which the class would act on."""

    def __reduce__(self):
        return nn.Linear, (2, 3)


def test_layer_classes_are_never_called(tmp_path, monkeypatch):
    torch.save({"model": network(), "other": Constructor()}, tmp_path / "net.pt")
    monkeypatch.setattr(nn.Linear, "__init__", lambda *_: pytest.fail("called"))
    monkeypatch.setattr(nn.Conv2d, "__setstate__", lambda *_: pytest.fail("called"), raising=False)
    assert len(read_weights(tmp_path / "net.pt").tensors) == 7


def test_damaged_files(tmp_path):
    net = tmp_path / "net.pt"
    torch.save(network().state_dict(), net)
    (tmp_path / "short.pt").write_bytes(net.read_bytes()[:1000])
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("short.pt", "text.pt", "old.pt", "text.safetensors"):
        with pytest.raises(UserError, match=f"{name}: (damaged|not a )"):
            read_weights(tmp_path / name)


def test_neither_network_nor_state_dict(tmp_path):
    torch.save({"model": {"a": 1}}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="neither a network nor a state dict"):
        read_weights(tmp_path / "a.pt")


def test_networks_that_are_not_as_torch_saves_them(tmp_path):
    circle, odd = network(), network()
    circle.rest.add_module("all", circle)
    torch.save({"model": circle}, tmp_path / "circle.pt")
    odd.rest.__dict__["_buffers"] = 7
    torch.save({"model": odd}, tmp_path / "odd.pt")
    with pytest.raises(
        UserError, match=r"circle\.pt: has more layers than a network, or one that holds itself"
    ):
        read_weights(tmp_path / "circle.pt")
    with pytest.raises(UserError, match=r"odd\.pt: its layer 'rest\.' is not written as torch does"):
        read_weights(tmp_path / "odd.pt")
