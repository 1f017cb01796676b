"""The appearance of held objects: solids and panels around an object's axes."""

import numpy as np

from mmcl.demo.camera import Camera
from mmcl.demo.kinematics import Array
from mmcl.demo.objects import SIZES, Held
from mmcl.demo.raster import Canvas
from mmcl.demo.solids import Projected, Solid, plain, project

CUPS = (((206, 34, 38), (246, 244, 240)), ((240, 240, 238), (30, 70, 190)), ((34, 86, 206), (246, 244, 240)))
BALLS = ((232, 118, 34), (222, 104, 24), (240, 132, 48))


class Prop:
    """A held object ready to be drawn by one camera.

    Args:
        held: the object over T frames.
        view: camera.
        lamp: (3,) direction towards the lamp.
        rng: chooses the appearance.
    """

    def __init__(self, held: Held, view: Camera, lamp: Array, rng: np.random.Generator):
        self.solids: Projected | None = None
        self.panels: list[tuple[Array, Array, Array, Array, Array, Array]] = []
        build = {"cup": self._cup, "food": self._food, "ball": self._ball}.get(held.kind)
        if build is not None:
            self.solids = project(build(held, rng), view, lamp)
        else:
            self._slab(held, view, lamp, rng)

    def draw(self, canvas: Canvas, frame: int) -> None:
        """Paint the object of one frame."""
        if self.solids is not None:
            for k in self.solids.order[frame]:
                canvas.capsule(self.solids.shapes[frame][k], self.solids.textures[frame, k])
        for middle, half_a, half_b, depths, shade, texture in self.panels:
            if shade[frame] > 0:
                canvas.panel(
                    middle[frame], half_a[frame], half_b[frame], tuple(depths[frame]), texture * shade[frame]
                )

    @staticmethod
    def _cup(held: Held, rng: np.random.Generator) -> list[Solid]:
        radius, tall = SIZES["cup"]
        main, band = CUPS[rng.integers(len(CUPS))]
        texture = plain(main)
        texture[6:10] = band
        bottom, top = held.centre - held.y * (tall / 2), held.centre + held.y * (tall / 2)
        rim = plain((250, 250, 248))
        inside = plain((96, 58, 36))
        return [
            Solid((bottom, top), (radius * 0.78, radius), texture, caps=(3.5, 5.0)),
            Solid(
                (top - held.y * 0.008, top + held.y * 0.004),
                (radius * 1.06, radius * 1.06),
                rim,
                caps=(4.0, 5.0),
            ),
            Solid(
                (top + held.y * 0.004, top + held.y * 0.008),
                (radius * 0.8, radius * 0.8),
                inside,
                caps=(4.0, 5.0),
            ),
        ]

    @staticmethod
    def _food(held: Held, rng: np.random.Generator) -> list[Solid]:
        radius, long = SIZES["food"]
        bun = np.array([232, 186, 70]) * rng.uniform(0.94, 1.06)
        texture = plain(np.clip(bun, 0, 250))
        lettuce, tomato = (92, 190, 50), (214, 52, 36)
        texture[:, 9:12], texture[:, 12:14] = lettuce, tomato
        half = held.x * (long / 2 - radius * 0.6)
        return [Solid((held.centre - half, held.centre + half), (radius, radius), texture)]

    @staticmethod
    def _ball(held: Held, rng: np.random.Generator) -> list[Solid]:
        radius, _ = SIZES["ball"]
        texture = plain(BALLS[rng.integers(len(BALLS))])
        seam = (70, 34, 18)
        texture[:, 12], texture[:, 4], texture[:, 19] = seam, seam, seam
        return [
            Solid((held.centre - held.y * 0.004, held.centre + held.y * 0.004), (radius, radius), texture)
        ]

    def _slab(self, held: Held, view: Camera, lamp: Array, rng: np.random.Generator) -> None:
        """Phone or tablet: the visible faces of a thin box."""
        width, tall = SIZES[held.kind]
        thick = 0.038 if held.kind == "phone" else 0.024
        screen, back, rim = _phone(rng) if held.kind == "phone" else _tablet(rng)
        axes = {"x": held.x * (width / 2), "y": held.y * (tall / 2), "n": held.normal * (thick / 2)}
        middle = view.to_camera(held.centre)
        turned = {k: v @ view.axes.T for k, v in axes.items()}
        light = view.axes @ lamp
        for name, a, b, textures in (
            ("n", "y", "x", (screen, back)),
            ("x", "y", "n", (rim, rim)),
            ("y", "x", "n", (rim, rim)),
        ):
            for sign, texture in zip((1, -1), textures, strict=True):
                face = middle + sign * turned[name]
                out = sign * turned[name] / np.linalg.norm(turned[name], axis=-1, keepdims=True)
                seen = np.sum(out * face, -1) < 0
                glow = 1.0 if texture is screen else 0.0
                shade = np.where(seen, np.maximum(0.62 + 0.5 * np.maximum(out @ light, 0), glow), 0.0)
                flat = view.project(face)
                self.panels.append(
                    (
                        flat,
                        view.project(face + turned[a]) - flat,
                        view.project(face + turned[b]) - flat,
                        np.stack([face[:, 2] - 0.004, turned[a][:, 2], turned[b][:, 2]], -1),
                        shade.astype(np.float32),
                        texture.reshape(-1, 3),
                    )
                )


def _phone(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Screen, back and rim of a phone: black and silver; the rim is bright, so that it is visible at the ear."""
    screen = plain((18, 18, 22))
    screen[1:-1, 2:-2] = (120, 220, 250)
    screen[3:6, 4:-4] = (250, 250, 255)
    back = plain((22, 22, 26))
    back[0], back[-1], back[:, :2], back[:, -2:] = (190,) * 3, (190,) * 3, (190,) * 3, (190,) * 3
    back[-4:-2, 4:9] = (120, 120, 130)
    rim = plain((96, 206, 236))
    rim[:, :2] = (24, 24, 28)
    return screen, back, rim


def _tablet(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Screen, back and rim of a tablet: white body, bright blue screen."""
    screen = plain((240, 240, 244))
    screen[1:-1, 1:-1] = (70, 150, 250)
    screen[3:6, 3:10], screen[8:13, 12:20] = (250, 220, 90), (250, 250, 250)
    back = plain((232, 234, 240))
    back[:2], back[-2:], back[:, :2], back[:, -2:] = ((40, 110, 230),) * 4
    back[6:10, 10:14] = (120, 124, 134)
    return screen, back, plain((196, 198, 206))
