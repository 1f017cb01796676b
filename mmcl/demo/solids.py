"""From solids in the world to the input of the renderer: projected ends, apparent radii and lit textures."""

from dataclasses import dataclass

import numpy as np

from mmcl.demo.camera import Camera
from mmcl.demo.kinematics import Array, unit
from mmcl.demo.raster import COLUMNS, ROWS, SURFACE

AMBIENT, DIRECT, SKY = 0.50, 0.62, 0.10
"""Shares of ambient light, of the lamp, and of light from above."""


@dataclass
class Solid:
    """A tapered capsule over T frames.

    Attributes:
        ends: two (T, 3) world points.
        radii: half width at each end, metres.
        depths: half thickness at each end, metres; equal to `radii` for round limbs.
        texture: (ROWS, COLUMNS, 3) RGB, rows from the first end to the second.
        side: (T, 3) direction in which the width is measured; None where the solid is round.
        caps: how flat the ends are: 1 half spheres, larger flatter.
        nearer: metres by which it is drawn nearer than it is (hair on a head).
    """

    ends: tuple[Array, Array]
    radii: tuple[float, float]
    texture: Array
    depths: tuple[float, float] | None = None
    side: Array | None = None
    caps: tuple[float, float] = (1.0, 1.0)
    nearer: float = 0.0


def plain(colour: tuple[int, int, int] | Array) -> Array:
    """Texture of a single colour, (ROWS, COLUMNS, 3) float32."""
    return np.broadcast_to(np.asarray(colour, np.float32), (ROWS, COLUMNS, 3)).copy()


@dataclass
class Projected:
    """What the renderer needs of P solids over T frames."""

    shapes: list[list[list[float]]]
    """(T, P) lists of the eleven numbers of `Canvas.capsule`."""
    textures: Array
    """(T, P, ROWS·COLUMNS, 3) float32."""
    boxes: Array
    """(T, P, 4) extent in pixels, x0 y0 x1 y1."""
    order: Array
    """(T, P) solids from the farthest to the nearest."""


def project(solids: list[Solid], camera: Camera, lamp: Array) -> Projected:
    """Project and light solids.

    Args:
        solids: P solids of T frames each.
        camera: that sees them.
        lamp: (3,) unit direction towards the lamp in the world.
    """
    a = np.stack([s.ends[0] for s in solids], 1)
    b = np.stack([s.ends[1] for s in solids], 1)
    frames, count = a.shape[:2]
    ca, cb = camera.to_camera(a), camera.to_camera(b)
    pa, pb = camera.project(ca), camera.project(cb)
    light = camera.axes @ lamp
    axis = unit(cb - ca)
    flat = pb - pa
    length = np.linalg.norm(flat, axis=-1, keepdims=True)
    # the direction across a solid in the picture, as a vector of camera space (where y points up)
    flat = np.where(length > 0.3, flat / np.maximum(length, 1e-6), np.array([1.0, 0.0]))
    across = np.stack([-flat[..., 1], -flat[..., 0], np.zeros((frames, count))], -1)
    facing = np.array([0.0, 0.0, -1.0])
    towards = facing - (axis @ facing)[..., None] * axis
    towards = unit(np.where(np.linalg.norm(towards, axis=-1, keepdims=True) > 0.15, towards, facing))

    widths = np.array([s.radii for s in solids])
    depths = np.array([s.radii if s.depths is None else s.depths for s in solids])
    apparent = np.broadcast_to(widths, (frames, count, 2)).copy()
    thickness = np.broadcast_to(depths.mean(1), (frames, count)).copy()
    for k, solid in enumerate(solids):
        if solid.side is None:
            continue
        side = solid.side @ camera.axes.T
        front = unit(np.cross(side, axis[:, k]))
        on_side, on_front = np.sum(across[:, k] * side, -1), np.sum(across[:, k] * front, -1)
        apparent[:, k] = np.hypot(on_side[:, None] * widths[k], on_front[:, None] * depths[k])
        thickness[:, k] = np.hypot(side[:, 2] * widths[k].mean(), front[:, 2] * depths[k].mean())

    scale = camera.focal / np.maximum(np.stack([ca[..., 2], cb[..., 2]], -1), 0.2)
    radii = apparent * scale
    caps = np.array([s.caps for s in solids])
    nearer = np.array([s.nearer for s in solids])
    shapes = np.concatenate(
        [
            pa,
            pb,
            radii,
            ca[..., 2:] - nearer[:, None],
            cb[..., 2:] - nearer[:, None],
            thickness[..., None],
            np.broadcast_to(caps, (frames, count, 2)),
        ],
        -1,
    )

    round_part = np.sqrt(1 - np.minimum(SURFACE**2, 1) * 0.98)
    lit = (across @ light)[..., None] * SURFACE + (towards @ light)[..., None] * round_part
    above = across[..., 1:2] * SURFACE + towards[..., 1:2] * round_part
    shade = AMBIENT + DIRECT * np.maximum(lit, 0) + SKY * above
    shade *= 0.80 + 0.20 * round_part
    textures = np.stack([s.texture for s in solids])[None] * shade[:, :, None, :, None].astype(np.float32)
    extent = radii / np.minimum(caps, 1.0)
    low = np.minimum(pa - extent[..., :1], pb - extent[..., 1:])
    high = np.maximum(pa + extent[..., :1], pb + extent[..., 1:])
    middle = 0.5 * (ca[..., 2] + cb[..., 2]) - thickness - nearer
    return Projected(
        shapes.tolist(),
        textures.reshape(frames, count, ROWS * COLUMNS, 3).astype(np.float32),
        np.concatenate([low, high], -1),
        np.argsort(-middle, axis=1, kind="stable"),
    )
