"""Small trainings and views for the tests of self-supervised pre-training."""

import torch
from seeds import shifted

from mmcl.selfsup import MANDATORY, Distiller, Pretrainer
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.files import EncodersDescription
from mmcl.settings.selfsup import DistillationSettings, PretrainingSettings

ENCODER = {"backbone": "stgcn16", "width": 0.25}
DIM, SIZE, CLIPS, FRAMES = 8, 24, 4, 8


def form(**encoder):
    """Of a small encoder for one person of layout utd20."""
    return EncoderForm.model_validate({"layout": "utd20", "persons": 1, **ENCODER, **encoder})


def description(modalities, dim=DIM, view=None, **encoder):
    """Of pre-trained encoders."""
    inputs = {name: [name] for name in modalities}
    about = {"inputs": inputs, "encoder": form(**encoder), "dim": dim, "hidden": None, "view": view or {}}
    return EncodersDescription.model_validate(about)


def pretraining(modalities, **more):
    """Settings, with the defaults for what is not about size."""
    alone = {"exchange_after": None} if len(modalities) == 1 else {}
    small = {"modalities": modalities, "dim": DIM, "memory": SIZE, "batch": 2, **alone}
    return PretrainingSettings.model_validate(small | more)


def pretrainer(modalities, seed=0, encoder=None, **more):
    torch.manual_seed(shifted(seed))
    return Pretrainer(pretraining(modalities, **more), form(**encoder or {}))


def distiller(modalities, students=MANDATORY, seed=0, encoder=None, **more):
    torch.manual_seed(shifted(seed))
    settings = DistillationSettings.model_validate(
        {"modalities": students, "memory": SIZE, "batch": 2} | more
    )
    return Distiller(description(modalities, **encoder or {}), settings)


def views(modalities, seed=0, clips=CLIPS, persons=1):
    """Modality → clips; random, as only shapes and identity matter here."""
    generator = torch.Generator().manual_seed(shifted(seed))
    shape = (clips, 3, FRAMES, 20, persons)
    return {name: torch.randn(shape, generator=generator) for name in modalities}
