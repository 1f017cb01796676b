"""The start of a training from the weights of an encoder that was pre-trained without labels."""

import logging
from pathlib import Path

from mmcl.errors import UserError
from mmcl.models.backbone import Backbone
from mmcl.selfsup.files import Encoders, load_encoders
from mmcl.settings.jobs import StreamTraining

log = logging.getLogger(__name__)

CONVENTION = "ctr"
"""By which `train_stream` computes streams from joints."""


def open_initial(path: str | Path, settings: StreamTraining) -> Encoders:
    """The encoders that a stream is to begin from, one of which fits it.

    Layout and people of the training are then the encoders'. The window may be another: the networks are
    convolutions in time.

    Args:
        path: `model.pt` of pretrain_streams or distil_student.
        settings: of `train_stream`, with `train.init`.

    Raises:
        UserError: not such a file, no encoder of this stream, or it has another backbone, graph or width, or sees
            joints by another convention.
    """
    encoders = load_encoders(path)
    model, encoder = settings.model, encoders.description.encoder
    wanted = _modality(settings)
    single = {name: fused for name, fused in encoders.inputs.items() if len(fused) == 1}
    if (wanted,) not in single.values():
        there = ", ".join(single) or "none of one modality"
        raise UserError(
            f"train.init: {path} has no encoder of {wanted} for stream {settings.stream}; it has: {there}"
        )
    own_options = model.options.get(model.backbone)
    for what, own, theirs in [
        ("backbone", model.backbone, encoder.backbone),
        ("graph", model.graph, encoder.graph),
        ("width", model.width, encoder.width),
        ("options", own_options.dump() if own_options else {}, {}),  # encoders have a backbone's defaults
        ("convention", CONVENTION, encoders.description.view.convention),
    ]:
        if own != theirs:
            raise UserError(f"train.init: {path} was trained with {what} {theirs}, this stream has {own}")
    if settings.train.feeder != "resize":
        log.warning("train.init: %s saw clips in metres, train.feeder ucla stretches them", path)
    return encoders


def begin_from(backbone: Backbone, encoders: Encoders, settings: StreamTraining) -> None:
    """Copy an encoder's weights, all but its head's, into a stream's backbone.

    Args:
        backbone: of the training.
        encoders: of `open_initial`.
        settings: of `train_stream`.
    """
    wanted = _modality(settings)
    name = next(name for name, fused in encoders.inputs.items() if fused == (wanted,))
    state = encoders.backbones[name].state_dict()
    own = {key: value for key, value in backbone.state_dict().items() if key.startswith("head.")}
    backbone.load_state_dict(
        {key: value for key, value in state.items() if not key.startswith("head.")} | own
    )


def _modality(settings: StreamTraining) -> str:
    """The encoder's modality for a stream."""
    init = settings.train.init
    return init.modality if init and init.modality else settings.stream
