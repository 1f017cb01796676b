"""Moving bodies made for tests of the audit, without any damage."""

import numpy as np

from mmcl.audit import Source
from mmcl.datasets.protocols import Clips
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.report.layout_pictures import rest_pose


def body(seed: int, frames: int = 40, name: str = "ucla20") -> np.ndarray:
    """(T, 1, V, 3) metres: somebody stands 3 m away and moves mostly the arms, with a sensor's noise of 2 mm."""
    skeleton, rng = get_layout(name), np.random.default_rng(seed)
    pose = np.concatenate([rest_pose(skeleton), np.zeros((len(skeleton), 1))], axis=1)
    for joint in skeleton.joints:
        if joint.startswith("foot"):
            pose[skeleton.index(joint), 2] = 0.12
    reach = np.array([[0.05 if j.startswith(("elbow", "wrist", "hand")) else 0.015] for j in skeleton.joints])
    times = np.linspace(0, 2 * np.pi, frames)[:, None, None]
    waves = sum(
        rng.normal(0, 1, (len(skeleton), 3)) * np.sin(k * times + rng.uniform(0, 6.3, 3)) for k in (1, 2)
    )
    place = rng.uniform(-0.5, 0.5, 3) - np.array([0, 0, 3])
    joints = rng.uniform(0.9, 1.1) * pose + reach * waves / 2 + place
    return (joints + rng.normal(0, 0.002, joints.shape))[:, None]


def source(clips: dict[str, np.ndarray | str], name: str = "ucla20") -> Source:
    """Clips named `<action>_<subject>_…`; a text instead of an array is why the clip cannot be read."""
    names = sorted(clips)

    def read(i: int) -> np.ndarray:
        clip = clips[names[i]]
        if isinstance(clip, str):
            raise UserError(clip)
        return clip

    numbers = np.array([int(name.split("_")[1]) for name in names])
    actions = np.array([name.split("_")[0] for name in names], object)
    ones = np.ones(len(names), int)
    said = np.full(len(names), "", object)
    return Source(name, Clips(names, actions, numbers, ones, ones, said), read)
