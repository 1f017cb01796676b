"""What the Triton kernels share."""

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit  # type: ignore[untyped-decorator]
def dot(a, b, acc, TF32: tl.constexpr):  # type: ignore[no-untyped-def]
    """acc + a · b, accumulated in float32; float32 products exactly, or in TF32."""
    if INTERPRETED:  # whose products of bfloat16 are wrong
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, acc, input_precision="tf32" if TF32 else "ieee")


@triton.jit  # type: ignore[untyped-decorator]
def rounded(x, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
    """x (float32) in another data type, to the nearest."""
    if INTERPRETED and tl.bfloat16 == KIND:  # it cuts digits off
        bits = x.to(tl.uint32, bitcast=True)
        bits += 0x7FFF + ((bits >> 16) & 1)
        x = (bits & 0xFFFF0000).to(tl.float32, bitcast=True)
    return x.to(KIND)
