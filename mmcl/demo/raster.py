"""A small software renderer: lit, tapered capsules and flat panels into a picture with a depth buffer."""

import numpy as np

from mmcl.demo.kinematics import Array

ROWS, COLUMNS = 16, 24
"""Texture grid of a solid: along its axis, and across its visible half."""

SURFACE = np.linspace(-1.0, 1.0, COLUMNS)
"""Position of a texture column across the visible half."""


class Canvas:
    """A picture being drawn.

    Attributes:
        image: (H, W, 3) float32 RGB, 0–255.
        depth: (H, W) float32 metres from the camera.
    """

    def __init__(self, height: int, width: int):
        self.image = np.empty((height, width, 3), np.float32)
        self.depth = np.empty((height, width), np.float32)
        self._x = np.arange(width, dtype=np.float32) + 0.5
        self._y = np.arange(height, dtype=np.float32)[:, None] + 0.5

    def start(self, image: Array, depth: Array) -> None:
        """Begin a frame with a background of the same shapes."""
        np.copyto(self.image, image)
        np.copyto(self.depth, depth)

    def _blend(self, y0: int, y1: int, x0: int, x1: int, alpha: Array, depth: Array, colours: Array) -> None:
        """Put colours over the picture where they are nearer; `alpha` is changed."""
        nearest = self.depth[y0:y1, x0:x1]
        alpha *= depth < nearest
        np.copyto(nearest, depth, where=alpha > 0.5)
        under = self.image[y0:y1, x0:x1]
        colours -= under
        colours *= alpha[:, :, None]
        under += colours

    def capsule(self, shape: list[float], texture: Array) -> None:
        """Draw a tapered capsule.

        Args:
            shape: eleven numbers: x, y of both ends in pixels, both radii in pixels, depth of both ends in
                metres, half thickness in metres (towards the camera), how flat each end's cap is (1 = round).
            texture: (ROWS·COLUMNS, 3) float32 lit colours.
        """
        ax, ay, bx, by, ra, rb, za, zb, thick, cap_a, cap_b = shape
        ea, eb = ra / cap_a + 1.0, rb / cap_b + 1.0
        ea, eb = max(ea, ra + 1.0), max(eb, rb + 1.0)
        height, width = self.depth.shape
        x0, x1 = int(max(min(ax - ea, bx - eb), 0)), int(min(max(ax + ea, bx + eb) + 1, width))
        y0, y1 = int(max(min(ay - ea, by - eb), 0)), int(min(max(ay + ea, by + eb) + 1, height))
        if x0 >= x1 or y0 >= y1:
            return
        dx, dy = bx - ax, by - ay
        length = max((dx * dx + dy * dy) ** 0.5, 1e-3)
        dx, dy = dx / length, dy / length
        x, y = self._x[x0:x1] - ax, self._y[y0:y1] - ay
        along = x * (dx / length) + y * (dy / length)
        across = y * dx - x * dy
        t = np.minimum(np.maximum(along, 0.0), 1.0)
        along -= t
        cap = np.where(along < 0, length * cap_a, length * cap_b) if cap_a != cap_b else length * cap_a
        along *= cap
        along *= along
        distance = across * across
        distance += along
        radius = t * (rb - ra)
        radius += ra
        ratio = distance / (radius * radius)
        np.sqrt(distance, out=distance)
        alpha = radius - distance
        alpha += 0.5
        np.minimum(np.maximum(alpha, 0.0, out=alpha), 1.0, out=alpha)
        np.subtract(1.0, ratio, out=ratio)
        np.sqrt(np.maximum(ratio, 0.0, out=ratio), out=ratio)
        ratio *= -thick
        ratio += za
        if zb != za:
            ratio += t * (zb - za)
        across /= radius
        across += 1.0
        across *= COLUMNS / 2
        column = across.astype(np.int32)
        t *= ROWS - 0.01
        index = t.astype(np.int32)
        index *= COLUMNS
        index += np.minimum(np.maximum(column, 0, out=column), COLUMNS - 1, out=column)
        self._blend(y0, y1, x0, x1, alpha, ratio, texture.take(index, axis=0))

    def panel(
        self, middle: Array, half_a: Array, half_b: Array, depths: tuple[float, float, float], texture: Array
    ) -> None:
        """Draw a flat panel (a parallelogram in the picture).

        Args:
            middle: (2,) pixels.
            half_a, half_b: (2,) pixels from the middle to the middle of two neighbouring edges.
            depths: metres of the middle, and its increase towards each of those edges.
            texture: (ROWS·COLUMNS, 3) float32 lit colours, rows along `half_a`.
        """
        height, width = self.depth.shape
        ex, ey = np.abs(half_a) + np.abs(half_b) + 1.0
        x0, x1 = int(max(middle[0] - ex, 0)), int(min(middle[0] + ex + 1, width))
        y0, y1 = int(max(middle[1] - ey, 0)), int(min(middle[1] + ey + 1, height))
        area = float(half_a[0] * half_b[1] - half_a[1] * half_b[0])
        if x0 >= x1 or y0 >= y1 or abs(area) < 0.05:
            return
        x, y = self._x[x0:x1] - np.float32(middle[0]), self._y[y0:y1] - np.float32(middle[1])
        a = x * np.float32(half_b[1] / area) - y * np.float32(half_b[0] / area)
        b = y * np.float32(half_a[0] / area) - x * np.float32(half_a[1] / area)
        reach_a, reach_b = abs(area) / np.hypot(*half_b), abs(area) / np.hypot(*half_a)
        alpha = np.clip((1 - np.abs(a)) * np.float32(reach_a) + 0.5, 0, 1) * np.clip(
            (1 - np.abs(b)) * np.float32(reach_b) + 0.5, 0, 1
        )
        depth = np.float32(depths[0]) + a * np.float32(depths[1]) + b * np.float32(depths[2])
        row = np.clip((a + 1) * (ROWS / 2), 0, ROWS - 1).astype(np.int32)
        column = np.clip((b + 1) * (COLUMNS / 2), 0, COLUMNS - 1).astype(np.int32)
        self._blend(y0, y1, x0, x1, alpha, depth, texture.take(row * COLUMNS + column, axis=0))
