"""Entries of our state dicts beside those of the released models that they hold."""

from torch import nn

from mmcl.models.layers import PointNorm


def same_names(ours: str, theirs: str | list[str], *entries: str) -> dict[str, list[str]]:
    """`ours.entry` → [`theirs.entry`, …] for each entry; several of theirs are joined along the first axis."""
    parts = [theirs] if isinstance(theirs, str) else theirs
    return {f"{ours}.{entry}": [f"{part}.{entry}" for part in parts] for entry in entries}


def norm_names(ours: str, theirs: str | list[str]) -> dict[str, list[str]]:
    """The entries of a batch normalisation, or of several that are one here."""
    return same_names(ours, theirs, "weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def point_norm_names(ours: str, module: nn.Module | None, conv: str, norm: str) -> dict[str, list[str]]:
    """The entries of a `skip_path`: those of a convolution and a batch normalisation, or none."""
    if not isinstance(module, PointNorm):
        return {}
    return same_names(f"{ours}.0", conv, "weight", "bias") | norm_names(f"{ours}.1", norm)


def temporal_names(ours: str, theirs: str, bias: str = "conv.bias") -> dict[str, list[str]]:
    """The entries of a `MultiScaleTemporal`, which CTR-GCN, HD-GCN and InfoGCN share.

    Args:
        ours: its name here.
        theirs: the name of the released `branches`.
        bias: what the release calls the bias of a dilated convolution.
    """
    names = same_names(f"{ours}.reduce", [f"{theirs}.{k}.0" for k in range(4)], "weight", "bias")
    names |= norm_names(f"{ours}.reduce_norm", [f"{theirs}.{k}.1" for k in range(3)])
    for k in range(2):
        names[f"{ours}.convs.{k}.weight"] = [f"{theirs}.{k}.3.conv.weight"]
        names[f"{ours}.convs.{k}.bias"] = [f"{theirs}.{k}.3.{bias}"]
    last = [f"{theirs}.0.3.bn", f"{theirs}.1.3.bn", f"{theirs}.2.4", f"{theirs}.3.1"]
    return names | norm_names(f"{ours}.norm", last)
