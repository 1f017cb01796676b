"""Adjacency matrices."""

import golden
import pytest
import torch

from mmcl.errors import UserError
from mmcl.models.graphs import adjacency, hierarchical, natural


def test_natural_graph_equals_the_reference():
    _, _, arrays = golden.load("ctrgcn_ntu120")
    torch.testing.assert_close(natural("ntu25"), torch.from_numpy(arrays["adjacency"]), rtol=0, atol=0)


def test_rows_receive_and_columns_sum_to_one():
    _, towards, away = natural("ntu25")
    neck, head = 2, 3
    assert towards[neck, head] == 1
    assert towards[head, neck] == 0
    assert away[head, neck] == 1
    assert natural("ucla20").sum((1, 2)).tolist() == [20, 19, 15]


@pytest.mark.parametrize(
    ("graph", "edges", "summed"),
    [
        ("hd1", [3, 9, 15, 25, 10, 12], 74),
        ("hd2", [2, 10, 25, 20, 16, 16], 89),
        ("hd21", [4, 16, 16, 16, 24, 12], 88),
    ],
)
def test_hd_graph(graph, edges, summed):
    layers = hierarchical("ntu25", graph)
    assert layers.shape == (6, 3, 25, 25)
    for subset in (1, 2):
        assert layers[:, subset].count_nonzero((1, 2)).tolist() == edges
        columns = layers[:, subset].sum(1)
        assert ((columns - 1).abs() < 1e-6).logical_or(columns == 0).all()
    collapsed = adjacency("ntu25", graph)
    assert collapsed.shape == (3, 25, 25)
    assert collapsed.count_nonzero((1, 2)).tolist() == [25, summed, summed]
    assert set(collapsed[0].diagonal().tolist()) == {1, 2}


def test_hd_graph_of_other_layouts_goes_by_distance():
    layers = hierarchical("utd20", "hd21")
    assert layers.shape[1:] == (3, 20, 20)
    assert (
        layers[0, 1].count_nonzero()
        == layers[0, 1].sum(0).count_nonzero() * layers[0, 1].sum(1).count_nonzero()
    )


def test_unknown_graph():
    with pytest.raises(UserError, match="no graph 'hd3' for layout ntu25; there are: natural, hd1"):
        adjacency("ntu25", "hd3")
