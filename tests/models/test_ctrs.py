"""CTRS-GCN against the reference's numbers, and against equations written out."""

import golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lively import lively
from networks import assert_same_with_gradients, drawn_with
from seeds import shifted

from mmcl.checkpoints import load_reference
from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.models.ctrs import AdaptiveGraphConv


def test_logits_equal_the_reference():
    state, x, arrays = golden.load("ctr_baseline_ntu120")
    net = build_backbone("ctrs", 120).eval()
    load_reference(net, state)
    with torch.no_grad():
        logits, features = net(x), net.features(x)
    scale = np.abs(arrays["logits"]).max()
    assert np.abs(logits.numpy() - arrays["logits"]).max() < 1e-4 * scale
    assert features.shape == (2, net.feature_dim) == (2, 256)


def test_graphs_start_as_the_reference_whatever_the_skeleton():
    arrays = golden.load("ctr_baseline_ntu120")[2]
    graph = build_backbone("ctrs", 4).blocks[3].spatial.graph
    torch.testing.assert_close(graph.data, torch.from_numpy(arrays["adjacency"]), rtol=0, atol=0)
    assert torch.equal(build_backbone("ctrs", 4, "utd20").blocks[0].spatial.graph[2], torch.eye(20))


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "count"),
    [(120, "ntu25", 2, 2_108_322), (60, "ntu25", 2, 2_092_902), (10, "ucla20", 1, 2_073_122)],
)
def test_number_of_parameters(classes, layout, persons, count):
    net = build_backbone("ctrs", classes, layout=layout, persons=persons)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "channels", "width", "frames"),
    [
        (4, "utd20", 1, 3, 0.25, 32),
        (7, "ntu25", 3, 2, 0.125, 13),
        (2, "sysu20", 2, 6, 0.25, 1),
        (3, "ucla20", 1, 3, 3 / 64, 6),
    ],
)
def test_any_shape(classes, layout, persons, channels, width, frames):
    torch.manual_seed(shifted(0))
    x = torch.randn(3, channels, frames, 20 if "20" in layout else 25, persons)
    net = lively(build_backbone("ctrs", classes, layout, persons, "natural", channels, width), x)
    assert net(x).shape == (3, classes)
    assert net.features(x).shape == (3, net.feature_dim) == (3, 256 * width)
    people = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
    slot = torch.arange(persons).repeat(3)
    one_by_one = net.trunk(net.stem_of(people, slot)).unflatten(0, (3, persons))
    torch.testing.assert_close(net.merge(one_by_one), net.features(x))


def test_what_it_cannot_be():
    with pytest.raises(UserError, match="takes natural only"):
        build_backbone("ctrs", 4, graph="hd21")
    with pytest.raises(UserError, match="positive whole number"):
        build_backbone("ctrs", 4, width=0.01)


def test_initial_weights():
    torch.manual_seed(shifted(0))
    net = build_backbone("ctrs", 120)
    block = net.blocks[7]
    spread = {
        block.spatial.weight: (2 / (3 * 256 * 128)) ** 0.5,
        block.temporal.weight: (2 / (256 * 5)) ** 0.5,
        block.spatial.down[0].weight: (2 / 256) ** 0.5,
        block.skip[0].weight: (2 / 256) ** 0.5,
        net.head.weight: (2 / 120) ** 0.5,
    }
    for weight, expected in spread.items():
        assert weight.std().item() == drawn_with(expected, weight.numel())
    assert block.spatial.norm.weight.unique().tolist() == pytest.approx([1e-6])
    assert block.norm.weight.unique().tolist() == [1]
    assert all(
        not b.any() for name, b in net.named_parameters() if name.endswith("bias") and "head" not in name
    )


def test_graph_convolution_as_written_with_gradients():
    """In float64, subset by subset."""
    torch.manual_seed(shifted(0))
    unit = AdaptiveGraphConv(4, 6, 5).double()
    for p in unit.parameters():
        torch.nn.init.normal_(p, 0, 0.5)
    x = torch.randn(4, 5, 3, 7, dtype=torch.float64, requires_grad=True)  # (C, V, N, T)

    z = 0
    for k in range(3):
        length = unit.graph[k].pow(2).sum(0).sqrt()  # of each column
        graph = unit.graph[k] / (length + 1e-4)
        gathered = torch.einsum("cvnt,vw->cwnt", x, graph)
        z = z + torch.einsum("oc,cwnt->ownt", unit.weight[k], gathered)
        z = z + unit.bias[k][:, None, None, None]

    def normalise(y, norm):
        y = y.transpose(0, 1)
        return F.batch_norm(y, None, None, norm.weight, norm.bias, training=True).transpose(0, 1)

    conv, norm = unit.down
    down = torch.einsum("oc,cvnt->ovnt", conv.weight, x) + conv.bias[:, None, None, None]
    expected = F.relu(normalise(z, unit.norm) + normalise(down, norm))

    inputs = [x, *(p for p in unit.parameters())]
    assert_same_with_gradients(unit(x), expected, inputs)
