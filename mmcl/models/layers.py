"""Building blocks that work channel-major.

Activations have shape (C, N, V, T): channels, skeletons, joints, frames. With channels outermost a 1×1
convolution over the whole batch is one matrix product, and what lies side by side in channels (graph subsets,
temporal branches) can be computed at once and split without a copy.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcl.models.kernels import temporal
from mmcl.models.kernels.norm import added, batch_norm
from mmcl.models.kernels.product import product


def fold(net: nn.Module) -> nn.Module:
    """Put batch norms into the convolutions that they follow: the same function in evaluation mode, in fewer steps.

    Every module that defines `folded(self) -> nn.Module` is replaced by what that returns, its own modules first.
    `folded` may change its module, so the network must not be used afterwards.
    """
    for name, child in net.named_children():
        net.add_module(name, fold(child))
    folded = getattr(net, "folded", None)
    return net if folded is None else folded()


@torch.no_grad()
def fold_affine(weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> None:
    """Make a linear map, weight (O, …) and bias (O), give scale · y + shift instead of y, in place.

    With `ChannelNorm.scale_shift` this puts the batch norm behind a convolution into it.
    """
    weight.copy_(weight.double() * scale.view(-1, *[1] * (weight.dim() - 1)))
    bias.copy_(bias.double() * scale + shift)


class InputNorm(nn.BatchNorm1d):
    """Batch normalisation of the input, with its own statistics for every person slot, joint and channel.

    Args:
        persons: slots, M; 1 where all persons share their statistics.
        joints: V.
        channels: C.
    """

    def __init__(self, persons: int, joints: int, channels: int):
        super().__init__(persons * joints * channels)
        self.shape = (persons, joints, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> channel-major (C, N·M, V, T)."""
        clips, frames = x.shape[0], x.shape[2]  # len() would fix the number in an exported graph
        x = x.permute(0, 4, 3, 1, 2).reshape(clips, -1, frames)  # (N, M·V·C, T)
        x = super().forward(x).view(clips, *self.shape, frames)
        return x.permute(3, 0, 1, 2, 4).flatten(1, 2)

    def of(self, x: Tensor, slot: Tensor) -> Tensor:
        """People (K, C, T, V) in their slots (K) -> (C, K, V, T), with the running statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight / (self.running_var + self.eps).sqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (part.view(self.shape)[slot].permute(2, 0, 1)[..., None] for part in (scale, shift))
        return x.permute(1, 0, 3, 2) * scale + shift


class PointConv(nn.Module):
    """1×1 convolution, or several of the same input with their outputs concatenated.

    Args:
        inputs: channels in.
        outputs: channels out.
        parts: how many convolutions `outputs` is made of. The initialisation (He, fan-out) depends on it.
    """

    def __init__(self, inputs: int, outputs: int, parts: int = 1):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).normal_(0, (2 * parts / outputs) ** 0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(C, …) -> (O, …)."""
        return point_conv(x, self.weight, self.bias)


def point_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1×1 convolution of x (C, …) with weight (O, C) and bias (O): (O, …)."""
    return product(x.flatten(1), weight, bias).view(-1, *x.shape[1:])


class ChannelNorm(nn.BatchNorm1d):
    """Batch normalisation of (C, …) over everything but the channel."""

    def __init__(self, channels: int, scale: float = 1.0, spread: float = 0.0):
        super().__init__(channels)
        nn.init.normal_(self.weight, scale, spread)

    def forward(self, x: Tensor, skip: Tensor | None = None, relu: bool = False) -> Tensor:
        """BN(x) + skip, or ReLU(BN(x) + skip): (C, …) -> the same shape.

        Args:
            x: (C, …).
            skip: what is added, of the same shape; None for nothing.
            relu: whether negative sums become zero.
        """
        return batch_norm(x, self, skip, relu)

    def scale_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of the channels in evaluation mode, (C) float64 each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight.detach().double() / (self.running_var.double() + self.eps).sqrt()
        return scale, self.bias.detach().double() - self.running_mean.double() * scale


class NoNorm(nn.Module):
    """What is left of a `ChannelNorm` that was folded: the sum with a skip path and the ReLU."""

    def forward(self, x: Tensor, skip: Tensor | None = None, relu: bool = False) -> Tensor:
        """See `ChannelNorm`."""
        return added(x, skip, relu)


class Affine(nn.Module):
    """scale · x + shift, for every channel its own: what is left of a batch norm where it cannot be folded.

    Args:
        scale: (C).
        shift: (C).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, T) -> the same shape; or one that has a first axis more."""
        return torch.addcmul(self.shift[:, None, None], x, self.scale[:, None, None])


class PointNorm(nn.Sequential):
    """1×1 convolution, every `stride`-th frame, and batch norm: a skip path that changes the shape."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(PointConv(inputs, outputs), ChannelNorm(outputs))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T/stride)."""
        found: Tensor = super().forward(x[..., :: self.stride])  # type: ignore[no-untyped-call]
        return found

    def folded(self) -> nn.Module:
        """See `fold`."""
        conv, norm = self
        assert isinstance(conv, PointConv)
        assert isinstance(norm, ChannelNorm)
        fold_affine(conv.weight, conv.bias, *norm.scale_shift())
        self[1] = nn.Identity()
        return self


def skip_path(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """A path around a unit: nothing where it keeps the shape, else a `PointNorm`."""
    same = inputs == outputs and stride == 1
    return nn.Identity() if same else PointNorm(inputs, outputs, stride)


def classifier(features: int, num_classes: int) -> nn.Linear:
    """The last layer of CTR-GCN, HD-GCN and InfoGCN, weights N(0, 2 / num_classes)."""
    layer = nn.Linear(features, num_classes)
    nn.init.normal_(layer.weight, 0, (2 / num_classes) ** 0.5)
    return layer


class MultiScaleTemporal(nn.Module):
    """Temporal convolution in four branches of a quarter of the channels each (Chen et al., ICCV 2021, 3.3).

    1×1 convolution, then: 5 frames; 5 frames at dilation 2; maximum of 3 frames; nothing. The four 1×1
    convolutions are one product and the four final normalisations one call.

    Args:
        channels: in and out, a multiple of four.
        stride: keep every `stride`-th frame.
    """

    dilations = (1, 2)

    def __init__(self, channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.quarter = quarter = channels // 4
        self.reduce = PointConv(channels, channels, parts=4)
        self.reduce_norm = ChannelNorm(3 * quarter, 1, 0.02)
        convs = [nn.Conv2d(quarter, quarter, (1, 5), (1, stride), (0, 2 * d), (1, d)) for d in self.dilations]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            conv.bias = nn.Parameter(torch.zeros(quarter))
        self.convs = nn.ModuleList(convs)
        self.norm = ChannelNorm(channels, 1, 0.02)

    def forward(self, x: Tensor, skip: Tensor | None = None, relu: bool = False) -> Tensor:
        """The branches, normalised, + skip, and ReLU of the sum if so wished.

        Args:
            x: (C, N, V, T).
            skip: (C, N, V, ⌈T/stride⌉); None for nothing.
            relu: whether negative sums become zero.

        Returns:
            (C, N, V, ⌈T/stride⌉).
        """
        _, count, joints, _ = x.shape
        norm = self.reduce_norm
        if temporal.trained(x, 4 * self.quarter, norm, self.stride):
            r = self.reduce(x).flatten(1, 2)
            y: Tensor = temporal.Branches.apply(r, norm.weight, norm.bias, *self.taps(), norm, self.stride)
        else:
            moving, still = self.reduced(x)
            moving = norm(moving, relu=True).flatten(1, 2)
            y = temporal.plain(moving, still.flatten(1, 2), self.taps(), self.stride)
        found: Tensor = self.norm(y.unflatten(1, (count, joints)), skip, relu)
        return found

    def taps(self) -> temporal.Convs:
        """Weight and bias of each convolution over time."""
        return [conv.get_parameter(name) for conv in self.convs for name in ("weight", "bias")]

    def reduced(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The 1×1 convolutions of x (C, N, V, T): of the three branches with a time window, and of the one without.

        (3C/4, N, V, T) and (C/4, N, V, ⌈T/stride⌉).
        """
        three = 3 * self.quarter
        if self.stride == 1:
            y = self.reduce(x)
            return y[:three], y[three:]
        # the branch without a time window needs only the frames that stay
        weight, bias = self.reduce.weight, self.reduce.bias
        moving = point_conv(x, weight[:three], bias[:three])
        return moving, point_conv(x[..., :: self.stride], weight[three:], bias[three:])

    def folded(self) -> nn.Module:
        """See `fold`."""
        return FoldedTemporal(self)


class FoldedTemporal(nn.Module):
    """`MultiScaleTemporal` in evaluation mode, its norms in its convolutions.

    The one behind the maximum stays, as a scale may be negative.

    Args:
        unit: is used up.
    """

    def __init__(self, unit: MultiScaleTemporal):
        super().__init__()
        self.unit = unit
        weight, bias, three = unit.reduce.weight, unit.reduce.bias, 3 * unit.quarter
        scales, shifts = (part.split(unit.quarter) for part in unit.norm.scale_shift())
        fold_affine(weight[:three], bias[:three], *unit.reduce_norm.scale_shift())
        fold_affine(weight[three:], bias[three:], scales[3], shifts[3])
        for conv, scale, shift in zip(unit.convs, scales, shifts, strict=False):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            fold_affine(conv.weight, conv.bias, scale, shift)
        self.pooled = Affine(scales[2].to(weight), shifts[2].to(weight))
        del unit.reduce_norm, unit.norm

    def forward(self, x: Tensor, skip: Tensor | None = None, relu: bool = False) -> Tensor:
        """See `MultiScaleTemporal`."""
        unit, (_, count, joints, _) = self.unit, x.shape
        if temporal.inferred(x, 4 * unit.quarter, unit.stride):
            r = unit.reduce(x).flatten(1, 2)
            more = None if skip is None else skip.flatten(1, 2)
            peaks = self.pooled.scale, self.pooled.shift
            y = temporal.folded(r, unit.taps(), peaks, unit.stride, more, relu)
            return y.view(-1, count, joints, y.shape[-1])
        branches = self.exported(x) if torch.compiler.is_exporting() else self.branches(x)
        y = torch.cat(branches, dim=-3).view(-1, count, joints, branches[0].shape[-1])
        return added(y, skip, relu)

    def branches(self, x: Tensor) -> list[Tensor]:
        """(C, N, V, T) -> four times (C/4, N·V, ⌈T/stride⌉)."""
        unit = self.unit
        moving, still = unit.reduced(x)
        *inputs, pooled = moving.relu_().flatten(1, 2).split(unit.quarter)
        peaks = self.pooled(F.max_pool1d(pooled, 3, unit.stride, 1))
        return [*(conv(y) for conv, y in zip(unit.convs, inputs, strict=True)), peaks, still.flatten(1, 2)]

    def exported(self, x: Tensor) -> list[Tensor]:
        """`branches` as convolutions that follow each other, which ONNX Runtime keeps in its fastest memory order.

        (C, N, V, T) -> four times (1, C/4, N·V, ⌈T/stride⌉).
        """
        unit, (weight, bias) = self.unit, (self.unit.reduce.weight[..., None, None], self.unit.reduce.bias)
        x = x.flatten(1, 2)[None]
        parts = [slice(k * unit.quarter, (k + 1) * unit.quarter) for k in range(4)]
        *inputs, pooled = (F.relu(F.conv2d(x, weight[part], bias[part])) for part in parts[:3])
        peaks = self.pooled(F.max_pool2d(pooled, (1, 3), (1, unit.stride), (0, 1)))
        still = F.conv2d(x, weight[parts[3]], bias[parts[3]], (1, unit.stride))
        return [*(conv(y) for conv, y in zip(unit.convs, inputs, strict=True)), peaks, still]


def aggregate(graphs: Tensor, x: Tensor) -> Tensor:
    """Σ_k A_k x_k: graphs (K, B, V, V), x (K, B, V, T) -> (B, V, T)."""
    if torch.is_grad_enabled() and not torch.compiler.is_exporting():
        found: Tensor = Aggregate.apply(graphs, x)
        return found
    return _aggregate(graphs, x)


def _aggregate(graphs: Tensor, x: Tensor) -> Tensor:
    out = torch.bmm(graphs[0], x[0])
    for graph, features in zip(graphs[1:], x[1:], strict=True):
        out.baddbmm_(graph, features)
    return out


class Aggregate(torch.autograd.Function):
    """Σ_k A_k x_k for a batch of graphs, summed in place and with gradients written where they belong.

    Plain autograd gives the same numbers with two more copies of the graphs and features.
    """

    @staticmethod
    def forward(ctx: Any, graphs: Tensor, x: Tensor) -> Tensor:
        """graphs (K, B, V, V), x (K, B, V, T) -> (B, V, T)."""
        ctx.save_for_backward(graphs, x)
        return _aggregate(graphs, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of graphs and x."""
        graphs, x = ctx.saved_tensors
        grad = grad.contiguous()
        of_graphs, of_x = torch.empty_like(graphs), torch.empty_like(x)
        for k in range(len(graphs)):
            torch.bmm(grad, x[k].transpose(1, 2), out=of_graphs[k])
            torch.bmm(graphs[k].transpose(1, 2), grad, out=of_x[k])
        return of_graphs, of_x
