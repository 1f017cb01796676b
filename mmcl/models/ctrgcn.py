"""CTR-GCN: channel-wise topology refinement graph convolution (Chen et al., ICCV 2021)."""

import torch
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.models.backbone import Backbone
from mmcl.models.graphs import adjacency
from mmcl.models.kernels.graph import SUBSETS, Parameters, refined_graph_conv
from mmcl.models.layers import (
    ChannelNorm,
    InputNorm,
    MultiScaleTemporal,
    PointConv,
    PointNorm,
    classifier,
    fold_affine,
    skip_path,
)
from mmcl.models.reference import norm_names, point_norm_names, same_names, temporal_names

CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class RefinedGraphConv(nn.Module):
    """CTR-GC for the three subsets of the graph at once (equations 2-6).

    With q, p two 1×1 convolutions of the time mean, R channels each:
        G_k[u, v] = A_k[u, v] + α · W_k tanh(q_k[u] − p_k[v])        one graph per output channel
        z[u] = Σ_k Σ_v G_k[u, v] · V_k x[v]
        y = ReLU(BN(z) + down(x))

    Args:
        inputs: channels in.
        outputs: channels out.
        graph: (3, V, V) initial value of the shared graph A.
        reduced: R.
    """

    def __init__(self, inputs: int, outputs: int, graph: Tensor, reduced: int):
        super().__init__()
        self.reduced = reduced
        self.embed = PointConv(inputs, 2 * SUBSETS * reduced, parts=2 * SUBSETS)  # q of the subsets, then p
        self.value = PointConv(inputs, SUBSETS * outputs, parts=SUBSETS)
        refine = torch.empty(SUBSETS, outputs, reduced).normal_(0, (2 / outputs) ** 0.5)
        self.refine_weight = nn.Parameter(refine)
        self.refine_bias = nn.Parameter(torch.zeros(SUBSETS, outputs))
        self.alpha = nn.Parameter(torch.zeros(1))
        self.graph = nn.Parameter(graph.clone())
        self.norm = ChannelNorm(outputs, 1e-6)  # so that a fresh block is its skip path
        self.down = skip_path(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T)."""
        z = refined_graph_conv(x, self.parts())
        found: Tensor = self.norm(z, self.down(x), relu=True)
        return found

    def parts(self) -> Parameters:
        """What the graph convolution takes."""
        return Parameters(
            self.embed.weight,
            self.embed.bias,
            self.value.weight,
            self.value.bias,
            self.refine_weight,
            self.refine_bias,
            self.alpha,
            self.graph,
        )

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        return FoldedGraphConv(self)


class FoldedGraphConv(nn.Module):
    """`RefinedGraphConv` in evaluation mode: its norm in its weights, the sum over subsets begun with the skip path.

    tanh d is 2σ(2d) − 1, and σ takes a fraction of the time: one 2 goes into the refining convolution, the other
    into q and p, and the −1 into a bias.

    Args:
        unit: is used up.
    """

    embed: Tensor
    embed_bias: Tensor
    refine: Tensor
    constants: Tensor
    value: Tensor
    value_bias: Tensor
    shift: Tensor

    @torch.no_grad()
    def __init__(self, unit: RefinedGraphConv):
        super().__init__()
        self.down = unit.down if isinstance(unit.down, PointNorm) else None
        scale, shift = unit.norm.scale_shift()
        if self.down is not None:  # folded before this
            self.down[0].get_parameter("bias").add_(shift)
        fold_affine(unit.value.weight, unit.value.bias, scale.repeat(SUBSETS), shift.new_zeros(()))
        refine = unit.alpha * unit.refine_weight
        bias = unit.alpha * unit.refine_bias - refine.sum(2)
        shared = unit.graph.flatten(1)[:, None]
        buffers = {
            "embed": 2 * unit.embed.weight,
            "embed_bias": 2 * unit.embed.bias[:, None],
            "refine": torch.cat([2 * refine, bias[..., None], torch.ones_like(bias)[..., None]], dim=2),
            "constants": torch.cat([torch.ones_like(shared), shared], dim=1),
            "value": unit.value.weight.unflatten(0, (SUBSETS, -1)),
            "value_bias": unit.value.bias.view(SUBSETS, -1, 1),
            "shift": shift.to(unit.graph)[:, None, None, None],
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T)."""
        _, count, joints, frames = x.shape
        embedded = torch.addmm(self.embed_bias, self.embed, x.mean(-1).flatten(1))
        q, p = embedded.view(2, SUBSETS, -1, count, joints).unbind()
        relation = torch.sigmoid(q[..., :, None] - p[..., None, :]).flatten(2)  # (3, R, N·V·V)
        relation = torch.cat([relation, self.constants.repeat(1, 1, count)], dim=1)
        out = x + self.shift if self.down is None else self.down(x)
        z, x = out.view(-1, joints, frames), x.flatten(1)
        # subset by subset, so that what is made is still in the cache when it is used
        parts = (part.unbind() for part in (self.refine, relation, self.value, self.value_bias))
        for refine, related, value, bias in zip(*parts, strict=True):
            graphs = torch.mm(refine, related).view(-1, joints, joints)
            z.baddbmm_(graphs, torch.addmm(bias, value, x).view(-1, joints, frames))
        return out.relu_()


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path: ReLU(TCN(GCN(x)) + skip(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, graph: Tensor, reduced: int, skip: bool):
        super().__init__()
        self.spatial = RefinedGraphConv(inputs, outputs, graph, reduced)
        self.temporal = MultiScaleTemporal(outputs, stride)
        self.skip: nn.Module | None = None
        if skip:
            self.skip = skip_path(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, ⌈T/stride⌉)."""
        y = self.spatial(x)
        found: Tensor = self.temporal(y, None if self.skip is None else self.skip(x), relu=True)
        return found


class CTRGCN(Backbone):
    """The backbone.

    Args:
        num_classes: classes.
        layout: name of the joint layout.
        persons: persons per clip, M.
        graph: `natural`, or `hd1 | hd2 | hd21` for the HD-Graph summed over its layers.
        in_channels: channels per joint.
        width: factor on the number of channels; 64 · width must be a multiple of 8.

    Attributes:
        feature_dim: width of `features`, 256 · width.

    Raises:
        UserError: a width that does not give whole channels.
    """

    def __init__(
        self,
        num_classes: int,
        layout: str,
        persons: int,
        graph: str,
        in_channels: int,
        width: float,
    ):
        super().__init__()
        if width <= 0 or (64 * width) % 8:
            raise UserError(f"width {width}: 64 · width must be a positive multiple of 8 for ctrgcn")
        matrix = adjacency(layout, graph)
        channels = [int(c * width) for c in CHANNELS]
        sources = [in_channels, *channels[:-1]]
        self.persons = persons
        self.input_norm = InputNorm(persons, matrix.shape[-1], in_channels)
        self.blocks = nn.ModuleList(
            Block(source, target, stride, matrix, reduced=source // 8 if number else 8, skip=number > 0)
            for number, (source, target, stride) in enumerate(zip(sources, channels, STRIDES, strict=True))
        )
        self.feature_dim = channels[-1]
        self.head = classifier(self.feature_dim, num_classes)

    def reference_names(self) -> dict[str, list[str]]:
        """See `Backbone`; the names are CTR-GCN's, which MMCL's release shares."""
        names = norm_names("input_norm", "data_bn") | same_names("head", "fc", "weight", "bias")
        for number, block in enumerate(self.blocks, start=1):
            names |= _block(block, f"blocks.{number - 1}", f"l{number}")
        return names


def _block(block: nn.Module, ours: str, theirs: str) -> dict[str, list[str]]:
    assert isinstance(block, Block)
    spatial, gcn = f"{ours}.spatial", f"{theirs}.gcn1"

    def convs(name: str) -> list[str]:
        return [f"{gcn}.convs.{k}.{name}" for k in range(SUBSETS)]

    names = {f"{spatial}.graph": [f"{gcn}.PA"], f"{spatial}.alpha": [f"{gcn}.alpha"]}
    names |= same_names(f"{spatial}.embed", convs("conv1") + convs("conv2"), "weight", "bias")
    names |= same_names(f"{spatial}.value", convs("conv3"), "weight", "bias")
    names |= {
        f"{spatial}.refine_{entry}": [f"{c}.{entry}" for c in convs("conv4")] for entry in ("weight", "bias")
    }
    names |= norm_names(f"{spatial}.norm", f"{gcn}.bn")
    names |= point_norm_names(f"{spatial}.down", block.spatial.down, f"{gcn}.down.0", f"{gcn}.down.1")
    names |= temporal_names(f"{ours}.temporal", f"{theirs}.tcn1.branches")
    residual = f"{theirs}.residual"
    names |= point_norm_names(f"{ours}.skip", block.skip, f"{residual}.conv", f"{residual}.bn")
    return names
