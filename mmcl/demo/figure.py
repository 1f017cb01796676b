"""The visible person: limbs, clothes, hair and face as solids around the joints."""

import numpy as np

from mmcl.demo.actor import LEFT, RIGHT, Actor
from mmcl.demo.body import Body
from mmcl.demo.kinematics import Array, apply, unit
from mmcl.demo.raster import COLUMNS, ROWS
from mmcl.demo.seeding import generator
from mmcl.demo.solids import Solid, plain


def _cloth(colour: Array, rng: np.random.Generator, folds: float = 0.05) -> Array:
    """Plain cloth with soft folds (ROWS, COLUMNS, 3)."""
    bumps = rng.normal(0, 1, (ROWS, COLUMNS))
    bumps = 0.25 * (bumps + np.roll(bumps, 1, 0) + np.roll(bumps, 1, 1) + np.roll(bumps, (1, 1), (0, 1)))
    return (plain(colour) * (1 + folds * 2 * bumps)[..., None]).astype(np.float32)


def _shirt(body: Body, rng: np.random.Generator, part: str) -> Array:
    """The shirt's texture on the lower trunk, the chest or a sleeve."""
    cloth = _cloth(np.array(body.shirt), rng)
    second = _cloth(np.array(body.shirt_second), rng)
    if body.pattern == "hoops" and part != "sleeve":
        cloth[1::4], cloth[2::4] = second[1::4], second[2::4]
    if body.pattern == "stripes" and part != "sleeve":
        cloth[:, 2::6], cloth[:, 3::6] = second[:, 2::6], second[:, 3::6]
    if body.pattern == "yoke" and part in ("chest", "sleeve"):
        cloth[ROWS // 2 if part == "chest" else 0 :] = second[ROWS // 2 if part == "chest" else 0 :]
    return cloth


def figure(actor: Actor, name: str, seed: int) -> list[Solid]:
    """Solids of a posed person, in world coordinates.

    Args:
        actor: after `pose`.
        name: name of the person; decides the folds alone.
        seed: seed of the data set.
    """
    b, j, rng = actor.body, actor.joints, generator("cloth", seed, name)
    scale = b.height / 1.72
    g = b.girth * scale
    right = actor.chest_axes[:, :, 0]
    hips_right = actor.pelvis_axes[:, :, 0]
    trousers, skin = _cloth(np.array(b.trousers), rng, 0.07), plain(b.skin)
    solids: list[Solid] = []

    def chest(x: float, y: float, z: float) -> Array:
        return actor.chest(x * scale, y * scale, z * scale)

    def pelvis(x: float, y: float, z: float) -> Array:
        point: Array = j[1] + apply(actor.pelvis_axes, np.array([x, y, z]) * scale)
        return point

    shoulder, hip = b.shoulder, b.hip * 1.12
    waist = j[2] + apply(actor.chest_axes, np.array([0, -0.02, 0]))
    solids += [
        Solid(
            (pelvis(0, -0.045, 0), pelvis(0, 0.05, 0)),
            (hip + 0.072 * g, 0.128 * g),
            trousers,
            (0.105 * g, 0.100 * g),
            hips_right,
            (1.6, 2.5),
        ),
        Solid(
            (pelvis(0, 0.035, 0), waist),
            (0.136 * g, 0.135 * g),
            _shirt(b, rng, "waist"),
            (0.106 * g, 0.102 * g),
            hips_right,
            (3.0, 2.0),
        ),
        Solid(
            (waist, chest(0, -0.085, 0.005)),
            (0.135 * g, max(shoulder * 0.93, 0.145 * g)),
            _shirt(b, rng, "chest"),
            (0.102 * g, 0.112 * g),
            right,
            (2.0, 1.9),
        ),
        Solid(
            (chest(-0.045, -0.012, 0.012), chest(0.045, -0.012, 0.012)),
            (0.072 * scale, 0.072 * scale),
            _shirt(b, rng, "sleeve"),
            caps=(0.75, 0.75),
        ),
        Solid((chest(0, -0.02, 0.01), j[3] + 0.35 * (j[4] - j[3])), (0.060 * scale, 0.054 * scale), skin),
    ]
    for side in (LEFT, RIGHT):
        s, h, tip = (5, 13, 22) if side == LEFT else (9, 17, 24)
        upper = _shirt(b, rng, "sleeve")
        bare = round(min(b.sleeve, 1.0) * ROWS)
        upper[bare:] = np.array(b.skin)
        lower = _shirt(b, rng, "sleeve") if b.sleeve > 1 else plain(b.skin)
        if b.sleeve > 1:
            lower[-2:] = np.array(b.skin)
        top = j[s] + apply(actor.chest_axes, np.array([-side * 0.012, -0.012, 0]))
        solids += [
            Solid((top, j[s + 1]), (0.060 * g, 0.043 * g), upper),
            Solid((j[s + 1], j[s + 2]), (0.044 * g, 0.031 * g), lower),
            Solid((j[s + 2], j[s + 3]), (0.030 * scale, 0.042 * scale), skin),
            Solid((j[s + 3], j[tip]), (0.040 * scale, 0.024 * scale), skin),
            Solid((j[s + 3], j[tip + 1]), (0.022 * scale, 0.016 * scale), skin),
        ]
        thigh = j[h] + apply(actor.pelvis_axes, np.array([side * 0.035, -0.01, 0]))
        heel = j[h + 2] + actor.ahead(0, -0.3 * b.ankle, 0.025)
        toe = j[h + 3] + unit(j[h + 3] - j[h + 2]) * 0.02
        solids += [
            Solid((thigh, j[h + 1]), (0.092 * g, 0.064 * g), trousers),
            Solid((j[h + 1], j[h + 2]), (0.062 * g, 0.044 * g), trousers),
            Solid((heel, toe), (0.046 * scale, 0.042 * scale), plain(b.shoes)),
        ]
    return solids + _head(actor, scale)


def _head(actor: Actor, scale: float) -> list[Solid]:
    """Skull, hair and face around the head joint."""
    b = actor.body
    right = actor.head_axes[:, :, 0]
    skin, hair = plain(b.skin), plain(b.hair)
    dark = plain(np.array(b.skin) * 0.3)

    def at(x: float, y: float, z: float) -> Array:
        return actor.head(x * scale, y * scale, z * scale)

    width, deep = 0.078 * scale, 0.095 * scale
    solids = [
        Solid(
            (at(0, -0.055, 0.004), at(0, 0.05, 0.012)),
            (0.064 * scale, width),
            skin,
            (0.080 * scale, deep),
            right,
            (1.05, 1.0),
        )
    ]
    for side in (LEFT, RIGHT):
        solids.append(
            Solid(
                (at(side * 0.032, 0.018, -0.080), at(side * 0.034, 0.019, -0.080)),
                (0.0125 * scale,) * 2,
                dark,
                nearer=0.006,
            )
        )
        solids.append(
            Solid((at(side * 0.078, 0.01, 0.015), at(side * 0.080, -0.02, 0.015)), (0.016 * scale,) * 2, skin)
        )
    solids += [
        Solid(
            (at(0, 0.005, -0.090), at(0, -0.02, -0.100)),
            (0.011 * scale, 0.015 * scale),
            plain(np.array(b.skin) * 0.93),
        ),
        Solid(
            (at(-0.020, -0.057, -0.078), at(0.020, -0.057, -0.078)),
            (0.0075 * scale,) * 2,
            plain(np.array(b.skin) * (0.62, 0.42, 0.42)),
            nearer=0.008,
        ),
    ]
    if b.haircut == "bald":
        return solids
    solids += [
        Solid(
            (at(0, 0.062, 0.020), at(0, 0.078, 0.028)),
            (0.084 * scale, 0.078 * scale),
            hair,
            (0.100 * scale,) * 2,
            right,
        ),
        Solid(
            (at(0, -0.035, 0.050), at(0, 0.06, 0.040)),
            (0.068 * scale, 0.082 * scale),
            hair,
            (0.060 * scale,) * 2,
            right,
        ),
    ]
    if b.haircut == "long":
        for side in (LEFT, RIGHT):
            solids.append(
                Solid(
                    (at(side * 0.066, 0.06, 0.02), at(side * 0.072, -0.14, 0.03)),
                    (0.03 * scale, 0.036 * scale),
                    hair,
                )
            )
        solids.append(
            Solid(
                (at(0, 0.0, 0.060), at(0, -0.17, 0.055)),
                (0.075 * scale, 0.08 * scale),
                hair,
                (0.04 * scale,) * 2,
                right,
            )
        )
    if b.haircut == "bun":
        solids.append(Solid((at(0, 0.115, 0.06), at(0, 0.13, 0.065)), (0.042 * scale,) * 2, hair))
    return solids
