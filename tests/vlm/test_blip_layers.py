import torch
from torch import nn

from mmcl.vlm.blip_layers import attention, attention_of_few


class Own(nn.Module):
    """The layers of an attention with three heads, tokens of width 12 and states of width 20."""

    num_attention_heads = 3

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(inputs, 12) for inputs in (12, 20, 20))


def test_attention_without_keys_and_values_of_each_state_is_the_same():
    torch.manual_seed(0)
    own = Own().double()
    x, to = torch.randn(2, 4, 12).double(), 3 * torch.randn(2, 90, 20).double()
    expected = attention(own.query(x), own.key(to), own.value(to), 3)
    assert expected.std() > 0.1
    torch.testing.assert_close(attention_of_few(own, x, to), expected, atol=1e-12, rtol=0)
