"""The room: floor, walls, pictures and furniture, ray-cast once per setup and camera; chairs per clip."""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmcl.demo.camera import Camera, place_camera
from mmcl.demo.kinematics import Array
from mmcl.demo.seeding import generator

WALLS = ((206, 200, 186), (188, 198, 204), (214, 206, 196), (178, 186, 172), (200, 188, 190))
FLOORS = ((142, 112, 82), (118, 118, 122), (164, 142, 112), (96, 104, 116), (132, 96, 72))
WOODS = ((128, 88, 56), (164, 124, 82), (92, 68, 52), (186, 182, 176))


Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """An upright box: middle of its base (x, y, z), full size (x, y, z) in metres, yaw in rad, RGB colour."""

    base: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float
    colour: Colour


@dataclass(frozen=True)
class Backdrop:
    """An empty room seen by a camera: RGB float32 (H, W, 3), depth float32 (H, W); direction of the lamp."""

    image: Array
    depth: Array
    lamp: Array


def _rays(camera: Camera, detail: int) -> Array:
    """World directions (H·detail, W·detail, 3) through the pixels, with depth one along the optical axis."""
    width, height = camera.size
    x = ((np.arange(width * detail) + 0.5) / detail - width / 2) / camera.focal
    y = -((np.arange(height * detail) + 0.5) / detail - height / 2) / camera.focal
    grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.ones((1, 1))), -1).astype(np.float32)
    return grid @ camera.axes.astype(np.float32)


def _noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth noise (size, size) of about unit range, tiling."""
    import cv2

    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _floor(rng: np.random.Generator, size: int = 512) -> Array:
    """Floor texture (size, size, 3) for four by four metres: planks, tiles or carpet."""
    colour = np.array(FLOORS[rng.integers(len(FLOORS))], np.float32)
    tone = 1 + 0.05 * _noise(rng, size, 24) + 0.04 * _noise(rng, size, 128)
    style = rng.integers(3)
    if style == 0:
        planks = np.repeat(rng.uniform(0.86, 1.1, 24), size // 24 + 1)[:size]
        tone = tone * planks[:, None].astype(np.float32)
        tone[:: size // 24] *= 0.8
    elif style == 1:
        tone[:: size // 10] *= 0.75
        tone[:, :: size // 10] *= 0.75
        tone[1 :: size // 10] *= 0.85
    else:
        tone = tone + 0.09 * rng.normal(0, 1, (size, size)).astype(np.float32)
    return tone[..., None] * colour


def _wall(rng: np.random.Generator, size: int = 512) -> Array:
    """Wall texture (size, size, 3) for eight metres across and three metres up (row 0 is the floor)."""
    colour = np.array(WALLS[rng.integers(len(WALLS))], np.float32)
    tone = 1 + 0.02 * _noise(rng, size, 12) + 0.02 * _noise(rng, size, 160)
    wall = tone[..., None] * colour
    across, up = size / 8, size / 3

    def paint(x: float, y: float, wide: float, high: float, shade: Array) -> None:
        wall[int(y * up) : int((y + high) * up), int(x * across) : int((x + wide) * across)] = shade

    paint(0, 0, 8, 0.09, np.array(WOODS[rng.integers(len(WOODS))]))
    for start in np.arange(0.4, 7.4, 1.75) + rng.uniform(-0.2, 0.2, 4):
        kind = rng.integers(5)
        if kind == 0:
            paint(start, 1.15, 0.95, 1.15, np.array([236, 236, 232]))
            for column in range(2):
                paint(start + 0.06 + 0.45 * column, 1.21, 0.38, 1.03, np.array([176, 204, 224]))
        elif kind == 1:
            frame = rng.uniform(30, 90, 3)
            paint(start, 1.2, 0.62, 0.85, frame)
            paint(start + 0.04, 1.26, 0.54, 0.73, rng.uniform(90, 220, 3))
            paint(start + 0.12, 1.4 + rng.uniform(0, 0.2), 0.3, 0.22, rng.uniform(60, 230, 3))
        elif kind == 2:
            paint(start, 0.0, 0.92, 2.05, np.array([120, 100, 80]) * rng.uniform(0.7, 1.3))
            paint(start + 0.08, 0.15, 0.76, 0.8, np.array([112, 92, 72]) * rng.uniform(0.8, 1.3))
            paint(start + 0.08, 1.1, 0.76, 0.8, np.array([112, 92, 72]) * rng.uniform(0.8, 1.3))
        elif kind == 3:
            paint(start, 1.55, 1.2, 0.04, np.array([110, 80, 56]))
            for book in np.arange(0.03, 1.1, 0.055):
                paint(start + book, 1.6, 0.045, rng.uniform(0.17, 0.27), rng.uniform(50, 170, 3))
    return wall


def _hit_box(rays: Array, view: Camera, box: Box, image: Array, depth: Array, lamp: Array) -> None:
    """Ray-cast one box (slab method) into picture and depth buffer, at a whole multiple of `view.size`."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], np.float32)
    half = np.array(box.size) / 2
    middle = np.array(box.base) + np.array([0, half[1], 0])
    corners = view.to_camera(middle + (np.array(list(itertools.product((-1, 1), repeat=3))) * half) @ turn)
    if corners[:, 2].min() > 0.2:
        # only the pixels that the box can cover
        detail = depth.shape[1] // view.size[0]
        pixels = view.project(corners) * detail
        x0, y0 = np.maximum(np.floor(pixels.min(0)).astype(int), 0)
        x1, y1 = np.maximum(np.ceil(pixels.max(0)).astype(int) + 1, 0)
        rays, image, depth = rays[y0:y1, x0:x1], image[y0:y1, x0:x1], depth[y0:y1, x0:x1]
    if depth.size == 0:
        return
    start = (turn @ (view.position - middle)).astype(np.float32)
    way = rays @ turn.T
    way = np.where(np.abs(way) < 1e-6, np.float32(1e-6), way)
    first, second = (-half - start) / way, (half - start) / way
    near, far = np.minimum(first, second), np.maximum(first, second)
    enter = near.max(-1)
    hit = (enter < far.min(-1)) & (enter > 0.1) & (enter < depth)
    face = near.argmax(-1)
    face = face[hit]
    sign = -np.sign(np.take_along_axis(way[hit], face[:, None], -1)[:, 0])
    light = (turn @ lamp)[face] * sign
    image[hit] = (0.52 + 0.5 * np.maximum(light, 0) + 0.08 * (face == 1))[:, None] * np.array(
        box.colour, np.float32
    )
    depth[hit] = enter[hit]


def _as_colour(values: Array) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _furniture(rng: np.random.Generator, back: float, side: float) -> list[Box]:
    """Desks, cupboards, boxes and plants along the walls."""
    pieces: list[Box] = []
    for _ in range(int(rng.integers(2, 5))):
        wood = np.array(WOODS[rng.integers(len(WOODS))]) * rng.uniform(0.8, 1.15)
        colour = _as_colour(np.clip(wood, 20, 235))
        x = float(rng.choice([-1, 1]) * rng.uniform(0.9, side - 0.5))
        kind = rng.integers(3)
        if kind == 0:
            z = back - 0.4
            pieces.append(Box((x, 0.70, z), (1.2, 0.05, 0.65), 0.0, colour))
            for dx in (-0.55, 0.55):
                for dz in (-0.27, 0.27):
                    pieces.append(Box((x + dx, 0, z + dz), (0.05, 0.7, 0.05), 0.0, colour))
            pieces.append(
                Box((x + 0.1, 0.75, z + 0.1), (0.5, 0.32, 0.04), rng.uniform(-0.3, 0.3), (42, 44, 50))
            )
        elif kind == 1:
            tall = float(rng.uniform(0.8, 1.9))
            pieces.append(Box((x, 0, back - 0.25), (0.85, tall, 0.45), 0.0, colour))
            pieces.append(
                Box((x, 0.1, back - 0.47), (0.02, tall - 0.2, 0.02), 0.0, _as_colour(0.6 * np.array(colour)))
            )
        else:
            size = float(rng.uniform(0.3, 0.5))
            pieces.append(
                Box(
                    (x, 0, back - 0.5), (size, size * 0.8, size), rng.uniform(-0.5, 0.5), (176.0, 138.0, 92.0)
                )
            )
    return pieces


@lru_cache(maxsize=16)
def backdrop(seed: int, form: str, setup: int, camera: int, size: tuple[int, int]) -> Backdrop:
    """The empty room of a setup, seen by a camera; cached per process, not to be modified.

    Args:
        seed, form, setup, camera, size: as for `place_camera`.
    """
    import cv2

    view = place_camera(seed, form, setup, camera, size)
    rng = generator("room", seed, form, setup)
    back, side, high = float(rng.uniform(1.6, 2.5)), float(rng.uniform(2.6, 3.3)), 2.9
    lamp = np.array([rng.uniform(-0.65, 0.65), rng.uniform(0.75, 1.0), rng.uniform(-0.9, -0.55)])
    lamp /= np.linalg.norm(lamp)
    floor, walls = _floor(rng), [_wall(rng) for _ in range(3)]
    colour = np.median(walls[0].reshape(-1, 3), axis=0)
    for wall in walls[1:]:
        wall *= colour / np.median(wall.reshape(-1, 3), axis=0)
    detail = 2
    rays = _rays(view, detail)
    shape = rays.shape[:2]
    image, depth = np.full((*shape, 3), 225, np.float32), np.full(shape, 60, np.float32)
    origin = view.position.astype(np.float32)

    def surface(axis: int, position: float, texture: Array | None, lit: float) -> None:
        way = np.where(np.abs(rays[..., axis]) < 1e-6, np.float32(1e-6), rays[..., axis])
        distance = (position - origin[axis]) / way
        hit = (distance > 0.05) & (distance < depth)
        point = origin + rays[hit] * distance[hit][:, None]
        if texture is None:
            image[hit] = np.float32(232) * lit
        else:
            rows = texture.shape[0]
            if axis == 1:
                u, v = (
                    (point[:, 0] * rows / 4).astype(int) % rows,
                    (point[:, 2] * rows / 4).astype(int) % rows,
                )
                fade = 1.0 - 0.10 * np.minimum(np.hypot(point[:, 0], point[:, 2]) / 3, 1.0)
            else:
                u = ((point[:, 2 - axis] + 4) * rows / 8).astype(int) % rows
                v = np.clip(point[:, 1] * rows / 3, 0, rows - 1).astype(int)
                fade = 0.80 + 0.2 * np.clip(point[:, 1] / 2.2, 0, 1)
            image[hit] = texture[v, u] * (lit * fade)[:, None]
        depth[hit] = distance[hit]

    surface(1, 0.0, floor, 0.95)
    surface(1, high, None, 0.95)
    surface(2, back, walls[0], 0.84)
    surface(0, -side, walls[1], 0.74 + 0.12 * lamp[0])
    surface(0, side, walls[2], 0.74 - 0.12 * lamp[0])
    for box in _furniture(rng, back, side):
        _hit_box(rays, view, box, image, depth, lamp)
    width, height = size
    image = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    image *= (1.02 - 0.12 * (x * x + y * y))[..., None].astype(np.float32)
    nearest = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
    return Backdrop(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(nearest, np.float32), lamp)


def with_chair(room: Backdrop, view: Camera, place: Array, yaw: float, rng: np.random.Generator) -> Backdrop:
    """The room with a chair in it; a copy.

    Args:
        room: empty room seen by `view`.
        view: camera.
        place: (2,) x and z of the middle of the seat.
        yaw: direction that the chair faces.
        rng: decides its colour.
    """
    colour = np.array([(150, 104, 62), (70, 78, 92), (138, 50, 46), (176, 150, 110)][rng.integers(4)], float)
    c, s = np.cos(yaw), np.sin(yaw)

    def box(x: float, y: float, z: float, size: tuple[float, float, float], shade: float = 1.0) -> Box:
        return Box(
            (place[0] + c * x + s * z, y, place[1] - s * x + c * z), size, yaw, _as_colour(colour * shade)
        )

    parts = [box(0, 0.42, 0, (0.46, 0.045, 0.44)), box(0, 0.62, 0.21, (0.46, 0.34, 0.035), 0.94)]
    parts += [box(x, 0, z, (0.04, 0.42, 0.04), 0.7) for x in (-0.2, 0.2) for z in (-0.19, 0.2)]
    parts += [box(x, 0.42, 0.21, (0.035, 0.25, 0.03), 0.7) for x in (-0.19, 0.19)]
    image, depth = room.image.copy(), room.depth.copy()
    shadow(image, view, place, 0.42, 0.32)
    rays = _rays(view, 1)
    for part in parts:
        _hit_box(rays, view, part, image, depth, room.lamp)
    return Backdrop(image, depth, room.lamp)


def shadow(image: Array, view: Camera, place: Array, radius: float, strength: float) -> None:
    """Darken the floor softly around (x, z) in place; changes `image`."""
    points = np.array(
        [[place[0], 0, place[1]], [place[0], 0, place[1] + radius], [place[0], 0, place[1] - radius]]
    )
    seen = view.to_camera(points)
    middle, far, near = view.project(seen)
    wide = view.focal * radius / seen[0, 2]
    tall = max(abs(near[1] - far[1]) / 2, 2.0)
    height, width = image.shape[:2]
    x0, x1 = int(max(middle[0] - wide, 0)), int(min(middle[0] + wide + 1, width))
    y0, y1 = int(max(middle[1] - tall, 0)), int(min(middle[1] + tall + 1, height))
    if x0 >= x1 or y0 >= y1:
        return
    x = (np.arange(x0, x1, dtype=np.float32) - middle[0]) / wide
    y = ((np.arange(y0, y1, dtype=np.float32) - middle[1]) / tall)[:, None]
    dark = np.maximum(1 - x * x - y * y, 0) * strength
    image[y0:y1, x0:x1] *= (1 - dark)[..., None].astype(np.float32)
