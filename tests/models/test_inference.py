"""What is run gives what was trained."""

import pytest
import torch
from networks import NAMES, small
from seeds import shifted
from torch import nn

from mmcl.models import inference
from mmcl.models.inference import Inference, folded, padded
from mmcl.models.layers import InputNorm


def clips(frames=12, joints=20, persons=2, dtype=torch.float32):
    """Both people, the first alone, the second alone, nobody."""
    torch.manual_seed(shifted(0))
    x = 0.3 * torch.randn(4, 3, frames, joints, persons, dtype=dtype)
    x[1, ..., 1:] = 0
    x[2, ..., 0] = 0
    x[3] = 0
    return x


def relative(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_logits_with_and_without_people(name):
    net, x = small(name), clips()
    with torch.no_grad():
        assert relative(Inference(net)(x), net(x)) < 1e-4
        net, x = net.double(), x.double()
        assert relative(Inference(net)(x), net(x)) < 1e-12
        # one person less makes a difference, so the comparison can fail
        assert relative(Inference(net)(x[:1]), net(x[1:2])) > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_folding_alone_keeps_the_function(name):
    net = small(name, "ntu25", persons=3).double()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x = clips(frames=7, joints=25, persons=3, dtype=torch.float64)
    with torch.no_grad():
        assert relative(folded(net)(x), net(x)) < 1e-12
    # the network itself is as it was
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("name", ["ctrgcn", "ctrs", "hdgcn", "stgcn"])
def test_no_norm_is_left_but_the_inputs(name):
    left = [m for m in folded(small(name)).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert [type(module) for module in left] == [InputNorm]


def test_absent_people_are_not_run(monkeypatch):
    monkeypatch.setattr(inference, "CACHE", 2**20)  # all in one group
    run = Inference(small("ctrgcn"))
    people = []
    run.net.blocks[0].register_forward_pre_hook(lambda _, inputs: people.append(inputs[0].shape[1]))
    x = clips()
    expected = run(x)
    assert sorted(people) == [2, 4]  # the two slots empty, once; then those who are there
    people.clear()
    torch.testing.assert_close(run(x), expected)
    assert people == [4]
    people.clear()
    run(x[:1])
    assert people == [2]
    people.clear()
    run(x[3:])
    assert people == []
    run(clips(frames=9))  # of another length, nobody is something else
    assert sorted(people) == [2, 4]


def test_people_in_groups(monkeypatch):
    run, x = Inference(small("ctrgcn").double()), clips(dtype=torch.float64)
    whole = run(x)
    sizes = []
    run.net.blocks[0].register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[1]))
    monkeypatch.setattr(inference, "CACHE", 3 * 16 * 12 * 20)  # of 16 channels, 12 frames, 20 joints
    assert relative(run(x), whole) < 1e-12
    assert sizes == [3, 1]
    monkeypatch.setattr(inference, "CACHE", 0)
    assert relative(run(x), whole) < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_as_near_as_a_training_in_bfloat16(name):
    net, x = small(name), clips(frames=16)[:3]
    run = Inference(net, torch.bfloat16)
    types = set()
    for block in run.net.blocks:
        block.register_forward_hook(lambda _, inputs, output: types.update((inputs[0].dtype, output.dtype)))
    with torch.no_grad():
        expected, actual = net(x), run(x)
        with torch.autocast("cpu", torch.bfloat16):
            trained = net(x).float()
    assert types == {torch.bfloat16}
    assert actual.dtype == run.features(x).dtype == torch.float32
    # weights and activations with 2⁻⁹, in ten blocks: what autocast rounds is rounded, too
    error, usual = ((other - expected).norm() / expected.norm() for other in (actual, trained))
    assert 2**-14 < error < 3 * max(usual, 2**-8)
    assert all(
        value.dtype == torch.float32 for value in net.state_dict().values() if value.is_floating_point()
    )


def test_sizes_that_occur_on_a_gpu_are_few_and_near():
    def size(count, most=512):
        return padded(count, most, torch.device("cuda"))

    assert [size(count) for count in (0, 1, 5, 9, 64, 65, 256, 310)] == [0, 1, 5, 10, 64, 80, 256, 320]
    assert size(310, 312) == 312
    assert len({size(count) for count in range(513)}) <= 4 * 9 + 1
    assert all(count <= size(count) <= 1.25 * count for count in range(4, 513))


def test_absent_people_that_are_computed_change_nothing(monkeypatch):
    """As on a GPU, where few sizes occur."""
    run, x = Inference(small("ctrgcn").double()), clips(dtype=torch.float64)
    expected = run(x)
    people = []
    run.net.blocks[0].register_forward_pre_hook(lambda _, inputs: people.append(inputs[0].shape[1]))
    monkeypatch.setattr(inference, "CACHE", 2**20)
    for count in (6, 8):
        monkeypatch.setattr(inference, "padded", lambda *_, count=count: count)
        torch.testing.assert_close(run(x), expected, rtol=1e-12, atol=0)
    assert people == [6, 8]


def test_weights_that_move_leave_nothing_behind():
    run, x = Inference(small("ctrgcn")), clips()
    run(x)
    run.double()
    torch.testing.assert_close(run(x.double()).float(), Inference(small("ctrgcn"))(x), rtol=1e-4, atol=1e-5)
    assert {key[1] for key in run._absent} == {torch.float64}


def test_features_are_those_of_the_network():
    net, x = small("infogcn").double(), clips(dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(Inference(net).features(x), net.features(x), rtol=1e-10, atol=1e-12)
