"""The networks of pre-training and distillation from the section `selfsup` of config.yaml."""

from pathlib import Path
from typing import Any

from mmcl.selfsup.distiller import EARLY, Distiller
from mmcl.selfsup.files import read_encoders
from mmcl.selfsup.pretrainer import Pretrainer
from mmcl.selfsup.views import FORM

About = dict[str, Any]
"""See `mmcl.selfsup.files`."""


def build_pretrainer(options: dict, layout: str, persons: int) -> tuple[Pretrainer, About]:
    """One encoder a modality with its twin.

    Args:
        options: the section `selfsup`.
        layout: joint layout.
        persons: people per clip.

    Returns:
        The network, and what is told of its encoders.
    """
    encoder = {**options["encoder"], "layout": layout, "persons": persons}
    net = Pretrainer(
        options["modalities"],
        encoder,
        dim=options["dim"],
        memory=options["memory"],
        momentum=options["key_momentum"],
        temperature=options["temperature"],
        topk=options["topk"],
        context=options["context"],
        detach_other=options["detach_other"],
        mining_weight=options["mining_weight"],
        joint_weight=options["joint_weight"],
        locked=options["locked"],
        keys_start_apart=options["keys_start_apart"],
    )
    return net, {
        "inputs": {name: [name] for name in net.modalities},
        "encoder": encoder,
        "dim": options["dim"],
        "hidden": None,
        "view": {key: options[key] for key in FORM},
    }


def build_distiller(options: dict, teachers: str | Path) -> tuple[Distiller, About]:
    """Students beside the encoders of a pre-training, whose view of clips they share.

    Args:
        options: the section `selfsup` with the keys of `student` on top.
        teachers: `model.pt` of a pre-training.

    Returns:
        The network with the teachers' weights, and what is told of the students.
    """
    state, theirs = read_encoders(teachers)
    modalities = tuple(theirs["inputs"])
    own = tuple(options["modalities"])
    students = {next(iter(EARLY)): own} if options["early"] else {name: (name,) for name in own}
    encoder = {**theirs["encoder"], **options["encoder"]}
    net = Distiller(
        modalities,
        theirs["encoder"],
        students,
        encoder,
        dim=theirs["dim"],
        memory=options["memory"],
        temperature=options["temperature"],
        topk=options["topk"],
        teachers_train=options["teachers_train"],
        # the released code has it with six teachers, and with three no such modality
        wrong_memory=options["wrong_memory"] and {"bone", "angular_velocity"} <= set(modalities),
    )
    net.teachers.load_state_dict(state)
    wide = theirs["dim"] * len(modalities)
    return net, {
        "inputs": {name: list(fused) for name, fused in students.items()},
        "encoder": encoder,
        "dim": wide,
        "hidden": wide,
        "view": theirs["view"],
    }
