"""InfoGCN: an information bottleneck on attention-based graph convolutions (Chi et al., CVPR 2022)."""

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.models.backbone import Backbone
from mmcl.models.layers import (
    ChannelNorm,
    InputNorm,
    MultiScaleTemporal,
    classifier,
    fold_affine,
    skip_path,
)
from mmcl.models.reference import norm_names, point_norm_names, same_names, temporal_names
from mmcl.precision import exact
from mmcl.settings.base import AtLeastZero, Options

CHANNELS = (64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 2, 1, 1, 2, 1, 1)
HEADS = 3
PRIOR_SEED = 1
PRIOR_GAIN = 3.0
PRIOR_WEIGHT = 0.1  # λ2
MEAN_WEIGHT = 1e-4  # λ1
LARGEST_NOISE = 100.0


def mode_matrix(layout: str, k: int) -> Tensor:
    """I − Aᵏ, with which the k-th mode of a skeleton is its joints seen from their k-th ancestors.

    A[child, parent] = 1 in the tree of bones with the layout's centre as its root, the middle of the spine as in
    the release. A joint without a k-th ancestor stays as it is, so k = 1 are the bones and, as no joint lies
    deeper than seven bones, k = 8 are the joints themselves.

    Args:
        layout: name of a joint layout.
        k: 1 or more.

    Returns:
        (V, V) float32.

    Raises:
        UserError: no such layout, or k below 1.
    """
    if k < 1:
        raise UserError(f"k {k}: must be at least 1; every joint would be taken from itself, leaving zeros")
    skeleton = get_layout(layout)
    parents = list(skeleton.parents)
    # make the centre the root: reverse the bones between it and the layout's own root
    child = joint = skeleton.centre
    while parents[joint] != joint:
        parents[joint], child, joint = child, joint, parents[joint]
    parents[joint] = child
    adjacency = torch.zeros(len(skeleton), len(skeleton))
    for joint, parent in enumerate(parents):
        adjacency[joint, parent] = joint != parent
    found: Tensor = torch.eye(len(skeleton)) - torch.linalg.matrix_power(adjacency, k)
    return found


class AttentionGraphConv(nn.Module):
    """SA-GC: graphs that the joints of a frame infer from each other (Chi et al., CVPR 2022).

    For head h, with q and k two linear maps of LayerNorm(x), d = C/8 channels each, frame by frame:
        G_h[u, v] = A_h[u, v] · softmax_v(q_h[u] · k_h[v] / √d)
        z[u] = Σ_h W_h Σ_v G_h[u, v] x[v]
        y = ReLU(BN(z) + down(x))

    Args:
        inputs: channels in, C.
        outputs: channels out, O.
        joints: V.
    """

    def __init__(self, inputs: int, outputs: int, joints: int):
        super().__init__()
        self.inner_norm = nn.LayerNorm(inputs)
        self.query_key = nn.Linear(inputs, 2 * HEADS * (inputs // 8))  # q of the heads, then k
        nn.init.normal_(self.query_key.weight)
        self.topology = nn.Parameter(torch.eye(joints).repeat(HEADS, 1, 1))  # A, shared by all frames
        spread = (2 / (outputs * inputs * HEADS)) ** 0.5
        self.weight = nn.Parameter(torch.empty(HEADS, outputs, inputs).normal_(0, spread))
        self.bias = nn.Parameter(torch.zeros(HEADS, outputs))
        self.norm: nn.Module = ChannelNorm(outputs, 1e-6)  # so that a fresh block is its skip path
        self.down = skip_path(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, T)."""
        channels, count, joints, frames = x.shape
        # a frame's joints side by side, each with its channels: what the products of a frame read in one piece
        tokens = x.transpose(2, 3).flatten(1).t().contiguous()
        graphs = self.graphs(tokens, joints)
        # the sum over v first: its result, joint by joint and head by head, is what one product with all W_h takes
        seen = torch.bmm(graphs.flatten(1, 2), tokens.view(-1, joints, channels)).view(-1, HEADS * channels)
        weight = self.weight.transpose(0, 1).flatten(1)
        z = torch.addmm(self.bias.sum(0)[:, None], weight, seen.t())
        z = self.norm(z).view(-1, count, frames, joints)
        found: Tensor = (self.down(x) + z.transpose(2, 3)).relu_()
        return found

    def folded(self) -> nn.Module:
        """See `mmcl.models.layers.fold`."""
        assert isinstance(self.norm, ChannelNorm)
        scale, shift = self.norm.scale_shift()
        for weight, bias in zip(self.weight, self.bias, strict=True):
            fold_affine(weight, bias, scale, shift / HEADS)
        self.norm = nn.Identity()
        return self

    def graphs(self, tokens: Tensor, joints: int) -> Tensor:
        """G of tokens (N·T·V, C), joints V: (N·T, u, head, v)."""
        dim = tokens.shape[1] // 8
        scale = dim**-0.25  # on q and on k
        normed = self.inner_norm(tokens)
        qk = F.linear(normed, scale * self.query_key.weight, scale * self.query_key.bias)
        parts = qk.view(-1, joints, 2 * HEADS, dim).unbind(2)
        scores = torch.stack(
            [torch.bmm(q, k.transpose(1, 2)) for q, k in zip(parts[:HEADS], parts[HEADS:], strict=True)],
            dim=2,
        )
        full = torch.promote_types(scores.dtype, torch.float32)
        return scores.softmax(-1, dtype=full) * self.topology.transpose(0, 1)


class Block(nn.Module):
    """Graph convolution, temporal convolution, skip path: ReLU(ReLU(TCN(GCN(x))) + skip(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, joints: int):
        super().__init__()
        self.spatial = AttentionGraphConv(inputs, outputs, joints)
        self.temporal = MultiScaleTemporal(outputs, stride)
        _initialise(self.temporal)
        self.skip = skip_path(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(C, N, V, T) -> (O, N, V, ⌈T/stride⌉)."""
        found: Tensor = (self.temporal(self.spatial(x)).relu_() + self.skip(x)).relu_()
        return found


def _initialise(temporal: MultiScaleTemporal) -> None:
    """PyTorch's defaults, as in the release, for a temporal convolution."""
    bound = temporal.reduce.weight.shape[1] ** -0.5
    nn.init.uniform_(temporal.reduce.weight, -bound, bound)
    nn.init.uniform_(temporal.reduce.bias, -bound, bound)
    for module in (*temporal.convs, temporal.reduce_norm, temporal.norm):
        module.reset_parameters()


class InfoOptions(Options):
    """What InfoGCN alone takes."""

    k: int = Field(
        8,
        ge=1,
        le=8,
        description="Which mode of the skeleton it sees: every joint from its k-th ancestor; 8: the joints as they "
        "are.",
    )
    noise: AtLeastZero = Field(
        0.5,
        description="Factor on the log-variance of the noise in training; 0.5 gives the standard deviation.",
    )


class InfoGCN(Backbone):
    """The backbone.

    Its features are the bottleneck z, in training a sample μ + ε · exp(noise · log σ²) with
    ε ~ N(0, 1) from PyTorch's generator, in evaluation the mean μ.

    Args:
        num_classes: classes, K.
        layout: name of the joint layout.
        persons: persons per clip, M.
        graph: `natural`: each head's graph starts as the identity, whatever the layout.
        in_channels: channels per joint.
        width: factor on the number of channels; 64 · width must be a multiple of 8.
        k, noise: see `InfoOptions`.

    Attributes:
        feature_dim: width D of `features`, 256 · width.
        prior: (K, D) targets of the class means of z: orthogonal, of length 3 (with more classes than
            dimensions the columns are). It follows from K, D and PRIOR_SEED and is in no checkpoint.

    Raises:
        UserError: a width that does not give whole channels, another graph.
    """

    Options = InfoOptions

    mode: Tensor | None
    prior: Tensor

    def __init__(
        self,
        num_classes: int,
        layout: str,
        persons: int,
        graph: str,
        in_channels: int,
        width: float,
        *,
        k: int,
        noise: float,
    ):
        super().__init__()
        if graph != "natural":
            raise UserError(f"infogcn infers its graphs: it takes graph natural, not {graph}")
        if width <= 0 or (64 * width) % 8:
            raise UserError(f"width {width}: 64 · width must be a positive multiple of 8 for infogcn")
        with torch.device("cpu"):  # its values are looked at, even where the network is built on `meta`
            matrix = mode_matrix(layout, k)
            plain = torch.equal(matrix, torch.eye(len(matrix)))
        joints = len(matrix)
        self.register_buffer("mode", None if plain else matrix, persistent=False)
        channels = [int(c * width) for c in CHANNELS]
        sources = [channels[0], *channels[:-1]]
        self.persons = persons
        self.noise = noise
        self.embedding = nn.Linear(in_channels, channels[0])
        self.position = nn.Parameter(torch.randn(1, joints, channels[0]))
        self.input_norm = InputNorm(persons, joints, channels[0])
        self.blocks = nn.ModuleList(
            Block(source, target, stride, joints)
            for source, target, stride in zip(sources, channels, STRIDES, strict=True)
        )
        self.feature_dim = channels[-1]
        self.fc = nn.Linear(self.feature_dim, self.feature_dim)
        self.mean = nn.Linear(self.feature_dim, self.feature_dim)
        self.log_variance = nn.Linear(self.feature_dim, self.feature_dim)
        for layer in (self.fc, self.mean, self.log_variance):
            nn.init.xavier_uniform_(layer.weight, gain=2**0.5)
        self.head = classifier(self.feature_dim, num_classes)
        generator = torch.Generator().manual_seed(PRIOR_SEED)
        prior = torch.empty(num_classes, self.feature_dim)
        nn.init.orthogonal_(prior, PRIOR_GAIN, generator)
        self.register_buffer("prior", prior, persistent=False)

    def stem(self, x: Tensor) -> Tensor:
        """See `Backbone`: the joints' mode, embedded, normalised."""
        found: Tensor = self.input_norm(self.embed(x.permute(0, 4, 3, 1, 2)).permute(0, 3, 4, 2, 1))
        return found

    def stem_of(self, x: Tensor, slot: Tensor) -> Tensor:
        """See `Backbone`."""
        return self.input_norm.of(self.embed(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), slot)

    def embed(self, people: Tensor) -> Tensor:
        """Joints (…, V, C, T) -> E x + position, (…, V, 64 · width, T)."""
        *many, joints, channels, frames = people.shape
        # positions in metres need more than the three digits of bfloat16
        with exact(people.device):
            if self.mode is not None:
                people = torch.matmul(self.mode, people.flatten(-2))
            people = people.reshape(-1, channels, frames)
            shift = (self.position + self.embedding.bias).repeat(people.shape[0] // joints, 1, 1)
            weight = self.embedding.weight.expand(people.shape[0], -1, -1)
            embedded = torch.baddbmm(shift.flatten(0, 1)[..., None], weight, people)
            return embedded.view(*many, joints, -1, frames)

    def merge(self, people: Tensor) -> Tensor:
        """People (N, M, D) -> z (N, D)."""
        hidden = F.relu(self.fc(people.mean(1)))
        mean: Tensor = self.mean(hidden)
        if not self.training:
            return mean
        # limited before the exponential: an infinite one would give gradients that are no numbers
        spread: Tensor = (self.noise * self.log_variance(hidden)).clamp(max=math.log(LARGEST_NOISE)).exp()
        return mean + torch.randn_like(spread) * spread

    def auxiliary_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """λ2 · L_mmd + λ1 · L_z: moves the classes' means of z to the prior, and the mean of all to zero.

        As released: L_mmd is the mean of (class mean of z − prior)² over the batch's classes and the dimensions,
        L_z = ‖mean of z‖₂; no term limits σ.
        """
        with exact(features.device):
            z = features.to(self.prior.dtype)
            members = F.one_hot(labels, len(self.prior)).to(z.dtype)  # (N, K)
            counts = members.sum(0)
            means = members.T @ z / counts.clamp(min=1)[:, None]
            distances = (means - self.prior).square().mean(1)
            present = (counts > 0).to(z.dtype)
            marginal = torch.linalg.vector_norm(z.mean(0))
            found: Tensor = PRIOR_WEIGHT * (distances @ present) / present.sum() + MEAN_WEIGHT * marginal
            return found

    def reference_names(self) -> dict[str, list[str]]:
        """See `Backbone`; the names are those of InfoGCN's release."""
        names = {"position": ["pos_embedding"]} | norm_names("input_norm", "data_bn")
        for number, block in enumerate(self.blocks, start=1):
            names |= _block(block, f"blocks.{number - 1}", f"l{number}")
        layers = {
            "embedding": "to_joint_embedding",
            "fc": "fc",
            "mean": "fc_mu",
            "log_variance": "fc_logvar",
            "head": "decoder",
        }
        for ours, theirs in layers.items():
            names |= same_names(ours, theirs, "weight", "bias")
        return names


def _block(block: nn.Module, ours: str, theirs: str) -> dict[str, list[str]]:
    assert isinstance(block, Block)
    spatial, gcn = f"{ours}.spatial", f"{theirs}.agcn"
    names = {f"{spatial}.topology": [f"{gcn}.shared_topology"]}
    names |= same_names(f"{spatial}.inner_norm", f"{gcn}.attn.ln", "weight", "bias")
    names |= same_names(f"{spatial}.query_key", f"{gcn}.attn.to_qk", "weight", "bias")
    names |= same_names(spatial, [f"{gcn}.conv_d.{head}" for head in range(HEADS)], "weight", "bias")
    names |= norm_names(f"{spatial}.norm", f"{gcn}.bn")
    names |= point_norm_names(f"{spatial}.down", block.spatial.down, f"{gcn}.down.0", f"{gcn}.down.1")
    names |= temporal_names(f"{ours}.temporal", f"{theirs}.tcn.branches")
    residual = f"{theirs}.residual"
    names |= point_norm_names(f"{ours}.skip", block.skip, f"{residual}.conv", f"{residual}.bn")
    return names
