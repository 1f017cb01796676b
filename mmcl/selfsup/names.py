"""Modalities, and what CrosSCLR and IKEM call them in their checkpoints."""

MODALITIES = ("joint", "joint_motion", "bone", "acceleration", "rotation_axis", "angular_velocity")
"""IKEM's six, in the released order, by which joint embeddings are put together."""
MANDATORY = MODALITIES[:3]
"""Those of CrosSCLR and of IKEM's students."""
LOCKED = ("joint", "bone", "rotation_axis")
"""Whose key encoders stand still while knowledge is exchanged; as released, chosen by name."""

SUFFIXES = dict(
    zip(MODALITIES, ("", "_motion", "_bone", "_acceleration", "_rotation_axis", "_omega"), strict=True)
)
LETTERS = dict(zip(MODALITIES, "jmbaro", strict=True))
