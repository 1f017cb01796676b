"""ST-GCN against the reference's numbers, and against equations written out."""

import golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lively import lively
from networks import assert_same_with_gradients, drawn_with
from seeds import shifted

from mmcl.checkpoints import load_reference, reference_state
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.models import build_backbone
from mmcl.models.graphs import spatial_partition
from mmcl.models.stgcn import Block, PartitionConv


def test_logits_and_features_equal_the_reference():
    state, x, arrays = golden.load("stgcn16_ikem_ntu60")
    net = build_backbone("stgcn16", 60).eval()
    load_reference(net, state)
    with torch.no_grad():
        found = {"logits": net(x).numpy(), "features": net.features(x).numpy()}
    for name, value in found.items():
        assert value.shape == arrays[name].shape
        assert np.abs(value - arrays[name]).max() < 1e-4 * np.abs(arrays[name]).max()
        # with these weights two clips differ by 5e-5 of that: the difference must be right as well
        expected = arrays[name][1] - arrays[name][0]
        assert np.abs(value[1] - value[0] - expected).max() < 0.05 * np.abs(expected).max()


def test_graph_equals_the_reference():
    arrays = golden.load("stgcn16_ikem_ntu60")[2]
    found = spatial_partition("ntu25")
    torch.testing.assert_close(found, torch.from_numpy(arrays["adjacency"]), rtol=0, atol=0)
    assert found.count_nonzero((1, 2)).tolist() == [25, 40, 8]


@pytest.mark.parametrize("name", ["utd20", "ucla20", "sysu20"])
def test_graph_of_other_layouts_by_the_same_rule(name):
    skeleton, graphs = get_layout(name), spatial_partition(name)
    near = {(a, b) for edge in skeleton.edges for a, b in (edge, edge[::-1])}
    assert {tuple(edge) for edge in graphs[1:].sum(0).nonzero().tolist()} == near
    torch.testing.assert_close(graphs.sum((0, 1)), torch.ones(20))
    first = {child for child, parent in skeleton.edges if parent == skeleton.root}
    outwards = {(skeleton.root, joint) for joint in first}
    outwards |= {(parent, child) for child, parent in skeleton.edges if parent in first}
    assert {tuple(edge) for edge in graphs[2].nonzero().tolist()} == outwards


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [("stgcn16", 60, 836_800), ("stgcn", 60, 3_098_832), ("stgcn", 400, 3_186_212)],
)
def test_number_of_parameters(name, classes, count):
    net = build_backbone(name, classes)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("name", "classes", "layout", "persons", "channels", "width", "frames"),
    [
        ("stgcn", 4, "utd20", 1, 3, 0.25, 32),
        ("stgcn", 7, "ntu25", 3, 2, 0.125, 13),
        ("stgcn16", 2, "sysu20", 2, 6, 0.25, 1),
        ("stgcn16", 3, "ucla20", 1, 3, 1, 6),
    ],
)
def test_any_shape(name, classes, layout, persons, channels, width, frames):
    torch.manual_seed(shifted(0))
    x = torch.randn(3, channels, frames, 20 if "20" in layout else 25, persons)
    net = lively(build_backbone(name, classes, layout, persons, "natural", channels, width), x)
    assert net(x).shape == (3, classes)
    assert net.features(x).shape == (3, net.feature_dim) == (3, 256 * width)
    people = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    one_by_one = net.trunk(net.stem_of(people, torch.arange(persons).repeat(3)))
    torch.testing.assert_close(net.merge(one_by_one.unflatten(0, (3, persons))), net.features(x))


def test_people_share_the_statistics_of_the_input():
    net = build_backbone("stgcn16", 3, "utd20", width=0.25)
    x = torch.randn(4, 3, 6, 20, 2)
    net(x)
    expected = x.permute(3, 1, 0, 2, 4).flatten(2).mean(-1).flatten()  # over clips, frames and people
    torch.testing.assert_close(net.input_norm.running_mean, 0.1 * expected)


def test_what_it_cannot_be():
    with pytest.raises(UserError, match="takes natural only"):
        build_backbone("stgcn", 4, graph="hd21")
    with pytest.raises(UserError, match="16 · width must be a positive whole number"):
        build_backbone("stgcn16", 4, width=0.1)


def test_initial_weights():
    torch.manual_seed(shifted(0))
    net = build_backbone("stgcn", 60)
    block = net.blocks[7]
    for weight in (block.spatial.weight, block.temporal.weight, block.skip[0].weight, net.head.weight):
        assert weight.std().item() == drawn_with(0.02, weight.numel())
        assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    for norm in (net.input_norm, block.spatial_norm, block.temporal_norm, block.skip[1]):
        assert norm.weight.std().item() == drawn_with(0.02, norm.weight.numel())
        assert norm.weight.mean().item() == pytest.approx(1, abs=5 * 0.02 / norm.weight.numel() ** 0.5)
    assert not any(p.any() for name, p in net.named_parameters() if name.endswith("bias"))
    assert all(block.spatial.importance.unique().tolist() == [1] for block in net.blocks)


def test_dropout_in_all_blocks_but_the_first():
    net = build_backbone("stgcn16", 3)
    assert [block.dropout.p for block in net.blocks] == [0] + 9 * [0.5]
    block = Block(4, 4, 1, spatial_partition("utd20"), first=False)
    torch.nn.init.ones_(block.temporal_norm.bias)
    for parameter in (block.spatial.weight, block.spatial.bias, block.temporal.weight, block.temporal.bias):
        torch.nn.init.zeros_(parameter)
    out = block(torch.zeros(4, 20, 5, 8))  # dropout sees ones, the skip path adds nothing
    assert out.unique().tolist() == [0, 2]
    assert (out == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_graph_convolution_as_written_with_gradients():
    torch.manual_seed(shifted(0))
    unit = PartitionConv(4, 6, spatial_partition("utd20")).double()
    for p in unit.parameters():
        torch.nn.init.normal_(p, 0, 0.5)
    x = torch.randn(4, 20, 3, 7, dtype=torch.float64, requires_grad=True)  # (C, V, N, T)
    expected = 0
    for k in range(3):
        y = torch.einsum("oc,cvnt->ovnt", unit.weight[k], x) + unit.bias[k][:, None, None, None]
        expected = expected + torch.einsum("ovnt,vw->ownt", y, unit.graph[k] * unit.importance[k])
    inputs = [x, *(p for p in unit.parameters())]
    assert_same_with_gradients(unit(x), expected, inputs)


def test_a_block_as_written():
    """The network's second half of a block, in evaluation mode with a stride, in float64."""
    torch.manual_seed(shifted(0))
    block = Block(4, 6, 2, spatial_partition("utd20"), first=False).double().eval()
    for name, value in block.state_dict().items():
        if "num_batches" not in name:
            value.copy_(torch.rand_like(value) + (0.5 if "running_var" in name else -0.5))
    x = torch.randn(4, 20, 3, 7, dtype=torch.float64)

    def norm(y, module):  # y (N, C, …)
        return F.batch_norm(y, module.running_mean, module.running_var, module.weight, module.bias)

    y = block.spatial(x).permute(2, 0, 3, 1)  # (N, C, T, V)
    y = F.relu(norm(y, block.spatial_norm))
    y = norm(F.conv2d(y, block.temporal.weight.mT, block.temporal.bias, (2, 1), (4, 0)), block.temporal_norm)
    conv, scale = block.skip
    skip = norm(F.conv2d(x.permute(2, 0, 3, 1), conv.weight[..., None, None], conv.bias, (2, 1)), scale)
    torch.testing.assert_close(block(x), F.relu(y + skip).permute(1, 3, 0, 2))


def test_the_network_as_written():
    """In float64 with the batch's statistics, (N, C, T, V) throughout, against the method's description."""
    torch.manual_seed(shifted(0))
    net = build_backbone("stgcn16", 3, "utd20", 2, width=0.25).double()
    for block in net.blocks:
        block.dropout.p = 0
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.5, 0.5)
    own = reference_state(net)

    def norm(y, name):
        return F.batch_norm(y, None, None, own[f"{name}.weight"], own[f"{name}.bias"], training=True)

    def conv(y, name, stride=1):
        frames = own[f"{name}.weight"].shape[2]
        return F.conv2d(y, own[f"{name}.weight"], own[f"{name}.bias"], (stride, 1), (frames // 2, 0))

    x = torch.randn(3, 3, 11, 20, 2, dtype=torch.float64)
    y = x.permute(0, 4, 3, 1, 2).reshape(6, 60, 11)  # (N·M, V·C, T)
    y = norm(y, "data_bn").view(6, 20, 3, 11).permute(0, 2, 3, 1)
    for i, stride in enumerate([1, 1, 1, 1, 2, 1, 1, 2, 1, 1]):
        name = f"st_gcn_networks.{i}"
        z = conv(y, f"{name}.gcn.conv").unflatten(1, (3, -1))
        z = torch.einsum("nkctv,kvw->nctw", z, own["A"] * own[f"edge_importance.{i}"])
        z = F.relu(norm(z, f"{name}.tcn.0"))
        z = norm(conv(z, f"{name}.tcn.2", stride), f"{name}.tcn.3")
        if i in (4, 7, 9):
            z = z + norm(conv(y, f"{name}.residual.0", stride), f"{name}.residual.1")
        elif i > 0:
            z = z + y
        y = F.relu(z)
    features = y.mean((2, 3)).view(3, 2, -1).mean(1)
    expected = features @ own["fc.weight"].T + own["fc.bias"]
    assert expected.std(0).mean() > 0.01 * expected.abs().max()
    torch.testing.assert_close(net(x), expected)
