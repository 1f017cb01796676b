"""Whether a stream can begin from a trained network, by settings alone: asked when planning and when training."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from mmcl.errors import UserError
from mmcl.settings.base import Options
from mmcl.settings.jobs import StreamTraining

CONVENTION = "ctr"
"""By which `train_stream` computes streams from joints."""


class InitialNetwork(NamedTuple):
    """What a stream may begin from: `options` are those of the backbone, None for its defaults."""

    backbone: str
    graph: str
    width: float
    options: Options | None = None


def initial_modality(training: StreamTraining) -> str:
    """What the network sees that a stream begins from."""
    init = training.train.init
    return init.modality if init and init.modality else training.stream


def check_initial(
    training: StreamTraining,
    source: str,
    modalities: Iterable[str],
    network: InitialNetwork,
    convention: str = CONVENTION,
) -> None:
    """Refuse networks that a stream cannot begin from.

    Args:
        training: of the stream, with `train.init`.
        source: where the networks are from, for the message.
        modalities: of the networks that see one alone.
        network: their form.
        convention: by which they compute modalities from joints.

    Raises:
        UserError: none of this stream, or it has another backbone, graph, width or options, or sees joints by another
            convention.
    """
    what = "stream" if training.train.init and training.train.init.what == "stream" else "encoder"
    wanted, modalities = initial_modality(training), list(modalities)
    if wanted not in modalities:
        there = ", ".join(modalities) or "none of one modality"
        raise UserError(
            f"train.init: {source} has no {what} of {wanted} for stream {training.stream}; it has: {there}"
        )
    model = training.model
    for key, own, theirs in [
        ("backbone", model.backbone, network.backbone),
        ("graph", model.graph, network.graph),
        ("width", model.width, network.width),
        ("options", _dumped(model.options.get(model.backbone)), _dumped(network.options)),
        ("convention", CONVENTION, convention),
    ]:
        if own != theirs:
            raise UserError(f"train.init: {source} has {what}s with {key} {theirs}, this stream has {own}")


def _dumped(options: Options | None) -> dict[str, Any]:
    return options.dump() if options else {}
