"""InfoGCN as its equations read, in the manner of `reference_ctrgcn`, for plain joints (k = 8)."""

import torch
from reference_layers import CHANNELS, STRIDES, Temporal, normalised, point_norm, pooled, residual
from torch import Tensor, nn

from mmcl.layouts import get_layout

HEADS = 3
NOISE, LARGEST_NOISE = 0.5, 100.0


class Attention(nn.Module):
    """Graphs that the joints of a frame infer from each other: (N, C, T, V) -> (N, T, head, u, v)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.ln = nn.LayerNorm(inputs)
        self.to_qk = nn.Linear(inputs, 2 * HEADS * (inputs // 8))

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.to_qk(self.ln(x.permute(0, 2, 3, 1))).unflatten(-1, (2, HEADS, -1)).unbind(3)
        scores = torch.einsum("ntuhd,ntvhd->nthuv", q, k) / q.shape[-1] ** 0.5
        return scores.softmax(-1)


class Spatial(nn.Module):
    """Three heads, one convolution for each, batch norm, skip path."""

    def __init__(self, inputs: int, outputs: int, joints: int):
        super().__init__()
        self.shared_topology = nn.Parameter(torch.eye(joints).repeat(HEADS, 1, 1))
        self.attn = Attention(inputs)
        self.conv_d = nn.ModuleList(nn.Conv2d(inputs, outputs, 1) for _ in range(HEADS))
        self.bn = nn.BatchNorm2d(outputs)
        self.down = point_norm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        graphs = self.attn(x) * self.shared_topology
        z = sum(
            conv(torch.einsum("ntuv,nctv->nctu", graphs[:, :, head], x))
            for head, conv in enumerate(self.conv_d)
        )
        return torch.relu(self.bn(z) + self.down(x))


class Block(nn.Module):
    """Graph convolution, temporal convolution with a ReLU of its own, skip path."""

    def __init__(self, inputs: int, outputs: int, stride: int, joints: int):
        super().__init__()
        self.agcn = Spatial(inputs, outputs, joints)
        self.tcn = Temporal(outputs, stride)
        self.residual = residual(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.relu(self.tcn(self.agcn(x))) + self.residual(x))


class ReferenceInfoGCN(nn.Module):
    """Clips (N, 3, T, V, M) -> logits (N, num_classes); in training with noise on the bottleneck."""

    def __init__(self, num_classes: int, layout: str = "ntu25", persons: int = 2, width: float = 1.0):
        super().__init__()
        joints = len(get_layout(layout))
        outputs = [int(width * channels) for channels in CHANNELS[1:]]
        self.persons = persons
        self.pos_embedding = nn.Parameter(torch.randn(1, joints, outputs[0]))
        self.to_joint_embedding = nn.Linear(3, outputs[0])
        self.data_bn = nn.BatchNorm1d(persons * joints * outputs[0])
        self.blocks = len(outputs)
        sizes = zip([outputs[0], *outputs[:-1]], outputs, STRIDES[1:], strict=True)
        for number, (inputs, own, stride) in enumerate(sizes, start=1):
            self.add_module(f"l{number}", Block(inputs, own, stride, joints))
        dim = outputs[-1]
        self.fc, self.fc_mu, self.fc_logvar = (nn.Linear(dim, dim) for _ in range(3))
        self.decoder = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.bottleneck(x))

    def bottleneck(self, x: Tensor) -> Tensor:
        """Clips (N, 3, T, V, M) -> z (N, D)."""
        x = self.to_joint_embedding(x.permute(0, 4, 2, 3, 1)) + self.pos_embedding  # (N, M, T, V, C)
        x = normalised(x.permute(0, 4, 2, 3, 1), self.data_bn)
        for number in range(1, self.blocks + 1):
            x = getattr(self, f"l{number}")(x)
        hidden = torch.relu(self.fc(pooled(x, self.persons)))
        mean = self.fc_mu(hidden)
        if not self.training:
            return mean
        spread = (NOISE * self.fc_logvar(hidden)).exp().clamp(max=LARGEST_NOISE)
        return mean + torch.randn_like(spread) * spread


def auxiliary_loss(z: Tensor, labels: Tensor, prior: Tensor) -> Tensor:
    """0.1 · mean of (class mean of z − prior)² over the batch's classes + 1e-4 · ‖mean of z‖."""
    members = nn.functional.one_hot(labels, len(prior)).to(z.dtype)
    counts = members.sum(0)
    distances = (members.T @ z / counts.clamp(min=1)[:, None] - prior).square().mean(1)
    present = (counts > 0).to(z.dtype)
    return 0.1 * (distances * present).sum() / present.sum() + 1e-4 * z.mean(0).norm()
