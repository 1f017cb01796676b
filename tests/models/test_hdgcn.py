"""HD-GCN against the reference's numbers, and against equations written out."""

import golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import assert_same_with_gradients, drawn_with
from seeds import shifted

from mmcl.checkpoints import load_reference
from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.models.graphs import hierarchical
from mmcl.models.hdgcn import HierarchicalGraphConv
from mmcl.models.inference import folded


def test_logits_equal_the_reference():
    state, x, arrays = golden.load("hdgcn_com1_ntu120")
    net = build_backbone("hdgcn", 120, graph="hd1").eval()
    aliases = net.reference_aliases()
    assert len(state) == 3017
    assert len(aliases) == 270
    assert aliases["l2.gcn1.conv_d.3.conv.0.weight"] == "l2.gcn1.conv.5.3.conv.0.weight"
    load_reference(net, state)
    with torch.no_grad():
        logits, features = net(x), net.features(x)
    scale = np.abs(arrays["logits"]).max()
    assert np.abs(logits.numpy() - arrays["logits"]).max() < 1e-4 * scale
    assert features.shape == (2, net.feature_dim) == (2, 256)


@pytest.mark.parametrize(("classes", "count"), [(120, 1_675_400), (60, 1_659_980)])
def test_number_of_parameters(classes, count):
    net = build_backbone("hdgcn", classes, graph="hd21")
    assert sum(p.numel() for p in net.parameters()) == count


def test_graph_equals_the_reference():
    _, _, arrays = golden.load("hdgcn_com1_ntu120")
    net = build_backbone("hdgcn", 4, graph="hd1", width=0.25)
    for block in net.blocks:
        assert (block.spatial.graph.detach().numpy() == arrays["adjacency"]).all()
    assert not [name for name in net.state_dict() if "joints" in name]


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "graph", "channels", "width", "frames", "layers"),
    [
        (4, "utd20", 1, "hd21", 3, 0.25, 32, 6),
        (7, "ntu25", 3, "hd2", 2, 0.0625, 13, 6),
        (2, "sysu20", 2, "hd1", 6, 0.25, 1, 6),
        (10, "ucla20", 1, "hd2", 3, 0.125, 52, 5),
    ],
)
def test_any_shape(classes, layout, persons, graph, channels, width, frames, layers):
    net = build_backbone("hdgcn", classes, layout, persons, graph, channels, width).eval()
    x = torch.randn(3, channels, frames, 20 if "20" in layout else 25, persons)
    assert net(x).shape == (3, classes)
    assert net.features(x).shape == (3, net.feature_dim) == (3, 256 * width)
    assert net.blocks[0].spatial.graph.shape[0] == layers
    torch.testing.assert_close(net.blocks[0].spatial.graph, hierarchical(layout, graph))


def test_unsuitable_graph_and_width_are_errors():
    with pytest.raises(UserError, match="needs graph hd1, hd2 or hd21"):
        build_backbone("hdgcn", 4)
    with pytest.raises(UserError, match="multiple of 4"):
        build_backbone("hdgcn", 4, graph="hd1", width=0.2)


def test_initial_weights():
    torch.manual_seed(shifted(0))
    net = build_backbone("hdgcn", 120, graph="hd2")
    first, block = net.blocks[0].spatial, net.blocks[-1].spatial
    assert first.attention is None
    assert block.norm.weight.unique().tolist() == pytest.approx([1e-6])
    spread = {  # He initialisation by what goes out of each of the fused convolutions
        block.reduce.weight: (2 / 64) ** 0.5,
        block.weight: (2 / 64) ** 0.5,
        block.edges.weight: (2 / 64) ** 0.5,
        block.attention.reduce.weight: (2 / 64) ** 0.5,
        block.attention.edges.weight: (2 / 64) ** 0.5,
        block.attention.expand.weight: 1 / 64**0.5 / 3**0.5,  # PyTorch's default
        first.down[0].weight: (2 / 64) ** 0.5,
        net.blocks[4].skip[0].weight: (2 / 128) ** 0.5,
        net.head.weight: (2 / 120) ** 0.5,
    }
    for weight, expected in spread.items():
        assert weight.std().item() == drawn_with(expected, weight.numel())
    for norm in (block.reduce_norm, block.subset_norm, block.edges.norm, block.attention.reduce_norm):
        assert (norm.weight == 1).all()
    defaults = ("head.bias", "expand.bias")
    assert all(
        not b.any()
        for name, b in net.named_parameters()
        if name.endswith("bias") and not name.endswith(defaults)
    )


def normalise(y, norm, part=slice(None)):
    """Batch normalisation of (C, N, …) by batch statistics, with some of the weights of `norm`."""
    y = y.transpose(0, 1)
    return F.batch_norm(y, None, None, norm.weight[part], norm.bias[part], training=True).transpose(0, 1)


def edge_conv(x, weight, norm, part, neighbours):
    """W · [x_j − x_i; x_i] pair by pair, x (C, N, V)."""
    distance = (x[:, :, :, None] - x[:, :, None, :]).square().sum(0)  # (N, i, j)
    nearest = distance.argsort(-1)[..., :neighbours]
    other = torch.stack([x[:, n, nearest[n]] for n in range(x.shape[1])], dim=1)  # (C, N, V, k)
    own = x[..., None].expand_as(other)
    pairs = torch.einsum("oc,cnvk->onvk", weight, torch.cat([other - own, own]))
    return F.leaky_relu(normalise(pairs, norm, part), 0.2).amax(-1)


@pytest.mark.parametrize("attention", [True, False])
def test_graph_convolution_as_written_with_gradients(attention):
    """Section 3 in float64: layer by layer, subset by subset, pair by pair."""
    torch.manual_seed(shifted(0))
    layers, quarter = 6, 2
    matrix = hierarchical("utd20", "hd21")
    unit = HierarchicalGraphConv(4, 4 * quarter, matrix, attention).double()
    for p in unit.parameters():
        torch.nn.init.normal_(p, 0, 0.5)
    if attention:
        unit.attention.joints /= unit.attention.joints.sum(1, keepdim=True)  # thirds in double precision
    x = torch.randn(4, 5, 20, 7, dtype=torch.float64, requires_grad=True)  # (C, N, V, T)

    parts = []
    for layer in range(layers):
        rows = slice(layer * quarter, (layer + 1) * quarter)
        d = torch.einsum("oc,cnvt->onvt", unit.reduce.weight[rows], x)
        d = F.relu(normalise(d + unit.reduce.bias[rows, None, None, None], unit.reduce_norm, rows))
        own = []
        for subset in range(3):
            rows = slice(subset * quarter, (subset + 1) * quarter)
            z = torch.einsum("uv,cnvt->cnut", unit.graph[layer, subset], d)
            z = torch.einsum("oc,cnvt->onvt", unit.weight[layer, rows], z)
            z = z + unit.bias[layer, rows, None, None, None]
            start = (3 * layer + subset) * quarter
            own.append(normalise(z, unit.subset_norm, slice(start, start + quarter)))
        rows = slice(layer * quarter, (layer + 1) * quarter)
        still = edge_conv(d.mean(-1), unit.edges.weight[layer], unit.edges.norm, rows, neighbours=5)
        parts.append(torch.cat([*own, still[..., None].expand_as(z)]))
    stack = torch.stack(parts)  # (L, O, N, V, T)
    if attention:
        aha = unit.attention
        peaks = torch.einsum("oc,lcnv->lonv", aha.reduce.weight, stack.amax(-1))
        peaks = (peaks + aha.reduce.bias[:, None, None]).permute(1, 2, 0, 3)  # (O/4, N, L, V)
        reduced = F.relu(normalise(peaks, aha.reduce_norm))
        groups = [matrix[layer, 0].diagonal().nonzero().flatten() for layer in range(layers)]
        nodes = torch.stack([reduced[:, :, n, group].mean(-1) for n, group in enumerate(groups)], dim=-1)
        related = edge_conv(nodes, aha.edges.weight[0], aha.edges.norm, slice(None), neighbours=3)
        weights = torch.einsum("oc,cnl->lon", aha.expand.weight, related) + aha.expand.bias[:, None]
        stack = stack * weights.sigmoid()[..., None, None]
    expected = F.relu(normalise(stack.sum(0), unit.norm) + normalised_down(unit, x))

    inputs = [x, *unit.parameters()]
    assert_same_with_gradients(unit(x), expected, inputs)


def normalised_down(unit, x):
    conv, norm = unit.down
    return normalise(torch.einsum("oc,cnvt->onvt", conv.weight, x) + conv.bias[:, None, None, None], norm)


def randomised(net):
    """Weights and statistics that hide nothing."""
    for name, value in net.state_dict().items():
        if "running_var" in name or "norm.weight" in name:
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.normal_(0, 0.1)
        elif value.dim() > 1 and not name.endswith("graph"):
            value.normal_(0, value[0].numel() ** -0.5)
    return net


def test_half_precision():
    torch.manual_seed(shifted(0))
    net = randomised(build_backbone("hdgcn", 5, "utd20", 1, "hd21", width=0.25))
    x = torch.randn(2, 3, 16, 20, 1)
    with torch.no_grad():
        exact = net.eval()(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x).float()
    assert (half - exact).abs().max() < 0.1 * exact.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        loss = net.train()(x).float().square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("graph", ["hd1", "hd2"])
def test_folded_is_the_same_function(graph):
    torch.manual_seed(shifted(0))
    net = randomised(build_backbone("hdgcn", 5, "utd20", 2, graph, width=0.125)).eval()
    x = torch.randn(3, 3, 16, 20, 2)
    with torch.no_grad():
        expected, actual = net(x), folded(net)(x)
    assert (actual - expected).abs().max() < 1e-4 * expected.abs().max()
    norms = [m for m in folded(net).blocks[1].spatial.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert not norms


@pytest.mark.parametrize("fold", [False, True])
def test_exports_for_any_number_of_people(fold):
    torch.manual_seed(shifted(0))
    unit = randomised(HierarchicalGraphConv(4, 8, hierarchical("utd20", "hd21"), attention=True)).eval()
    net = torch.nn.Sequential(unit.folded() if fold else unit)
    people = torch.export.Dim("people", min=1, max=64)
    program = torch.export.export(net, (torch.randn(4, 3, 20, 7),), dynamic_shapes=({1: people},))
    x = torch.randn(4, 5, 20, 7)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), net(x))
