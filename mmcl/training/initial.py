"""The start of a training from the weights of a network that was trained before: an encoder, or another stream."""

import logging
from pathlib import Path
from typing import NamedTuple

from mmcl.models.backbone import Backbone
from mmcl.selfsup.files import load_encoders
from mmcl.settings.initial import InitialNetwork, check_initial, initial_modality
from mmcl.settings.jobs import StreamTraining
from mmcl.training.trained import load_model

log = logging.getLogger(__name__)


class Initial(NamedTuple):
    """The network that a stream begins from, whose joints and people are then the stream's.

    Attributes:
        backbone: its weights count, not its head.
        layout: joint layout.
        persons: people per clip.
    """

    backbone: Backbone
    layout: str
    persons: int


def open_initial(path: str | Path, settings: StreamTraining) -> Initial:
    """The network that a stream is to begin from.

    The window may be another: the networks are convolutions in time.

    Args:
        path: `model.pt` of pretrain_streams or distil_student; of train_stream with `what: stream`.
        settings: of `train_stream`, with `train.init`.

    Raises:
        UserError: not such a file, no network of this stream, or it has another backbone, graph, width or options, or
            sees joints by another convention.
    """
    init, feeder = settings.train.init, settings.train.feeder
    if init and init.what == "stream":
        found, seen = _stream(Path(path), settings)
    else:
        found, seen = _encoder(path, settings), "resize"
    if feeder != seen:
        log.warning("train.init: %s was shown clips by feeder %s, this training has %s", path, seen, feeder)
    return found


def _encoder(path: str | Path, settings: StreamTraining) -> Initial:
    encoders = load_encoders(path)
    encoder, view = encoders.description.encoder, encoders.description.view
    single = {fused[0]: name for name, fused in encoders.inputs.items() if len(fused) == 1}
    network = InitialNetwork(encoder.backbone, encoder.graph, encoder.width)
    check_initial(settings, str(path), single, network, view.convention)
    backbone = encoders.backbones[single[initial_modality(settings)]]
    return Initial(backbone, encoders.layout, encoders.persons)


def _stream(path: Path, settings: StreamTraining) -> tuple[Initial, str]:
    """The network, and the feeder that it was trained with."""
    trained = load_model(path)
    model = trained.settings.model
    network = InitialNetwork(model.backbone, model.graph, model.width, model.options.get(model.backbone))
    check_initial(settings, str(path), [trained.settings.stream], network)
    return Initial(trained.model.backbone, trained.layout, trained.persons), trained.settings.train.feeder


def begin_from(backbone: Backbone, initial: Initial) -> None:
    """Copy a network's weights, all but its head's, into a stream's backbone."""
    own = {key: value for key, value in backbone.state_dict().items() if key.startswith("head.")}
    state = initial.backbone.state_dict()
    backbone.load_state_dict(
        {key: value for key, value in state.items() if not key.startswith("head.")} | own
    )
