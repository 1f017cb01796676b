"""Refined graph convolution, whose graphs a GPU makes again wherever they are used and never stores.

With q, p two 1×1 convolutions E of the time mean of x, R channels each, for the subsets k of the graph:
    G_k[u, v] = A_k[u, v] + α · (W_k tanh(q_k[u] − p_k[v]) + b_k)        one graph per output channel
    z[u] = Σ_k Σ_v G_k[u, v] · (V_k x[v] + c_k)

The plain form keeps graphs and values for the backward pass: for 200 clips of NTU 0.3 to 0.6 GB a block.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmcl.models import kernels
from mmcl.models.kernels.product import over_columns
from mmcl.models.layers import aggregate, point_conv

SUBSETS = 3
DTYPES = (torch.float32, torch.bfloat16)


class Parameters(NamedTuple):
    """What the unit learns, for C channels in and O out.

    Args:
        embed_weight, embed_bias: E (2·3·R, C) and (2·3·R); q of the subsets, then p.
        value_weight, value_bias: V (3·O, C) and c (3·O).
        weight, bias: W (3, O, R) and b (3, O).
        alpha: α (1).
        graph: A (3, V, V).
    """

    embed_weight: Tensor
    embed_bias: Tensor
    value_weight: Tensor
    value_bias: Tensor
    weight: Tensor
    bias: Tensor
    alpha: Tensor
    graph: Tensor


def plain(x: Tensor, parameters: Parameters) -> Tensor:
    """The definition: x (C, N, V, T) -> z (O, N, V, T)."""
    of = parameters
    _, count, joints, frames = x.shape
    # a 1×1 convolution commutes with the mean over time, so the mean comes first
    embedded = point_conv(x.mean(-1), of.embed_weight, of.embed_bias)
    q, p = embedded.view(2, SUBSETS, of.weight.shape[2], count, joints)
    relation = torch.tanh(q[..., :, None] - p[..., None, :]).flatten(2)  # (3, R, N·V·V)
    # α, the bias and the shared graph join the product as two more channels: [αW | αb | 1] · [tanh; 1; A]
    shared = of.graph.flatten(1).repeat(1, count)[:, None].to(relation.dtype)
    weight = torch.cat(
        [of.alpha * of.weight, (of.alpha * of.bias)[..., None], torch.ones_like(of.bias)[..., None]], dim=2
    )
    graphs = torch.bmm(weight, torch.cat([relation, torch.ones_like(shared), shared], dim=1))
    values = point_conv(x, of.value_weight, of.value_bias).view(SUBSETS, -1, joints, frames)
    return aggregate(graphs.view(SUBSETS, -1, joints, joints), values).view(-1, count, joints, frames)


def refined_graph_conv(x: Tensor, parameters: Parameters) -> Tensor:
    """`plain`, by kernels where that is possible."""
    kind = _type_of(x)
    if not _takes(x, kind, parameters):
        return plain(x, parameters)
    found: Tensor = RefinedGraphConv.apply(x.to(kind), *parameters)
    return found


class RefinedGraphConv(torch.autograd.Function):
    """`plain` in the data type of x, as under autocast, with parameters in float32.

    Kept for the backward pass: x, its time mean, q and p; the parameters; the weights of the values in the data type
    of x. Values and graphs are computed again. Gradients of parameters are summed in float32 and not rounded
    afterwards.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        """x (C, N, V, T) and `Parameters` -> (O, N, V, T)."""
        from mmcl.models.kernels import triton_graph

        of = Parameters(*(part.detach().contiguous() for part in parameters))
        x = x.contiguous()
        with torch.autocast(x.device.type, enabled=False):
            mean = x.mean(-1).flatten(1)  # (C, N·V)
            embedded = torch.addmm(of.embed_bias.to(x)[:, None], of.embed_weight.to(x), mean)
            value_weight = of.value_weight.to(x.dtype)
            ctx.save_for_backward(x, mean, embedded, value_weight, *of)
            return triton_graph.forward(_values(value_weight, x), *_parts(embedded, of, x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and the parameters."""
        from mmcl.models.kernels import triton_graph

        x, mean, embedded, value_weight, *parameters = ctx.saved_tensors
        of = Parameters(*parameters)
        with torch.autocast(x.device.type, enabled=False):
            of_values, of_value_bias, of_embedded, of_weight, of_bias, of_graph = triton_graph.backward(
                grad.to(x.dtype).contiguous(), _values(value_weight, x), *_parts(embedded, of, x)
            )
            flat = of_values.flatten(1)
            of_embedded = of_embedded.view(len(embedded), -1)
            of_x = None
            if ctx.needs_input_grad[0]:
                of_mean = (of.embed_weight.T @ of_embedded).to(x.dtype) / x.shape[-1]
                of_x = (value_weight.T @ flat).view(x.shape).add_(of_mean.view(*x.shape[:3], 1))
            return (
                of_x,
                over_columns(of_embedded, mean.float()),
                of_embedded.sum(1),
                over_columns(flat, x.flatten(1)),
                of_value_bias,
                of.alpha * of_weight,
                of.alpha * of_bias,
                ((of.weight * of_weight).sum() + (of.bias * of_bias).sum()).view(1),
                of_graph,
            )


def _values(weight: Tensor, x: Tensor) -> Tensor:
    """V x without its bias, (3·O, N, V, T)."""
    return (weight @ x.flatten(1)).view(-1, *x.shape[1:])


def _parts(
    embedded: Tensor, of: Parameters, x: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the kernels take beside the values."""
    embedded = embedded.view(2, SUBSETS, -1, *x.shape[1:3])
    return of.value_bias, embedded, of.weight, of.bias, of.alpha, of.graph


def _type_of(x: Tensor) -> torch.dtype:
    """Data type of the products, as autocast says."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _takes(x: Tensor, kind: torch.dtype, of: Parameters) -> bool:
    if not kernels.usable(x) or kind not in DTYPES or not kernels.tensor_cores(kind):
        return False
    outputs, rank = of.weight.shape[1:]
    _, count, joints, frames = x.shape
    if any(part.dtype is not torch.float32 for part in of) or outputs % 16 or rank > 32 or joints > 32:
        return False
    # what compiled code depends on
    sizes = (rank, joints, frames)
    return count > 0 and kernels.trusted(
        "graph", (kind, *sizes, x.device), lambda: _error(kind, *sizes, x.device)
    )


def _error(kind: torch.dtype, rank: int, joints: int, frames: int, device: torch.device) -> float:
    """By how much the kernels differ from `plain` in float64, as a part of what rounding permits."""
    generator = torch.Generator(device).manual_seed(0)
    outputs, inputs = 32, 16

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    parameters = (
        draw(2 * SUBSETS * rank, inputs) * frames**0.5 / 4,  # a mean over time is that much smaller
        draw(2 * SUBSETS * rank) / 4,
        draw(SUBSETS * outputs, inputs) / inputs**0.5,
        draw(SUBSETS * outputs),
        draw(SUBSETS, outputs, rank) / rank**0.5,
        draw(SUBSETS, outputs),
        draw(1).abs() + 0.5,
        draw(SUBSETS, joints, joints),
    )
    x, slope = draw(inputs, 2, joints, frames).to(kind), draw(outputs, 2, joints, frames)
    with torch.no_grad():  # otherwise the gradient of α may happen to be nearly zero
        slope = (slope + plain(x.float(), Parameters(*parameters))).to(kind)

    def results(kernel: bool, full: torch.dtype | None) -> list[Tensor]:
        inputs = [part.to(full or part.dtype).requires_grad_() for part in (x, *parameters)]
        z = RefinedGraphConv.apply(*inputs) if kernel else plain(inputs[0], Parameters(*inputs[1:]))
        return [z.detach(), *torch.autograd.grad(z, inputs, slope.to(z.dtype))]

    found, expected = results(kernel=True, full=None), results(kernel=False, full=torch.float64)
    units = 8 if kind is torch.bfloat16 else 2.0**16  # in TF32 three digits are right
    return max(kernels.apart(a.to(kind), b, units) for a, b in zip(found, expected, strict=True))
