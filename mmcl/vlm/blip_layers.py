"""Forward passes of BLIP's transformers with fused attention; the modules and their weights are transformers' own.

transformers computes BLIP's attention step by step and writes its weights to memory: in the vision encoder at 480 px
12 heads × 901² of them per picture and layer. `scaled_dot_product_attention` gives the same up to rounding without.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = 16
"""Times as many states as tokens from which on `attention_of_few` costs less: a head is 64 of 768 wide."""


def attention(query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool = False) -> Tensor:
    """softmax(Q Kᵀ / √d) V in each head of width d = D / heads.

    Args:
        query: (B, L, D).
        key, value: (B, P, D).
        heads: their number.
        causal: position l attends to the positions up to l alone.

    Returns:
        (B, L, D)
    """
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, is_causal=causal).transpose(1, 2).flatten(2)


def attention_of_few(own: Any, x: Tensor, to: Tensor) -> Tensor:
    """`attention` of few tokens to many states, without a key and a value of each state.

    In each head q · (W x + b) = (Wᵀ q) · x + q · b, whose last part is the same for all states and leaves the softmax
    as it is; the weights sum to one, so that Σ a (V x + c) = V Σ a x + c.

    Args:
        own: the attention's `query`, `key` and `value`.
        x: the tokens (B, L, D).
        to: the states (B, P, E).

    Returns:
        (B, L, D)
    """
    heads = own.num_attention_heads
    query = own.query(x).unflatten(-1, (heads, -1))
    key, value = (one.weight.unflatten(0, (heads, -1)) for one in (own.key, own.value))
    asked = torch.einsum("blhd,hde->bhle", query, key).flatten(1, 2) / query.shape[-1] ** 0.5
    seen = (asked @ to.transpose(1, 2)).softmax(-1) @ to
    found = torch.einsum("bhle,hde->blhd", seen.unflatten(1, (heads, -1)), value).flatten(2)
    mixed: Tensor = found + own.value.bias
    return mixed


def encode_pictures(encoder: Any, pixels: Tensor, interpolate: bool) -> Tensor:
    """Pictures (B, 3, S, S) → the states of the last layer (B, patches + 1, D).

    Args:
        encoder: a `BlipVisionModel`.
        pixels: normalised.
        interpolate: the position embedding, for pictures of another size than the model's.
    """
    x: Tensor = encoder.embeddings(pixels, interpolate_pos_encoding=interpolate)
    for layer in encoder.encoder.layers:
        own = layer.self_attn
        query, key, value = own.qkv(layer.layer_norm1(x)).chunk(3, -1)
        x = x + own.projection(attention(query, key, value, own.num_heads))
        x = x + layer.mlp(layer.layer_norm2(x))
    last: Tensor = encoder.post_layernorm(x)
    return last


def encode_tokens(encoder: Any, tokens: Tensor, beside: Tensor, causal: bool) -> Tensor:
    """Tokens (B, L) → the states of the last layer (B, L, D); every layer also attends to states (B, P, D).

    Args:
        encoder: a `BlipTextModel`.
        tokens: their ids, none of them padding.
        beside: the states.
        causal: for a decoder.
    """
    x: Tensor = encoder.embeddings(input_ids=tokens)
    for layer in encoder.encoder.layer:
        x = _attend(layer.attention, x, x, causal)
        x = _attend(layer.crossattention, x, beside, causal=False)
        x = layer.feed_forward_chunk(x)
    return x


def _attend(module: Any, x: Tensor, to: Tensor, causal: bool) -> Tensor:
    own = module.self
    # few tokens look at a picture's many patches; in half precision the sums would be rounded more often
    if x.dtype == torch.float32 and to.shape[1] > FEW * x.shape[1]:
        mixed = attention_of_few(own, x, to)
    else:
        mixed = attention(own.query(x), own.key(to), own.value(to), own.num_attention_heads, causal)
    found: Tensor = module.output(mixed, x)
    return found
