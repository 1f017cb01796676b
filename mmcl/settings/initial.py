"""Whether a stream can begin from an encoder, by settings alone: asked when planning and when training."""

from collections.abc import Iterable

from mmcl.errors import UserError
from mmcl.settings.jobs import StreamTraining

CONVENTION = "ctr"
"""By which `train_stream` computes streams from joints."""


def initial_modality(training: StreamTraining) -> str:
    """The encoder's modality for a stream."""
    init = training.train.init
    return init.modality if init and init.modality else training.stream


def check_initial(
    training: StreamTraining,
    source: str,
    modalities: Iterable[str],
    network: tuple[str, str, float],
    convention: str,
) -> None:
    """Refuse encoders that a stream cannot begin from.

    Args:
        training: of the stream, with `train.init`.
        source: where the encoders are from, for the message.
        modalities: of the encoders that see one alone.
        network: their backbone, graph and width.
        convention: by which they compute modalities from joints.

    Raises:
        UserError: no encoder of this stream, or it has another backbone, graph or width, or sees joints by another
            convention.
    """
    wanted, modalities = initial_modality(training), list(modalities)
    if wanted not in modalities:
        there = ", ".join(modalities) or "none of one modality"
        raise UserError(
            f"train.init: {source} has no encoder of {wanted} for stream {training.stream}; it has: {there}"
        )
    model = training.model
    own_options = model.options.get(model.backbone)
    backbone, graph, width = network
    for what, own, theirs in [
        ("backbone", model.backbone, backbone),
        ("graph", model.graph, graph),
        ("width", model.width, width),
        ("options", own_options.dump() if own_options else {}, {}),  # encoders have a backbone's defaults
        ("convention", CONVENTION, convention),
    ]:
        if own != theirs:
            raise UserError(f"train.init: {source} has encoders with {what} {theirs}, this stream has {own}")
