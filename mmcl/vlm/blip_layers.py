"""Forward passes of BLIP's transformers with fused attention; the modules and their weights are transformers' own.

transformers computes BLIP's attention step by step and writes its weights to memory: in the vision encoder at 480 px
12 heads × 901² of them per picture and layer. `scaled_dot_product_attention` gives the same up to rounding without.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor


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
    mixed = attention(own.query(x), own.key(to), own.value(to), own.num_attention_heads, causal)
    found: Tensor = module.output(mixed, x)
    return found
