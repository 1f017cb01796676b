"""Small trainings and views for the tests of self-supervised pre-training."""

import torch
from seeds import shifted

from mmcl.selfsup import STUDENTS, Distiller, Pretrainer

SETTINGS = {"backbone": "stgcn16", "layout": "utd20", "persons": 1, "width": 0.25}
DIM, SIZE, CLIPS, FRAMES = 8, 24, 4, 8


def pretrainer(modalities, seed=0, settings=SETTINGS, **more):
    torch.manual_seed(shifted(seed))
    return Pretrainer(modalities, settings, **({"dim": DIM, "memory": SIZE} | more))


def distiller(modalities, students=STUDENTS, seed=0, **more):
    torch.manual_seed(shifted(seed))
    return Distiller(modalities, SETTINGS, students, **({"dim": DIM, "memory": SIZE} | more))


def views(modalities, seed=0, clips=CLIPS, persons=1):
    """Modality → clips; random, as only shapes and identity matter here."""
    generator = torch.Generator().manual_seed(shifted(seed))
    shape = (clips, 3, FRAMES, 20, persons)
    return {name: torch.randn(shape, generator=generator) for name in modalities}
