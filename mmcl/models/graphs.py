"""Adjacency matrices of skeleton graphs.

An entry [u, v] is the weight with which joint v (column, the source) reaches joint u (row, the receiver).
Every non-empty column sums to one: A D⁻¹, as the released code of CTR-GCN and HD-GCN normalises.
"""

from itertools import pairwise

import torch

from mmcl.errors import UserError
from mmcl.layouts import get_layout


def adjacency(layout: str, graph: str = "natural") -> torch.Tensor:
    """Adjacency for backbones that take three subsets: identity, towards the centre, away from it.

    Args:
        layout: name of a joint layout.
        graph: `natural` (the bones), or `hd1 | hd2 | hd21`: the layers of the HD-Graph summed, so that it can
            take the place of the natural graph (MMCL, section 4).

    Returns:
        (3, V, V) float32.

    Raises:
        UserError: no such layout or graph.
    """
    if graph == "natural":
        return natural(layout)
    return hierarchical(layout, graph).sum(0)


def natural(layout: str) -> torch.Tensor:
    """The bones as a graph (CTR-GCN, section 3.1): [I, child → parent, parent → child], (3, V, V) float32."""
    skeleton = get_layout(layout)
    size = len(skeleton)
    return torch.stack(
        [
            torch.eye(size),
            _normalised(size, skeleton.edges),
            _normalised(size, [(parent, child) for child, parent in skeleton.edges]),
        ]
    )


def hierarchical(layout: str, graph: str) -> torch.Tensor:
    """The HD-Graph (Lee et al., ICCV 2023, section 3.1).

    Joints form groups from a centre outwards; a layer connects every joint of one group with every joint of
    the next.

    Args:
        layout: name of a joint layout.
        graph: `hd1 | hd2 | hd21`, by the centre: spine base, spine middle, between the shoulders.

    Returns:
        (L, 3, V, V) float32, L = 6 for ntu25: per layer [I on its joints, outwards, inwards].

    Raises:
        UserError: no such layout or graph.
    """
    skeleton = get_layout(layout)
    if graph not in skeleton.hd_groups:
        there_are = ", ".join(["natural", *skeleton.hd_groups])
        raise UserError(f"no graph {graph!r} for layout {layout}; there are: {there_are}")
    groups = skeleton.hd_groups[graph]
    size = len(skeleton)
    layers = []
    for near, far in pairwise(groups):
        own = torch.zeros(size)
        own[[*near, *far]] = 1
        outwards = [(source, target) for source in near for target in far]
        inwards = [(source, target) for target, source in outwards]
        layers.append(torch.stack([torch.diag(own), _normalised(size, outwards), _normalised(size, inwards)]))
    return torch.stack(layers)


def spatial_partition(layout: str) -> torch.Tensor:
    """Bones and self loops in ST-GCN's spatial configuration partitioning (Yan et al., AAAI 2018).

    Every receiver's weights sum to one. The subsets: the joint itself; neighbours that are farther from the
    root than the receiver, or as far; neighbours that are nearer. As in the released code distances stop at
    one bone: beyond the root's neighbours all joints are equally far, so the third subset is small.

    Args:
        layout: name of a joint layout.

    Returns:
        (3, V, V) float32. Here rows are sources and columns receivers, as in the release.

    Raises:
        UserError: no such layout.
    """
    skeleton = get_layout(layout)
    own = torch.eye(len(skeleton))
    near = own.clone()
    for child, parent in skeleton.edges:
        near[child, parent] = near[parent, child] = 1
    distance = torch.where(near[skeleton.root] > 0, 1.0, torch.inf)
    distance[skeleton.root] = 0
    nearer = (distance[:, None] < distance).float()
    return near / near.sum(0) * torch.stack([own, (1 - own) * (1 - nearer), nearer])


def _normalised(size: int, edges: list[tuple[int, int]] | tuple[tuple[int, int], ...]) -> torch.Tensor:
    """(V, V) matrix of (source, target) edges, columns summing to one; empty columns stay zero."""
    matrix = torch.zeros(size, size)
    for source, target in edges:
        matrix[target, source] = 1
    return matrix / matrix.sum(0).clamp(min=1)
