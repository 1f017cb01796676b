"""What a model recognises in a clip, and in its beginnings.

A network learns from pieces of clips that are resampled to a fixed number of frames. So a score of one frame does not
exist. What is shown at a frame is the score of the clip from its beginning to this frame, resampled as the whole clip
is: the last score is what `mmcl predict` says. Beginnings that are shorter than any piece that the training takes of
this clip are unlike anything that the network has learned from; from which frame on they are not is given along.
"""

import numpy as np

from mmcl.evaluation.recognise import Recogniser
from mmcl.report.player.shown import Recognition
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.mapping import map_joints

BEGINNINGS = 24
"""Of a clip, evenly over its time."""


def recognise(
    recogniser: Recogniser, named: str, clip: np.ndarray, layout: str
) -> tuple[Recognition, list[str]]:
    """Recognise a clip and its beginnings.

    Args:
        recogniser: the model.
        named: by the user.
        clip: (T, M, V, 3).
        layout: its joint layout; other joints than the model's are mapped by their names.

    Returns:
        The recognition, and in what the clip is unlike those of the training.

    Raises:
        UserError: the model's joints cannot be made from the clip's, one is not finite, or nobody is in it.
    """
    first = recogniser.first
    joints = map_joints(clip, layout, first.layout)
    begin = int((joints != 0).any((1, 2, 3)).argmax()) + 1  # nobody is in shorter beginnings
    ends = np.unique(np.linspace(begin, len(joints), BEGINNINGS).round().astype(int))
    scores = recogniser.scores([joints[:end] for end in ends], unchecked=True)
    differences = recogniser.differences([joints], mapped=layout != first.layout)[0]
    shortest = max(shortest_piece(model.settings.train, len(joints)) for model in recogniser.models)
    notes = [
        f"unlike the model's training clips: {one.message}"
        + (" (mmcl predict refuses it)" if one.refused else "")
        for one in differences
    ]
    return Recognition(named, list(first.class_names), ends, scores, shortest), notes


def shortest_piece(train: TrainSettings, frames: int) -> int:
    """Frames of the shortest piece of a clip of so many frames that the training shows; feeder `ucla` shows all."""
    if train.feeder != "resize":
        return frames
    return min(frames, max(int(train.crop[0] * frames), train.min_crop))
