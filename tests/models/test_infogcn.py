"""InfoGCN against the reference's numbers, and against equations written out."""

import golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from lively import lively
from made_terms import batch, fam, frm
from networks import assert_same_with_gradients, drawn_with
from seeds import shifted

from mmcl.checkpoints import load_reference
from mmcl.colearn.learner import CoLearner, build_model
from mmcl.config import Config
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.models import build_backbone
from mmcl.models.inference import Inference
from mmcl.models.infogcn import AttentionGraphConv, Block, mode_matrix
from mmcl.settings.explain import ConfigError
from mmcl.settings.model import StreamModelSettings


def test_logits_equal_the_reference():
    state, x, arrays = golden.load("infogcn_k1_ntu120")
    net = build_backbone("infogcn", 120, k=1).eval()
    load_reference(net, state)
    with torch.no_grad():
        logits, features = net(x), net.features(x)
    expected = arrays["logits"]
    assert np.abs(logits.numpy() - expected).max() < 1e-4 * np.abs(expected).max()
    # with these weights two clips differ by a hundredth of that: the difference must be right as well
    found, difference = logits[1] - logits[0], expected[1] - expected[0]
    assert np.abs(found.numpy() - difference).max() < 1e-3 * np.abs(difference).max()
    assert features.shape == (2, net.feature_dim) == (2, 256)
    torch.testing.assert_close(net.classify(features), logits)


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "count"),
    [(120, "ntu25", 2, 1_572_227), (60, "ntu25", 2, 1_556_807), (10, "ucla20", 1, 1_533_722)],
)
def test_number_of_parameters(classes, layout, persons, count):
    net = build_backbone("infogcn", classes, layout=layout, persons=persons)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "channels", "width", "frames", "k"),
    [
        (4, "utd20", 1, 3, 0.25, 32, 1),
        (7, "ntu25", 3, 2, 0.125, 13, 8),
        (2, "sysu20", 2, 6, 0.25, 1, 3),
        (10, "ucla20", 1, 3, 0.25, 52, 2),
    ],
)
def test_any_shape(classes, layout, persons, channels, width, frames, k):
    net = build_backbone("infogcn", classes, layout, persons, "natural", channels, width, k=k).eval()
    joints = len(get_layout(layout))
    x = torch.randn(3, channels, frames, joints, persons)
    assert net(x).shape == (3, classes)
    assert net.features(x).shape == (3, net.feature_dim) == (3, 256 * width)
    torch.testing.assert_close(net.blocks[0].spatial.topology, torch.eye(joints).expand(3, -1, -1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"graph": "hd21"}, "takes graph natural, not hd21"),
        ({"width": 0.2}, "multiple of 8"),
        ({"k": 0}, "k: 0 is less than the minimum of 1"),
        ({"noise": -0.1}, "noise: -0.1 is less than the minimum of 0"),
        ({"K": 1, "k": 1}, "infogcn: K: unknown key; allowed here: k, noise"),
    ],
)
def test_what_cannot_be_built(wrong, message):
    with pytest.raises(UserError, match=message):
        build_backbone("infogcn", 4, **wrong)


def test_options_are_for_those_who_have_them():
    with pytest.raises(UserError, match="ctrgcn: k: unknown key; there are no such settings"):
        build_backbone("ctrgcn", 4, k=1)


def test_first_mode_of_ntu_is_the_releases():
    """The release's edges, parent → child, numbered from one."""
    edges = (
        (2, 1), (2, 21), (21, 3), (3, 4), (21, 5), (5, 6), (6, 7), (7, 8), (8, 23), (23, 22), (21, 9), (9, 10),
        (10, 11), (11, 12), (12, 25), (25, 24), (1, 13), (13, 14), (14, 15), (15, 16), (1, 17), (17, 18),
        (18, 19), (19, 20),
    )  # fmt: skip
    above = torch.zeros(25, 25)
    for parent, child in edges:
        above[child - 1, parent - 1] = 1
    for k in range(1, 9):
        expected = torch.eye(25) - torch.linalg.matrix_power(above, k)
        torch.testing.assert_close(mode_matrix("ntu25", k), expected, rtol=0, atol=0)
    assert not above.matrix_power(8).any()


@pytest.mark.parametrize("name", ["utd20", "ucla20", "sysu20"])
def test_modes_of_other_layouts_hang_from_the_same_joint(name):
    skeleton = get_layout(name)
    hand, elbow = skeleton.index("hand_left"), skeleton.index("elbow_left")
    second = mode_matrix(name, 2)
    assert second[hand].nonzero().flatten().tolist() == sorted([hand, elbow])
    assert (second[hand, hand], second[hand, elbow]) == (1, -1)
    near = {skeleton.index(joint) for joint in ("spine_mid", "spine_shoulder", "spine_base")}
    untouched = (second == torch.eye(20)).all(1).nonzero().flatten().tolist()
    assert set(untouched) == near
    torch.testing.assert_close(mode_matrix(name, 8), torch.eye(20))


def test_initial_weights():
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 120)
    block, skip = net.blocks[-1], net.blocks[6].skip
    spatial, temporal = block.spatial, block.temporal
    assert spatial.norm.weight.unique().tolist() == pytest.approx([1e-6])
    spread = {
        spatial.query_key.weight: 1,
        spatial.weight: (2 / (256 * 256 * 3)) ** 0.5,
        net.blocks[6].spatial.down[0].weight: (2 / 256) ** 0.5,
        skip[0].weight: (2 / 256) ** 0.5,
        temporal.reduce.weight: 256**-0.5 / 3**0.5,  # PyTorch's defaults
        temporal.reduce.bias: 256**-0.5 / 3**0.5,
        temporal.convs[1].weight: (64 * 5) ** -0.5 / 3**0.5,
        temporal.convs[1].bias: (64 * 5) ** -0.5 / 3**0.5,
        net.embedding.weight: 3**-0.5 / 3**0.5,
        net.position: 1,
        net.fc.weight: (2 * 2 / 512) ** 0.5,
        net.mean.weight: (2 * 2 / 512) ** 0.5,
        net.log_variance.weight: (2 * 2 / 512) ** 0.5,
        net.head.weight: (2 / 120) ** 0.5,
    }
    for weight, expected in spread.items():
        assert weight.std().item() == drawn_with(expected, weight.numel())
    for norm in (temporal.norm, temporal.reduce_norm, skip[1], net.input_norm):
        assert (norm.weight == 1).all()
        assert not norm.bias.any()
    assert not spatial.bias.any()


def normalise(y, norm):
    """Batch normalisation of (C, N, …) by batch statistics."""
    y = y.transpose(0, 1)
    return F.batch_norm(y, None, None, norm.weight, norm.bias, training=True).transpose(0, 1)


def attention_conv(unit, x):
    """SA-GC frame by frame and head by head, x (C, N, V, T)."""
    heads, dim = 3, x.shape[0] // 8
    mean, var = x.mean(0), x.var(0, unbiased=False)
    gain, shift = (part[:, None, None, None] for part in (unit.inner_norm.weight, unit.inner_norm.bias))
    normed = (x - mean) / (var + 1e-5).sqrt() * gain + shift
    qk = torch.einsum("oc,cnvt->onvt", unit.query_key.weight, normed)
    qk = qk + unit.query_key.bias[:, None, None, None]
    z = 0
    for head in range(heads):
        q = qk[head * dim : (head + 1) * dim]
        k = qk[(heads + head) * dim : (heads + head + 1) * dim]
        attention = (torch.einsum("dnut,dnvt->nutv", q, k) / dim**0.5).softmax(-1)
        graph = attention * unit.topology[head][:, None]
        seen = torch.einsum("nutv,cnvt->cnut", graph, x)
        z = z + torch.einsum("oc,cnvt->onvt", unit.weight[head], seen)
        z = z + unit.bias[head][:, None, None, None]
    conv, norm = unit.down
    down = torch.einsum("oc,cnvt->onvt", conv.weight, x) + conv.bias[:, None, None, None]
    return F.relu(normalise(z, unit.norm) + normalise(down, norm))


def test_graph_convolution_as_written_with_gradients():
    torch.manual_seed(shifted(0))
    unit = AttentionGraphConv(16, 6, 20).double()
    for p in unit.parameters():
        torch.nn.init.normal_(p, 0, 0.5)
    x = torch.randn(16, 3, 20, 5, dtype=torch.float64, requires_grad=True)
    assert_same_with_gradients(unit(x), attention_conv(unit, x), [x, *unit.parameters()])


def test_block_as_written():
    """ReLU after the temporal convolution and after the skip path."""
    torch.manual_seed(shifted(0))
    block = Block(16, 32, 2, 20).double()
    torch.nn.init.normal_(block.spatial.norm.weight)
    x = torch.randn(16, 3, 20, 7, dtype=torch.float64)
    inner = F.relu(block.temporal(attention_conv(block.spatial, x)))
    conv, norm = block.skip
    skip = torch.einsum("oc,cnvt->onvt", conv.weight, x[..., ::2]) + conv.bias[:, None, None, None]
    torch.testing.assert_close(block(x), F.relu(inner + normalise(skip, norm)))


def test_stem_as_written():
    """(I − A²) x, embedded, with positions, normalised for every person, joint and channel."""
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 3, "utd20", 2, width=0.125, k=2).double()
    for p in (net.input_norm.weight, net.input_norm.bias, net.input_norm.running_mean):
        torch.nn.init.normal_(p)
    x = torch.randn(4, 3, 5, 20, 2, dtype=torch.float64)
    seen = torch.einsum("uv,nctvm->nctum", mode_matrix("utd20", 2).double(), x)
    y = torch.einsum("oc,nctvm->nmvot", net.embedding.weight, seen) + net.embedding.bias[:, None]
    y = (y + net.position[0, ..., None]).flatten(1, 3)  # (N, M·V·8, T)
    weights = (net.input_norm.weight, net.input_norm.bias)
    for training in (True, False):
        net.train(training)
        running = (net.input_norm.running_mean.clone(), net.input_norm.running_var.clone())
        expected = F.batch_norm(y, *running, *weights, training=training).view(4, 2, 20, 8, 5)
        expected = expected.permute(3, 0, 1, 2, 4).flatten(1, 2)
        torch.testing.assert_close(net.stem(x), expected)
    people, slots = x.permute(0, 4, 1, 2, 3).flatten(0, 1), torch.tensor([0, 1]).repeat(4)
    torch.testing.assert_close(net.stem_of(people, slots), expected)


def test_plain_joints_unless_a_mode_is_asked_for():
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 3, "utd20", 1, width=0.125).eval()
    x = torch.randn(2, 3, 8, 20, 1)
    state = net.state_dict()
    for k, same in ((8, True), (7, True), (1, False)):
        other = build_backbone("infogcn", 3, "utd20", 1, width=0.125, k=k).eval()
        other.load_state_dict(state)
        assert torch.equal(other.stem(x), net.stem(x)) == same


def test_features_are_samples_in_training_and_means_in_evaluation():
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 3, "utd20", 2, width=0.25, noise=0.3)
    people = torch.randn(5, 2, 64)
    hidden = F.relu(net.fc(people.mean(1)))
    mean, log_variance = net.mean(hidden), net.log_variance(hidden)
    torch.manual_seed(shifted(7))
    sampled = net.merge(people)
    torch.manual_seed(shifted(7))
    noise = torch.randn(5, 64)
    torch.testing.assert_close(sampled, mean + noise * (0.3 * log_variance).exp())
    assert not torch.allclose(net.merge(people), sampled)
    torch.testing.assert_close(net.eval().merge(people), mean)
    torch.nn.init.constant_(net.train().log_variance.bias, 50.0)
    torch.manual_seed(shifted(7))
    torch.testing.assert_close(net.merge(people), mean + 100 * noise)


def test_prior_is_orthogonal_and_always_the_same():
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 12, "utd20", 1, width=0.25)
    torch.manual_seed(shifted(1))
    other = build_backbone("infogcn", 12, "utd20", 1, width=0.25)
    torch.testing.assert_close(net.prior, other.prior, rtol=0, atol=0)
    torch.testing.assert_close(net.prior @ net.prior.T, 9 * torch.eye(12), atol=1e-4, rtol=0)
    assert not any("prior" in name or "mode" in name for name in net.state_dict())
    many = build_backbone("infogcn", 100, "utd20", 1, width=0.25)  # more classes than dimensions
    torch.testing.assert_close(many.prior.T @ many.prior, 9 * torch.eye(64), atol=1e-4, rtol=0)


def test_auxiliary_loss_as_written_with_gradients():
    torch.manual_seed(shifted(0))
    net = build_backbone("infogcn", 6, "utd20", 1, width=0.125).double()
    z = torch.randn(7, 32, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 4, 4, 2, 0, 4, 5])  # classes 1 and 3 are not there
    distances = [((z[labels == c].mean(0) - net.prior[c]) ** 2).mean() for c in (0, 2, 4, 5)]
    expected = 0.1 * sum(distances) / 4 + 1e-4 * z.mean(0).square().sum().sqrt()
    assert_same_with_gradients(net.auxiliary_loss(z, labels), expected, [z])
    with torch.autocast("cpu", torch.bfloat16):
        single = net.float().auxiliary_loss(z.detach().float(), labels)
    assert single.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_step_of_co_learning():
    torch.manual_seed(shifted(0))
    backbone = build_backbone("infogcn", 5, "utd20", 2, width=0.125)
    net = CoLearner(backbone, [fam(12, backbone.feature_dim, hidden=16), frm(5, 6)], 0.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    x, labels = torch.randn(6, 3, 8, 20, 2), torch.tensor([0, 1, 2, 3, 4, 0])
    there = torch.tensor([True, True, True, True, False, True])
    losses = []
    for _ in range(20):
        step = net.losses(batch(x, labels, torch.randn(6, 12), there, torch.randn(6, 6), there))
        losses.append({"total": step.total, **step.terms})
        optimizer.zero_grad()
        step.total.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
    first, last = losses[0], losses[-1]
    expected = first["cls"] + 0.1 * first["fam"] + 0.2 * first["frm"] + first["aux"]
    torch.testing.assert_close(first["total"], expected)
    assert min(first["fam"], first["frm"], first["aux"]) > 0
    assert last["cls"] < 0.8 * first["cls"]
    assert last["aux"] < 0.8 * first["aux"]


def test_half_precision():
    torch.manual_seed(shifted(0))
    x = torch.randn(4, 3, 16, 20, 1)
    net = lively(build_backbone("infogcn", 5, "utd20", 1, width=0.25), x)
    for block in net.blocks:  # as drawn, scores are so large that a softmax picks one joint by the last digit
        torch.nn.init.normal_(block.spatial.query_key.weight, 0, 0.1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half, stem = net(x).float(), net.stem(x)
    with torch.no_grad():
        exact = net(x)
        torch.testing.assert_close(stem, net.stem(x))  # positions keep their digits
    assert (half - exact).abs().max() < 0.05 * exact.abs().max()


def test_inference_is_the_same_network():
    torch.manual_seed(shifted(0))
    x = torch.randn(4, 3, 12, 20, 2)
    net = lively(build_backbone("infogcn", 5, "utd20", 2, width=0.25, k=2), x).double()
    x = x.double()
    x[1:, ..., 1] = 0  # nobody
    with torch.no_grad():
        expected = net(x)
    assert (Inference(net)(x) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_options_reach_the_network_they_are_for(project):
    raw = yaml.safe_load((project / "config.yaml").read_text())
    members = [{"stream": "joint"}, {"stream": "joint", "backbone": "infogcn"}]
    raw["benchmarks"]["ntu60_xsub"] |= {"ensemble": {"members": members}}
    raw["benchmarks"]["ntu60_xsub"]["model"] = {"options": {"infogcn": {"k": 1}}}
    settings = Config(raw).benchmark("ntu60_xsub").model
    assert settings.own_options("ctrgcn") == {}
    own = settings.own_options("infogcn")
    assert own["infogcn"].dump() == {"k": 1}
    off = {"enabled": False}
    small = {"backbone": "infogcn", "width": 0.125, "options": own, "fam": off, "frm": off}
    small = StreamModelSettings.model_validate(StreamModelSettings.model_validate(small).dump())
    net = build_model(
        small, num_classes=3, layout="utd20", persons=1, shapes={}, label_smoothing=0.0
    ).backbone
    torch.testing.assert_close(net.mode, mode_matrix("utd20", 1))
    assert net.noise == 0.5
    raw["benchmarks"]["ntu60_xsub"]["model"] = {"options": {"infogcn": {"modes": 1}}}
    with pytest.raises(ConfigError, match=r"options\.infogcn\.modes: unknown key; allowed here: k, noise"):
        Config(raw)
