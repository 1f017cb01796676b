"""The start of a training from the weights of an encoder that was pre-trained without labels."""

import logging
from pathlib import Path

from mmcl.models.backbone import Backbone
from mmcl.selfsup.files import Encoders, load_encoders
from mmcl.settings.initial import check_initial, initial_modality
from mmcl.settings.jobs import StreamTraining

log = logging.getLogger(__name__)


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
    encoder, view = encoders.description.encoder, encoders.description.view
    single = [fused[0] for fused in encoders.inputs.values() if len(fused) == 1]
    network = encoder.backbone, encoder.graph, encoder.width
    check_initial(settings, str(path), single, network, view.convention)
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
    wanted = initial_modality(settings)
    name = next(name for name, fused in encoders.inputs.items() if fused == (wanted,))
    state = encoders.backbones[name].state_dict()
    own = {key: value for key, value in backbone.state_dict().items() if key.startswith("head.")}
    backbone.load_state_dict(
        {key: value for key, value in state.items() if not key.startswith("head.")} | own
    )
