"""Triton kernels of `mmcl.models.kernels.graph`: graph convolution whose refined graphs exist on chip alone.

A tile of graphs is (B, U, W) for B output channels, U receiving joints and W sending ones. Padded joints have graph
entries without meaning: what they are multiplied with is zero, or the product is not stored.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmcl.models.kernels.triton_common import INTERPRETED, dot

CHANNELS = 16
"""B."""
JOINTS = 32
"""Joints are padded to this number."""
PART = 16
"""Of the joints in a tile: of those that receive (U) in the forward pass, of those that send (W) in the backward."""
SUBSETS = 3
WARPS = 8
PROGRAMS = 528
"""A launch of fewer blocks of threads than this is cut over the channels too: four rounds on an H100."""
TILES = 48 * 1024
"""Shared memory in bytes that the forward pass takes, beside the relations."""


@triton.jit  # type: ignore[untyped-decorator]
def tanh(x, FAST: tl.constexpr):  # type: ignore[no-untyped-def]
    """tanh of float32; FAST with an error of 2⁻¹¹, which is enough for a result that bfloat16 holds."""
    if FAST and not INTERPRETED:
        y = tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        y = 1 - 2 / (tl.exp(2 * x) + 1)  # where the exponential is infinite, this is 1
    return y


@triton.jit  # type: ignore[untyped-decorator]
def relation(embedded, k, n, u, v, people, V, R, scale, RP: tl.constexpr, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
    """tanh(scale · (q_k[r, u] − p_k[r, v])) of person n, (RP, U · W) in KIND; embedded is (2, 3, R, N, V)."""
    r = tl.arange(0, RP)
    q = embedded + ((k * R + r).to(tl.int64) * people + n)[:, None] * V
    p = q + tl.cast(3 * R * V, tl.int64) * people
    rows = tl.load(q + u[None, :], mask=(r < R)[:, None] & (u < V)[None, :], other=0.0).to(tl.float32)
    columns = tl.load(p + v[None, :], mask=(r < R)[:, None] & (v < V)[None, :], other=0.0).to(tl.float32)
    related = tanh(scale * (rows[:, :, None] - columns[:, None, :]), tl.bfloat16 == KIND)
    return related.to(KIND).reshape(RP, u.shape[0] * v.shape[0])


@triton.jit
def shared(graph, k, u, v, V):  # type: ignore[no-untyped-def]
    """A_k, (1, U · W) float32; graph is (3, V, V)."""
    inside = (u < V)[:, None] & (v < V)[None, :]
    a = tl.load(graph + (k * V + u[:, None]) * V + v[None, :], mask=inside, other=0.0)
    return a.to(tl.float32).reshape(1, u.shape[0] * v.shape[0])


@triton.jit  # type: ignore[untyped-decorator]
def refining(weight, alpha, k, o, outputs, R, RP: tl.constexpr, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
    """αW_k of channels o, (B, RP) in KIND."""
    r = tl.arange(0, RP)
    w = tl.load(weight + (k * outputs + o)[:, None] * R + r[None, :], mask=(r < R)[None, :], other=0.0)
    return (alpha * w.to(tl.float32)).to(KIND)


@triton.jit
def of_channels(vector, k, o, outputs):  # type: ignore[no-untyped-def]
    """(B) float32 of vector (3, O)."""
    return tl.load(vector + k * outputs + o).to(tl.float32)


@triton.jit
def tile(x, row, n, v, t, people, V, T):  # type: ignore[no-untyped-def]
    """Pointers and mask of (B, W, TB) in x (…, N, V, T), whose leading index is row."""
    size = tl.cast(V * T, tl.int64)
    where = x + (row.to(tl.int64) * people + n)[:, None, None] * size + (v[:, None] * T + t[None, :])[None]
    return where, ((v < V)[:, None] & (t < T)[None, :])[None]


@triton.jit
def value_tile(values, bias, k, n, o, v, t, outputs, people, V, T):  # type: ignore[no-untyped-def]
    """x_k with its bias, (B, W, TB); zero for padded joints, whatever the bias."""
    where, inside = tile(values, k * outputs + o, n, v, t, people, V, T)
    x = tl.load(where, mask=inside, other=0.0)
    c = tl.where((v < V)[None, :], of_channels(bias, k, o, outputs)[:, None], 0.0).to(x.dtype)[:, :, None]
    if INTERPRETED:  # whose sums of bfloat16 are wrong
        x = (x.to(tl.float32) + c.to(tl.float32)).to(x.dtype)
    else:
        x += c
    return x


@triton.jit  # type: ignore[untyped-decorator]
def with_subset(  # type: ignore[no-untyped-def]
    z,
    k,
    rel,
    a,
    values,
    value_bias,
    weight,
    bias,
    alpha,
    n,
    o,
    v,
    t,
    outputs,
    people,
    V,
    T,
    R,
    TF32: tl.constexpr,
):
    """z + G_k · x_k, (B, U, TB)."""
    kind: tl.constexpr = values.dtype.element_ty
    w = refining(weight, alpha, k, o, outputs, R, rel.shape[0], kind)
    g = dot(w, rel, a + alpha * of_channels(bias, k, o, outputs)[:, None], TF32)
    x = value_tile(values, value_bias, k, n, o, v, t, outputs, people, V, T)
    return dot(g.to(kind).reshape(z.shape[0], z.shape[1], v.shape[0]), x, z, TF32)


@triton.jit(do_not_specialize=["people", "V"])  # type: ignore[untyped-decorator]
def forward_kernel(  # type: ignore[no-untyped-def]
    values, value_bias, embedded, weight, bias, alpha, graph, skip, shift, out,
    outputs, people, V, T, R, scale,
    B: tl.constexpr, RP: tl.constexpr, VP: tl.constexpr, U: tl.constexpr, TB: tl.constexpr,
    KEEP: tl.constexpr, SKIP: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """z of one person, U receiving joints, TB frames and a part of the channels.

    KEEP: the relations of all subsets stay in shared memory; else they are made again for every B channels.
    """
    parts: tl.constexpr = VP // U
    steps = tl.cdiv(T, TB)
    u = tl.program_id(0) % parts * U + tl.arange(0, U)
    t = tl.program_id(0) // parts % steps * TB + tl.arange(0, TB)
    n = tl.program_id(0) // parts // steps
    v = tl.arange(0, VP)
    kind: tl.constexpr = values.dtype.element_ty
    factor = tl.load(alpha).to(tl.float32)
    if KEEP:
        rel0 = relation(embedded, 0, n, u, v, people, V, R, scale, RP, kind)
        rel1 = relation(embedded, 1, n, u, v, people, V, R, scale, RP, kind)
        rel2 = relation(embedded, 2, n, u, v, people, V, R, scale, RP, kind)
        a0 = shared(graph, 0, u, v, V)
        a1 = shared(graph, 1, u, v, V)
        a2 = shared(graph, 2, u, v, V)
    each = tl.cdiv(tl.cdiv(outputs, B), tl.num_programs(1))
    first = tl.program_id(1) * each
    for block in range(first, tl.minimum(first + each, tl.cdiv(outputs, B))):
        o = block * B + tl.arange(0, B)
        where, inside = tile(out, o, n, u, t, people, V, T)
        z = tl.zeros((B, U, TB), tl.float32)
        if SKIP:
            beside, _ = tile(skip, o, n, u, t, people, V, T)
            z = (
                tl.load(beside, mask=inside, other=0.0).to(tl.float32)
                + of_channels(shift, 0, o, outputs)[:, None, None]
            )
        if KEEP:
            z = with_subset(
                z,
                0,
                rel0,
                a0,
                values,
                value_bias,
                weight,
                bias,
                factor,
                n,
                o,
                v,
                t,
                outputs,
                people,
                V,
                T,
                R,
                TF32,
            )
            z = with_subset(
                z,
                1,
                rel1,
                a1,
                values,
                value_bias,
                weight,
                bias,
                factor,
                n,
                o,
                v,
                t,
                outputs,
                people,
                V,
                T,
                R,
                TF32,
            )
            z = with_subset(
                z,
                2,
                rel2,
                a2,
                values,
                value_bias,
                weight,
                bias,
                factor,
                n,
                o,
                v,
                t,
                outputs,
                people,
                V,
                T,
                R,
                TF32,
            )
        else:
            for k in range(3):
                rel = relation(embedded, k, n, u, v, people, V, R, scale, RP, kind)
                a = shared(graph, k, u, v, V)
                z = with_subset(
                    z,
                    k,
                    rel,
                    a,
                    values,
                    value_bias,
                    weight,
                    bias,
                    factor,
                    n,
                    o,
                    v,
                    t,
                    outputs,
                    people,
                    V,
                    T,
                    R,
                    TF32,
                )
        if SKIP:
            z = tl.maximum(z, 0.0)
        tl.store(where, z.to(kind), mask=inside)


@triton.jit(do_not_specialize=["people", "V"])  # type: ignore[untyped-decorator]
def values_kernel(  # type: ignore[no-untyped-def]
    grad, embedded, weight, bias, alpha, graph, of_values, of_value_bias,
    outputs, people, V, T, R,
    B: tl.constexpr, RP: tl.constexpr, VP: tl.constexpr, W: tl.constexpr, TB: tl.constexpr, STEPS: tl.constexpr,
    TF32: tl.constexpr,
):  # fmt: skip
    """Gradient of the values of one person, one subset, W sending joints and a part of the channels.

    Sums over programs are left to the caller: of_value_bias is (P, N, 3, O), with P = VP / W.
    """
    parts: tl.constexpr = VP // W
    part, chunk, chunks = tl.program_id(0) % parts, tl.program_id(1), tl.num_programs(1)
    k = tl.program_id(0) // parts % 3
    n = tl.program_id(0) // parts // 3
    u, v = tl.arange(0, VP), part * W + tl.arange(0, W)
    kind: tl.constexpr = grad.dtype.element_ty
    factor = tl.load(alpha).to(tl.float32)
    rel = relation(embedded, k, n, u, v, people, V, R, 1.0, RP, kind)
    a = shared(graph, k, u, v, V)
    each = tl.cdiv(tl.cdiv(outputs, B), chunks)
    row = (tl.cast(part, tl.int64) * people + n) * 3 + k
    for block in range(chunk * each, tl.minimum((chunk + 1) * each, tl.cdiv(outputs, B))):
        o = block * B + tl.arange(0, B)
        w = refining(weight, factor, k, o, outputs, R, RP, kind)
        g = dot(w, rel, a + factor * of_channels(bias, k, o, outputs)[:, None], TF32)
        across = g.to(kind).reshape(B, VP, W).permute(0, 2, 1)
        dc = tl.zeros((B,), tl.float32)
        for step in range(STEPS):
            t = step * TB + tl.arange(0, TB)
            where, inside = tile(grad, o, n, u, t, people, V, T)
            dx = dot(across, tl.load(where, mask=inside, other=0.0), tl.zeros((B, W, TB), tl.float32), TF32)
            where, inside = tile(of_values, k * outputs + o, n, v, t, people, V, T)
            tl.store(where, dx.to(kind), mask=inside)
            dc += tl.sum(tl.sum(tl.where(inside, dx, 0.0), 2), 1)
        tl.store(of_value_bias + row * outputs + o, dc)


@triton.jit(do_not_specialize=["people", "V"])  # type: ignore[untyped-decorator]
def graphs_kernel(  # type: ignore[no-untyped-def]
    grad, values, value_bias, embedded, weight, alpha,
    of_rows, of_columns, of_graph, of_weight, of_bias,
    outputs, people, V, T, R,
    B: tl.constexpr, RP: tl.constexpr, VP: tl.constexpr, W: tl.constexpr, TB: tl.constexpr, STEPS: tl.constexpr,
    WARPS: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """Gradients of what the graphs are made of, for one person, one subset, W sending joints, a part of the channels.

    Sums over programs are left to the caller: with P = VP / W parts of the joints and K of the channels, of_bias is
    (P, N, 3, O) and of_weight (P, N, 3, O, R), both without α; of_graph (K, N, 3, V, V), of_rows (K, P, 3, R, N, V),
    of_columns (K, 3, R, N, V).
    """
    parts: tl.constexpr = VP // W
    part, chunk, chunks = tl.program_id(0) % parts, tl.program_id(1), tl.num_programs(1)
    k = tl.program_id(0) // parts % 3
    n = tl.program_id(0) // parts // 3
    u, v, r = tl.arange(0, VP), part * W + tl.arange(0, W), tl.arange(0, RP)
    kind: tl.constexpr = values.dtype.element_ty
    factor = tl.load(alpha).to(tl.float32)
    rel = relation(embedded, k, n, u, v, people, V, R, 1.0, RP, kind)
    # each warp sums its own piece of the joints in the product for W
    rel = rel.reshape(RP, WARPS, VP * W // WARPS).permute(1, 2, 0)
    drel = tl.zeros((RP, VP * W), tl.float32)
    da = tl.zeros((B // 2, VP, W), tl.float32)  # halves, as both channels of a pair lie in the same thread
    each = tl.cdiv(tl.cdiv(outputs, B), chunks)
    row = (tl.cast(part, tl.int64) * people + n) * 3 + k
    for block in range(chunk * each, tl.minimum((chunk + 1) * each, tl.cdiv(outputs, B))):
        o = block * B + tl.arange(0, B)
        dg = tl.zeros((B, VP, W), tl.float32)
        for step in range(STEPS):
            t = step * TB + tl.arange(0, TB)
            where, inside = tile(grad, o, n, u, t, people, V, T)
            dz = tl.load(where, mask=inside, other=0.0)
            x = value_tile(values, value_bias, k, n, o, v, t, outputs, people, V, T)
            dg = dot(dz, x.permute(0, 2, 1), dg, TF32)
        flat = dg.reshape(B, VP * W)
        da += tl.sum(dg.reshape(2, B // 2, VP, W), 0)
        tl.store(of_bias + row * outputs + o, tl.sum(flat, 1))
        w = refining(weight, factor, k, o, outputs, R, RP, kind)
        low = flat.to(kind)
        drel = dot(w.permute(1, 0), low, drel, TF32)
        low = low.reshape(B, WARPS, VP * W // WARPS).permute(1, 0, 2)
        dw = tl.sum(dot(low, rel, tl.zeros((WARPS, B, RP), tl.float32), TF32), 0)
        tl.store(of_weight + (row * outputs + o)[:, None] * R + r[None, :], dw, mask=(r < R)[None, :])
    inside = (u < V)[:, None] & (v < V)[None, :]
    base = of_graph + ((tl.cast(chunk, tl.int64) * people + n) * 3 + k) * V * V
    tl.store(base + u[:, None] * V + v[None, :], tl.sum(da, 0), mask=inside)
    # made again: it would fill registers during the loop
    full = relation(embedded, k, n, u, v, people, V, R, 1.0, RP, kind).to(tl.float32)
    drel = (drel * (1 - full * full)).reshape(RP, VP, W)
    place = ((k * R + r).to(tl.int64) * people + n)[:, None] * V
    whole = tl.cast(3 * R * V, tl.int64) * people
    columns = of_columns + chunk * whole + place
    tl.store(columns + v[None, :], -tl.sum(drel, 1), mask=(r < R)[:, None] & (v < V)[None, :])
    rows = of_rows + (chunk * parts + part) * whole + place
    tl.store(rows + u[None, :], tl.sum(drel, 2), mask=(r < R)[:, None] & (u < V)[None, :])


def forward(
    values: Tensor,
    value_bias: Tensor,
    embedded: Tensor,
    weight: Tensor,
    bias: Tensor,
    alpha: Tensor,
    graph: Tensor,
    scale: float = 1.0,
    skip: Tensor | None = None,
    shift: Tensor | None = None,
) -> Tensor:
    """Σ_k G_k · (x_k + c_k), (O, N, V, T); with a skip path ReLU(that + skip + shift).

    Args:
        values: x (3·O, N, V, T), float32 or bfloat16, in one piece like all others.
        value_bias: c (3·O) float32.
        embedded: q and p (2, 3, R, N, V), in the data type of x.
        weight: W (3, O, R) float32.
        bias: b (3, O) float32.
        alpha: α (1) float32.
        graph: A (3, V, V) float32.
        scale: what q − p is multiplied with.
        skip: (O, N, V, T), in the data type of x.
        shift: (O) float32, with the skip path.
    """
    outputs, count, joints, frames = len(values) // SUBSETS, *values.shape[1:]
    out = values.new_empty(outputs, count, joints, frames)
    reduced = _padded(weight.shape[2])
    step = _step(values)
    parts = JOINTS // PART
    programs = count * parts * triton.cdiv(frames, step)
    with _on(values):
        forward_kernel[programs, _chunks(programs, outputs)](
            values,
            value_bias,
            embedded,
            weight,
            bias,
            alpha,
            graph,
            values if skip is None else skip,
            value_bias if shift is None else shift,
            out,
            outputs,
            count,
            joints,
            frames,
            weight.shape[2],
            scale,
            B=CHANNELS,
            RP=reduced,
            VP=JOINTS,
            U=PART,
            TB=step,
            KEEP=_kept(values, reduced),
            SKIP=skip is not None,
            TF32=True,
            num_warps=WARPS,
            num_stages=1,
        )
    return out


def backward(
    grad: Tensor,
    values: Tensor,
    value_bias: Tensor,
    embedded: Tensor,
    weight: Tensor,
    bias: Tensor,
    alpha: Tensor,
    graph: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of what `forward` takes without a skip path, in the order of its first arguments without α.

    Those of values are in their data type, the others float32. Those of weight and bias are of αW and αb.

    Args:
        grad: of the result, (O, N, V, T), in the data type of the values and in one piece.
        values, value_bias, embedded, weight, bias, alpha, graph: see `forward`.
    """
    outputs, count, joints, frames = grad.shape
    rank = weight.shape[2]
    parts, step = JOINTS // PART, _step(values)
    programs = count * SUBSETS * parts
    chunks = _chunks(programs, outputs)
    of_values = torch.empty_like(values)

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float32, device=values.device)

    of_value_bias = empty(parts, count, SUBSETS, outputs)
    of_bias = empty(parts, count, SUBSETS, outputs)
    of_weight = empty(parts, count, SUBSETS, outputs, rank)
    of_graph = empty(chunks, count, SUBSETS, joints, joints)
    of_rows = empty(chunks, parts, SUBSETS, rank, count, joints)
    of_columns = empty(chunks, SUBSETS, rank, count, joints)
    sizes = (outputs, count, joints, frames, rank)
    options = {"num_warps": WARPS, "num_stages": 1}
    tile = {
        "B": CHANNELS,
        "RP": _padded(rank),
        "VP": JOINTS,
        "W": PART,
        "TB": step,
        "STEPS": triton.cdiv(frames, step),
        "TF32": True,
    }
    with _on(values):
        values_kernel[programs, chunks](
            grad, embedded, weight, bias, alpha, graph, of_values, of_value_bias, *sizes, **tile, **options
        )
        graphs_kernel[programs, chunks](
            grad,
            values,
            value_bias,
            embedded,
            weight,
            alpha,
            of_rows,
            of_columns,
            of_graph,
            of_weight,
            of_bias,
            *sizes,
            **tile,
            WARPS=WARPS,
            **options,
        )
    return (
        of_values,
        of_value_bias.sum((0, 1)).flatten(),
        torch.stack([of_rows.sum((0, 1)), of_columns.sum(0)]),
        of_weight.sum((0, 1)),
        of_bias.sum((0, 1)),
        of_graph.sum((0, 1)),
    )


def _padded(rank: int) -> int:
    return max(16, int(triton.next_power_of_2(rank)))


def _step(x: Tensor) -> int:
    """Frames in a tile."""
    return 32 if x.dtype is torch.bfloat16 and x.shape[3] > 16 else 16


def _chunks(programs: int, outputs: int) -> int:
    """Parts of the channels, each of which has a block of threads."""
    blocks = outputs // CHANNELS
    each = -(-blocks // min(blocks, -(-PROGRAMS // programs)))
    return -(-blocks // each)


def _kept(x: Tensor, reduced: int) -> bool:
    """Whether shared memory holds the relations of all subsets."""
    if x.dtype is not torch.bfloat16:
        return False
    needed = SUBSETS * reduced * JOINTS * PART * x.element_size() + TILES
    return not x.is_cuda or needed <= torch.cuda.get_device_properties(x.device).shared_memory_per_block_optin


def _on(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Launch where the tensor is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
