"""Forms of the published checkpoints: their entries beside a backbone's, and the shapes of entries."""

import re

from torch import Tensor

LINEAR = re.compile(
    r"(^|\.)(fc|fc\.\d|fc_mu|fc_logvar|decoder|to_joint_embedding|to_qk|mlp(\.|2[a-z]\.)\d)\.weight$"
)
CONV1D = re.compile(r"\.aha\.aggregate\.weight$")
QUEUE = re.compile(r"queue(?!_ptr)")
IMAGE_BIAS = re.compile(r"\.branches\.\d\.3\.bias$")
"""Released entries that are none of a 2-D convolution or a vector; HD-GCN adds a bias to the image by hand."""
HEADS = ("PosMatrix", "NegMatrix", "mlp.", "FAM_Aligh.", "inception_v3.")
"""Entries of the released MMCL model beside its backbone, which are left out for a net without such a part."""
CNN = "inception_v3."
"""Prefix of FAM's CNN in MMCL's release: torchvision's network under torchvision's names."""
SIDE_HEAD = CNN + "AuxLogits."
"""Inception's auxiliary head, which gets no gradient in FAM."""
DERIVED = ("queue_teacher", "queue_ptr_teacher")
"""Entries that IKEM's student training saves a second time: the teachers' queues, joined."""
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys of the state dict in published checkpoints, where it is not the whole file."""
COUNTER = "num_batches_tracked"
"""Batch norms have it since PyTorch 0.4.1, so that older files lack it. Nothing here depends on its value."""


def released_shape(name: str, ours: Tensor, parts: int) -> tuple[int, ...]:
    """The shape that an entry has in the released model.

    Args:
        name: its released name.
        ours: our entry that holds it.
        parts: how many released entries that one holds, all of the same shape.
    """
    if ours.dim() == 0 or name.startswith(CNN):
        return tuple(ours.shape)
    entry, length = name.rpartition(".")[2], ours.numel() // parts
    if QUEUE.match(name):
        return tuple(ours.shape[-2:])
    if IMAGE_BIAS.search(name):
        return 1, length, 1, 1
    if entry == "bias" or ours.dim() == 1:
        return (length,)
    if name == "pos_embedding":
        return (1, *ours.shape[-2:])
    if entry != "weight":  # graphs, FRM's matrices
        return tuple(ours.shape if parts == 1 else ours.shape[1:])
    if ours.dim() == 4:  # a convolution over time, which is our last axis
        return (*ours.shape[:2], ours.shape[3], ours.shape[2])
    inputs = ours.shape[-1]
    axes = 0 if LINEAR.search(name) else 1 if CONV1D.search(name) else 2
    return (length // inputs, inputs, *axes * (1,))
