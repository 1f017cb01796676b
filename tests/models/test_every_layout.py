"""Graphs and backbones on every joint layout."""

import pytest
import torch
from networks import small
from seeds import shifted

from mmcl.errors import UserError
from mmcl.layouts import get_layout, names
from mmcl.models.graphs import adjacency, hierarchical
from mmcl.settings.tables import BACKBONES


@pytest.mark.parametrize("name", names())
def test_graphs(name):
    joints = len(get_layout(name))
    own, towards, away = adjacency(name)
    assert torch.equal(own, torch.eye(joints))
    assert towards.count_nonzero() == away.count_nonzero() == joints - 1
    assert torch.equal(towards.count_nonzero(0), (torch.arange(joints) != get_layout(name).root).long())
    for graph in ("hd1", "hd2", "hd21"):
        layers = hierarchical(name, graph)
        assert layers.shape[1:] == (3, joints, joints)
        # every joint is in a layer, and from the centre all others can be reached
        assert layers.sum((0, 1)).diagonal().all()
        reach = torch.linalg.matrix_power(layers[:, 1].sum(0) + torch.eye(joints), len(layers))
        assert reach[:, list(get_layout(name).hd_groups[graph][0])].sum(1).all()
        torch.testing.assert_close(adjacency(name, graph), layers.sum(0))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", names())
def test_backbones(name, backbone):
    net = small(backbone, name, persons=1, width=0.25)
    x = torch.randn(2, 3, 8, len(get_layout(name)), 1, generator=torch.Generator().manual_seed(shifted(0)))
    with torch.no_grad():
        logits = net(x)
        assert logits.shape == (2, 5)
        assert logits.isfinite().all()
        x[1, :, :, -1] += 1  # the last joint counts
        changed = net(x)
    torch.testing.assert_close(changed[0], logits[0])
    assert (changed[1] - logits[1]).abs().max() > 1e-4 * logits[1].abs().max()


def test_a_layout_without_centres_has_the_natural_graph_only(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{"centre": "head", "joints": {"head": "head", "tail": "head"}}')
    assert adjacency(str(file)).shape == (3, 2, 2)
    with pytest.raises(UserError, match=r"no graph 'hd1' for layout .*mine.json; there are: natural$"):
        adjacency(str(file), "hd1")
