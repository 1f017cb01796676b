"""Drawing one clip of the demo: the same motion for all cameras of a recording, pixels from the seed alone."""

from collections.abc import Iterator

import numpy as np

from mmcl.demo.actions import ACTIONS, Performance, perform
from mmcl.demo.camera import Camera, place_camera
from mmcl.demo.figure import figure
from mmcl.demo.kinematics import Array
from mmcl.demo.objects import KINDS
from mmcl.demo.props import Prop
from mmcl.demo.raster import Canvas
from mmcl.demo.scene import Backdrop, backdrop, shadow, with_chair
from mmcl.demo.seeding import generator
from mmcl.demo.solids import project
from mmcl.errors import UserError

UTD20 = (4, 21, 2, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
"""NTU joint (1-based) nearest to each of Kinect v1's 20, in UTD-MHAD's order."""

NOISE = 2.2
"""Standard deviation of the lens noise in grey levels."""


def setup_of(subject: int) -> int:
    """NTU setup number of a subject: 1–4 up to subject 40, 18–21 above (NTU-120 adds setups 18–32)."""
    return 1 + (subject - 1) % 4 if subject <= 40 else 18 + (subject - 41) % 4


def ntu_name(action: int, subject: int, camera: int, replication: int) -> str:
    """`SsssCcccPpppRrrrAaaa`."""
    return f"S{setup_of(subject):03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}"


UTD_ACTIONS = {23: 3, 96: 6, 63: 7, 9: 24, 8: 25, 80: 27}
"""NTU number -> UTD-MHAD number of the same action."""


def utd_name(action: int, subject: int, trial: int) -> str:
    """`a<action>_s<subject>_t<trial>` with UTD-MHAD's own action number."""
    return f"a{UTD_ACTIONS[action]}_s{subject}_t{trial}"


def pick_length(
    seed: int, form: str, action: int, subject: int, replication: int, span: tuple[int, int]
) -> int:
    """Number of frames of a recording, within `span`."""
    rng = generator("length", seed, form, action, subject, replication)
    return int(rng.integers(span[0], span[1] + 1))


class Shot:
    """One recording by one camera, drawn frame by frame.

    The same arguments give the same pixels, in every run and in every process. T frames, M persons.

    Args:
        action: NTU number, one of `ACTIONS`.
        subject: decides body, clothes, style and (NTU form) the room.
        camera: 1 frontal, 2 and 3 from the sides; the motion does not depend on it.
        replication: number of the recording.
        seed: seed of the data set.
        frames: T.
        size: (width, height) of the picture.
        held: draw this object in the hand instead of the action's own ("none": empty hands), so that training can
            separate object and action; None for the action's own.
        form: "ntu" or "utd_mhad", which has other bodies and another camera.

    Attributes:
        object: the object in the hand, one of `KINDS`.
        joints: (T, M, 25, 3) camera coordinates in metres, free of sensor noise.
        pixels: (T, M, 25, 2) positions of the joints in the picture.
        boxes: (T, M, 4) x0 y0 x1 y1 in pixels, of each person without the object, inside the picture.
        object_pixels: (T,) visible pixels of the object: 0 while it is hidden or out of the picture; filled in while
            the pictures are drawn.

    Raises:
        UserError: an action or object that is not drawn.
    """

    def __init__(
        self,
        action: int,
        subject: int,
        camera: int,
        replication: int,
        *,
        seed: int,
        frames: int,
        size: tuple[int, int],
        held: str | None,
        form: str,
    ):
        if action not in ACTIONS:
            raise UserError(f"the demo draws the NTU actions {sorted(ACTIONS)}, not {action}")
        if held is not None and held not in KINDS:
            raise UserError(f"held must be one of {', '.join(KINDS)}, not {held!r}")
        who = f"{form}/{subject}"
        setup = setup_of(subject) if form == "ntu" else 1
        self.show: Performance = perform(action, who, replication, seed=seed, frames=frames, held=held)
        self.view: Camera = place_camera(seed, form, setup, camera, size)
        self.room: Backdrop = backdrop(seed, form, setup, camera, size)
        appearance = generator("looks", seed, who, action, replication)
        if self.show.chair is not None:
            self.room = with_chair(self.room, self.view, *self.show.chair, appearance)
        names = [who, f"{who}/partner"]
        solids = [figure(a, n, seed) for a, n in zip(self.show.actors, names, strict=False)]
        self.figures = [project(s, self.view, self.room.lamp) for s in solids]
        self.prop = None
        self.object = "none"
        if self.show.held is not None:
            self.object = self.show.held.kind
            self.prop = Prop(self.show.held, self.view, self.room.lamp, appearance)
        world = np.stack([a.stacked() for a in self.show.actors], 1)
        self.joints = self.view.to_camera(world)
        self.pixels = self.view.project(self.joints)
        self.boxes = self._boxes(size)
        self.frames = frames
        self.object_pixels = np.zeros(frames, int)
        self._noise = generator("lens", seed, who, action, replication, camera)

    def _boxes(self, size: tuple[int, int]) -> Array:
        boxes = []
        for k, drawn in enumerate(self.figures):
            low = np.minimum(drawn.boxes[..., :2].min(1), self.pixels[:, k].min(1))
            high = np.maximum(drawn.boxes[..., 2:].max(1), self.pixels[:, k].max(1))
            boxes.append(np.clip(np.concatenate([low, high], -1), 0, np.array(size * 2)))
        return np.stack(boxes, 1)

    def empty(self) -> Array:
        """The room without anybody (H, W, 3) RGB uint8."""
        image: Array = np.clip(self.room.image, 0, 255).astype(np.uint8)
        return image

    def pictures(self, every: int = 1) -> Iterator[Array]:
        """Yield every `every`-th frame (H, W, 3) RGB uint8, each a new array."""
        import cv2

        height, width = self.room.depth.shape
        canvas = Canvas(height, width)
        grain = self._noise.normal(0, NOISE, (height + 32, width + 32, 1)).astype(np.float32)
        grain = grain + 0.5 * self._noise.normal(0, NOISE, (height + 32, width + 32, 3)).astype(np.float32)
        shifts = self._noise.integers(0, 33, (self.frames, 2))
        gains = 1 + 0.006 * self._noise.normal(0, 1, self.frames)
        for t in range(0, self.frames, every):
            canvas.start(self.room.image, self.room.depth)
            for actor in self.show.actors:
                for ankle in (15, 19):
                    shadow(canvas.image, self.view, actor.joints[ankle][t, ::2], 0.20, 0.40)
                shadow(canvas.image, self.view, actor.joints[1][t, ::2], 0.42, 0.30)
            for drawn in self.figures:
                shapes, textures = drawn.shapes[t], drawn.textures[t]
                for k in drawn.order[t]:
                    canvas.capsule(shapes[k], textures[k])
            if self.prop is not None:
                before = canvas.depth.copy()
                self.prop.draw(canvas, t)
                self.object_pixels[t] = np.count_nonzero(canvas.depth < before)
            y, x = shifts[t]
            image = canvas.image
            image *= np.float32(gains[t])
            image += grain[y : y + height, x : x + width]
            yield cv2.convertScaleAbs(np.maximum(image, 0, out=image))


def utd_joints(joints: Array) -> Array:
    """Kinect v2's joints (…, 25, 3) as Kinect v1 places its 20, in UTD-MHAD's order (…, 20, 3).

    Kinect v1 puts hip centre and spine close together above the pelvis and the shoulder centre higher (seen
    on the real recordings); the others coincide.
    """
    result = joints[..., np.array(UTD20) - 1, :].copy()
    base, middle, top, neck = (joints[..., k - 1, :] for k in (1, 2, 21, 3))
    result[..., 1, :] = top + 0.4 * (neck - top)
    result[..., 2, :] = base + 0.55 * (middle - base)
    result[..., 3, :] = base + 0.20 * (middle - base)
    return result
