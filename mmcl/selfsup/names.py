"""Modalities, and what CrosSCLR and IKEM call them in their checkpoints."""

MODALITIES = ("joint", "joint_motion", "bone", "acceleration", "rotation_axis", "angular_velocity")
"""IKEM's six, in the released order, in which joint embeddings are concatenated."""
MANDATORY = MODALITIES[:3]
"""Those of CrosSCLR and of IKEM's students."""
EARLY = "early"
"""The student that sees several modalities, concatenated channel by channel."""

SUFFIXES = dict(
    zip(MODALITIES, ("", "_motion", "_bone", "_acceleration", "_rotation_axis", "_omega"), strict=True)
)
"""Modality → what the names of its encoders and queues end in."""
LETTERS = dict(zip(MODALITIES, "jmbaro", strict=True))
"""Modality → its letter in the names of joint heads and students."""
