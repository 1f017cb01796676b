"""CTR-GCN against the reference's numbers, and against equations written out."""

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
from mmcl.models.ctrgcn import RefinedGraphConv
from mmcl.models.graphs import adjacency


def test_logits_equal_the_reference():
    state, x, arrays = golden.load("ctrgcn_ntu120")
    net = build_backbone("ctrgcn", 120).eval()
    load_reference(net, state)
    with torch.no_grad():
        logits, features = net(x), net.features(x)
    scale = np.abs(arrays["logits"]).max()
    assert np.abs(logits.numpy() - arrays["logits"]).max() < 1e-4 * scale
    assert features.shape == (2, net.feature_dim) == (2, 256)
    torch.testing.assert_close(net.classify(features), logits)


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "count"),
    [(120, "ntu25", 2, 1_462_092), (60, "ntu25", 2, 1_446_672), (10, "ucla20", 1, 1_426_892)],
)
def test_number_of_parameters(classes, layout, persons, count):
    net = build_backbone("ctrgcn", classes, layout=layout, persons=persons)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(
    ("classes", "layout", "persons", "graph", "channels", "width", "frames"),
    [
        (4, "utd20", 1, "natural", 3, 0.25, 32),
        (7, "ntu25", 3, "hd2", 2, 0.125, 13),
        (2, "sysu20", 2, "hd1", 6, 0.25, 1),
    ],
)
def test_any_shape(classes, layout, persons, graph, channels, width, frames):
    net = build_backbone("ctrgcn", classes, layout, persons, graph, channels, width).eval()
    x = torch.randn(3, channels, frames, 20 if "20" in layout else 25, persons)
    assert net(x).shape == (3, classes)
    assert net.features(x).shape == (3, net.feature_dim) == (3, 256 * width)
    torch.testing.assert_close(net.blocks[0].spatial.graph, adjacency(layout, graph))


def test_unknown_names_are_errors():
    with pytest.raises(UserError, match=r"no backbone 'gcn'; did you mean 'stgcn'\?; known: ctrgcn"):
        build_backbone("gcn", 4)
    with pytest.raises(UserError, match="multiple of 8"):
        build_backbone("ctrgcn", 4, width=0.2)


def test_initial_weights():
    torch.manual_seed(shifted(0))
    net = build_backbone("ctrgcn", 120)
    block = net.blocks[-1]
    assert block.spatial.alpha.item() == 0
    assert block.spatial.norm.weight.unique().tolist() == pytest.approx([1e-6])
    spread = {  # He initialisation by what goes out of each of the fused convolutions
        block.spatial.value.weight: (2 / 256) ** 0.5,
        block.spatial.embed.weight: (2 / 32) ** 0.5,
        block.spatial.refine_weight: (2 / 256) ** 0.5,
        block.temporal.reduce.weight: (2 / 64) ** 0.5,
        block.temporal.convs[1].weight: (2 / (64 * 5)) ** 0.5,
        net.blocks[4].skip[0].weight: (2 / 128) ** 0.5,
        net.head.weight: (2 / 120) ** 0.5,
    }
    for weight, expected in spread.items():
        assert weight.std().item() == drawn_with(expected, weight.numel())
    assert block.temporal.norm.weight.std().item() == drawn_with(0.02, block.temporal.norm.weight.numel())
    assert block.temporal.norm.weight.mean().item() == pytest.approx(
        1, abs=5 * 0.02 / block.temporal.norm.weight.numel() ** 0.5
    )
    assert all(
        not b.any() for name, b in net.named_parameters() if name.endswith("bias") and "head" not in name
    )


def test_graph_convolution_as_written_with_gradients():
    """Equations 2-6 in float64, subset by subset."""
    torch.manual_seed(shifted(0))
    unit = RefinedGraphConv(4, 6, adjacency("utd20", "natural"), reduced=3).double()
    for p in unit.parameters():
        torch.nn.init.normal_(p, 0, 0.5)
    x = torch.randn(4, 5, 20, 7, dtype=torch.float64, requires_grad=True)  # (C, N, V, T)

    z = 0
    for k in range(3):
        q, p = (
            torch.einsum("rc,cnv->rnv", conv[0], x.mean(-1)) + conv[1][:, None, None]
            for conv in [
                (part.weight.view(2, 3, 3, 4)[i, k], part.bias.view(2, 3, 3)[i, k])
                for i, part in ((0, unit.embed), (1, unit.embed))
            ]
        )
        relation = torch.tanh(q[:, :, :, None] - p[:, :, None, :])
        refined = torch.einsum("or,rnuv->onuv", unit.refine_weight[k], relation)
        graph = unit.alpha * (refined + unit.refine_bias[k][:, None, None, None]) + unit.graph[k]
        value = torch.einsum("oc,cnvt->onvt", unit.value.weight.view(3, 6, 4)[k], x)
        value = value + unit.value.bias.view(3, 6)[k][:, None, None, None]
        z = z + torch.einsum("onuv,onvt->onut", graph, value)

    def normalise(y, norm):
        return F.batch_norm(y.transpose(0, 1), None, None, norm.weight, norm.bias, training=True).transpose(
            0, 1
        )

    conv, norm = unit.down
    down = torch.einsum("oc,cnvt->onvt", conv.weight, x) + conv.bias[:, None, None, None]
    expected = F.relu(normalise(z, unit.norm) + normalise(down, norm))

    inputs = [x, *(p for p in unit.parameters())]
    assert_same_with_gradients(unit(x), expected, inputs)
