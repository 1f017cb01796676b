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
    kind = kernels.product_dtype(x)
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


def folded(x: Tensor, embedded: Tensor, skip: Tensor, shift: Tensor, parameters: Parameters) -> Tensor | None:
    """ReLU(z + skip + shift) for inference, with a batch norm folded into the values, in the data type of x.

    Args:
        x: (C, N, V, T).
        embedded: 2q and 2p (2·3·R, N·V), as a sigmoid takes them.
        skip: (O, N, V, T).
        shift: (O).
        parameters: the embedding is not read.

    Returns:
        (O, N, V, T); None where no kernel takes it.
    """
    of = parameters
    if not _fits(x, x.dtype, of.weight) or len({part.dtype for part in (x, embedded, skip)}) > 1:
        return None
    sizes = (of.weight.shape[2], x.shape[2], x.shape[3])
    kinds = (x.dtype, of.weight.dtype)
    if not kernels.trusted(
        "folded graph", (*kinds, *sizes, x.device), lambda: _error_of_folded(*kinds, *sizes, x.device)
    ):
        return None
    return _folded(x, embedded, skip, shift, of)


def _folded(x: Tensor, embedded: Tensor, skip: Tensor, shift: Tensor, of: Parameters) -> Tensor:
    from mmcl.models.kernels import triton_graph

    x, skip = x.contiguous(), skip.contiguous()
    parts = _parts(embedded.contiguous(), of, x)
    return triton_graph.forward(_values(of.value_weight, x), *parts, scale=0.5, skip=skip, shift=shift)


def _values(weight: Tensor, x: Tensor) -> Tensor:
    """V x without its bias, (3·O, N, V, T)."""
    return (weight @ x.flatten(1)).view(-1, *x.shape[1:])


def _parts(
    embedded: Tensor, of: Parameters, x: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the kernels take beside the values."""
    embedded = embedded.view(2, SUBSETS, -1, *x.shape[1:3])
    return of.value_bias, embedded, of.weight, of.bias, of.alpha, of.graph


def _fits(x: Tensor, kind: torch.dtype, weight: Tensor) -> bool:
    """Whether kernels take x (C, N, V, T) in a data type, with W (3, O, R)."""
    if not kernels.usable(x) or kind not in DTYPES or not kernels.tensor_cores(kind):
        return False
    outputs, rank = weight.shape[1:]
    return outputs % 16 == 0 and rank <= 32 and x.shape[1] > 0 and x.shape[2] <= 32


def _takes(x: Tensor, kind: torch.dtype, of: Parameters) -> bool:
    if not _fits(x, kind, of.weight) or any(part.dtype is not torch.float32 for part in of):
        return False
    sizes = (of.weight.shape[2], x.shape[2], x.shape[3])  # what compiled code depends on
    return kernels.trusted("graph", (kind, *sizes, x.device), lambda: _error(kind, *sizes, x.device))


def _example(
    kind: torch.dtype, rank: int, joints: int, frames: int, device: torch.device
) -> tuple[Tensor, Tensor, Parameters]:
    """x, something in the shape of z, and parameters."""
    generator = torch.Generator(device).manual_seed(0)
    outputs, inputs = 32, 16

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    parameters = Parameters(
        draw(2 * SUBSETS * rank, inputs) * frames**0.5 / 4,  # a mean over time is that much smaller
        draw(2 * SUBSETS * rank) / 4,
        draw(SUBSETS * outputs, inputs) / inputs**0.5,
        draw(SUBSETS * outputs),
        draw(SUBSETS, outputs, rank) / rank**0.5,
        draw(SUBSETS, outputs),
        draw(1).abs() + 0.5,
        draw(SUBSETS, joints, joints),
    )
    return draw(inputs, 2, joints, frames).to(kind), draw(outputs, 2, joints, frames), parameters


def _units(kind: torch.dtype) -> float:
    return 8 if kind is torch.bfloat16 else 2.0**16  # in TF32 three digits are right


def _error(kind: torch.dtype, rank: int, joints: int, frames: int, device: torch.device) -> float:
    """By how much the kernels differ from `plain` in float64, as a part of what rounding permits."""
    x, slope, parameters = _example(kind, rank, joints, frames, device)
    with torch.no_grad():  # otherwise the gradient of α may happen to be nearly zero
        slope = (slope + plain(x.float(), parameters)).to(kind)

    def results(kernel: bool, full: torch.dtype | None) -> list[Tensor]:
        inputs = [part.to(full or part.dtype).requires_grad_() for part in (x, *parameters)]
        z = RefinedGraphConv.apply(*inputs) if kernel else plain(inputs[0], Parameters(*inputs[1:]))
        return [z.detach(), *torch.autograd.grad(z, inputs, slope.to(z.dtype))]

    found, expected = results(kernel=True, full=None), results(kernel=False, full=torch.float64)
    return max(kernels.apart(a.to(kind), b, _units(kind)) for a, b in zip(found, expected, strict=True))


def _error_of_folded(
    kind: torch.dtype, of_weights: torch.dtype, rank: int, joints: int, frames: int, device: torch.device
) -> float:
    """The same of `folded`."""
    x, skip, parameters = _example(kind, rank, joints, frames, device)
    skip, of = skip.to(kind), Parameters(*(part.to(of_weights) for part in parameters))
    of = of._replace(alpha=torch.ones_like(of.alpha))
    shift = of.bias[0]
    exact = Parameters(*(part.double() for part in of))
    embedded = point_conv(x.double().mean(-1), exact.embed_weight, exact.embed_bias).flatten(1)
    z = plain(x.double(), exact) + skip + shift.double()[:, None, None, None]
    found = _folded(
        x, (2 * embedded).to(kind), skip, shift, of._replace(value_weight=of.value_weight.to(kind))
    )
    return kernels.apart(found, z.relu(), _units(kind))
