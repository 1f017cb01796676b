"""The twelve drawn actions as curves of an `Actor`, each with a clear beginning, action and end.

Numbers are NTU RGB+D 120's. A hand target is a point that moves with the body (mouth, ear, knee), so that a
key frame "at the mouth" stays at the mouth of a swaying head.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmcl.demo.actor import LEFT, RIGHT, Actor
from mmcl.demo.body import sample_body
from mmcl.demo.kinematics import Array, curve, ease
from mmcl.demo.objects import Held, carried, in_hand
from mmcl.demo.seeding import generator

OBJECTS = {1: "cup", 2: "food", 28: "phone", 29: "tablet", 63: "ball"}
"""What the hand holds in an action; the others are empty-handed."""

TWO_PERSONS = (50, 58)
FPS = 30.0
SEAT = 0.46
"""Height of the chair's seat, metres."""


@dataclass
class Performance:
    """The people and things in front of the cameras, in world coordinates (metres)."""

    actors: list[Actor]
    held: Held | None = None
    chair: tuple[Array, float] | None = None
    """Middle of the seat on the floor (x, z) and yaw, where there is one."""


def perform(
    action: int, who: str, replication: int, *, seed: int, frames: int, held: str | None
) -> Performance:
    """Animate one recording; the motion does not depend on the camera.

    Args:
        action: NTU number, one of `ACTIONS`.
        who: name of the subject, as for `sample_body`.
        replication: number of the recording.
        seed: seed of the data set.
        frames: length.
        held: object to hold instead of the action's own; None keeps it.

    Returns:
        Actors with their joints, and the object.
    """
    rng = generator("motion", seed, who, action, replication)
    phase = np.linspace(0.0, 1.0, frames)
    seconds = np.arange(frames) / FPS

    def actor(name: str, spot: tuple[float, float], facing: float) -> Actor:
        return Actor(sample_body(seed, name), rng, phase, seconds, np.array(spot), facing)

    spot = (rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2))
    facing = rng.normal(0.0, 0.13)
    if action in TWO_PERSONS:
        gap = (0.80 if action == 58 else 0.92) * rng.uniform(0.94, 1.06)
        first = rng.choice([LEFT, RIGHT])
        turn = rng.normal(0, 0.12)
        offset = 0.5 * gap * np.array([np.cos(turn), np.sin(turn)])
        places = np.array(spot) - first * offset, np.array(spot) + first * offset
        one = actor(who, tuple(places[0]), -first * np.pi / 2 + turn)
        two = actor(f"{who}/partner", tuple(places[1]), first * np.pi / 2 + turn)
        show = Performance([one, two])
    else:
        show = Performance([actor(who, spot, facing)])
    kind = OBJECTS.get(action, "none") if held is None else held
    main = LEFT if show.actors[0].body.left_handed ^ (rng.random() < 0.15) else RIGHT
    ACTIONS[action](show, kind, main)
    return show


def beats(actor: Actor, *middle: float) -> list[float]:
    """Times of the key frames at the subject's speed, with jitter; increasing, inside (0, 1)."""
    tempo = actor.body.speed
    centre = 0.5 + actor.rng.uniform(-0.06, 0.06)
    spread = np.clip(0.96 / tempo**0.5 + actor.rng.uniform(-0.06, 0.06), 0.7, 1.04)
    times = centre + (np.array(middle) - 0.5) * spread + actor.rng.uniform(-0.012, 0.012, len(middle))
    return list(np.clip(np.maximum.accumulate(times), 0.01, 0.99))


def finish(show: Performance, kind: str, side: int, own: bool = False, lift: Array | float = 0.0) -> None:
    """Pose every actor and put a carried object into the first actor's hand."""
    for person in show.actors:
        person.pose()
    if kind != "none":
        show.held = (
            carried(kind, show.actors[0], side) if not own else in_hand(kind, show.actors[0], side, lift)
        )


def waist(a: Actor, side: int, x: float = 0.06, y: float = -0.36, z: float = -0.30) -> Array:
    """A hand held in front of the body at waist height (T, 3)."""
    return a.chest(side * (a.body.shoulder + x), y * a.body.height / 1.72, z)


def drink(show: Performance, kind: str, main: int) -> None:
    """A001: lift a cup from the waist to the mouth, tilt it, put it back."""
    a = show.actors[0]
    t = beats(a, 0.08, 0.32, 0.42, 0.66, 0.76, 0.94)
    a.nod = curve(a.phase, [(t[1], 0.05), (t[2], -0.22 * a.body.amplitude), (t[3], -0.22), (t[4], 0.05)])
    a.settle()
    low, mouth = waist(a, main), a.head(main * 0.055, -0.115, -0.175)
    a.hands[main] = curve(a.phase, [(0, low), (t[0], low), (t[1], mouth), (t[4], mouth), (t[5], low)])
    a.elbows[main] = np.array([main * (0.9 + a.body.elbow), -0.6, -0.1])
    lift = curve(a.phase, [(t[1], 0.1), (t[2], 0.95), (t[3], 1.0), (t[4], 0.1)])
    finish(show, kind, main, own=True, lift=lift)


def eat(show: Performance, kind: str, main: int) -> None:
    """A002: bring food to the mouth two or three times, chewing in between."""
    a = show.actors[0]
    bites = int(a.rng.integers(2, 4))
    edges = np.array(beats(a, *np.linspace(0.10, 0.92, 3 * bites + 1)))
    a.nod = 0.10 + 0.03 * np.sin(2 * np.pi * 2.2 * a.seconds)
    a.settle()
    low = waist(a, main, 0.0, -0.24, -0.33)
    mouth = a.head(main * 0.045, -0.085, -0.165)
    keys: list[tuple[float, Array]] = [(0.0, low), (edges[0], low)]
    for bite in range(bites):
        keys += [(edges[3 * bite + 1], mouth), (edges[3 * bite + 2], mouth), (edges[3 * bite + 3], low)]
    a.hands[main] = curve(a.phase, keys)
    a.elbows[main] = np.array([main * (0.75 + a.body.elbow), -0.8, 0.0])
    finish(show, kind, main, own=True)


def _sit(a: Actor, down: Array) -> None:
    """Chair posture: `down` (T,) runs from 0 (standing) to 1 (seated)."""
    b = a.body
    a.drop = down * (b.standing - SEAT - 0.09 * b.girth)
    a.back = 0.40 * (b.thigh / 0.42) * ease(down)
    a.bend = 0.72 * b.amplitude * np.sin(np.pi * np.clip(down, 0, 1)) + 0.06 * down
    a.nod = -0.15 * np.sin(np.pi * np.clip(down, 0, 1))
    a.knees_out = 0.14
    a.settle()
    lap = {s: a.joints[14 if s == LEFT else 18] + a.ahead(s * 0.01, 0.085, 0.10) for s in (LEFT, RIGHT)}
    weight = ease((down - 0.25) / 0.75)[:, None]
    for side in (LEFT, RIGHT):
        a.hands[side] = a.hang(side) * (1 - weight) + lap[side] * weight


def _chair(a: Actor) -> tuple[Array, float]:
    behind = np.array([np.sin(a.facing), np.cos(a.facing)]) * (0.43 * a.body.thigh / 0.42)
    return a.spot + behind, a.facing


def sit_down(show: Performance, kind: str, main: int) -> None:
    """A008: from standing onto the chair behind."""
    a = show.actors[0]
    start, end = beats(a, 0.20, 0.66)
    _sit(a, curve(a.phase, [(start, 0.0), (end, 1.0)]))
    show.chair = _chair(a)
    finish(show, kind, main)


def stand_up(show: Performance, kind: str, main: int) -> None:
    """A009: from the chair to standing."""
    a = show.actors[0]
    start, end = beats(a, 0.26, 0.70)
    _sit(a, curve(a.phase, [(start, 1.0), (end, 0.0)]))
    show.chair = _chair(a)
    finish(show, kind, main)


def wave(show: Performance, kind: str, main: int) -> None:
    """A023: raise one hand beside the head and wave it."""
    a = show.actors[0]
    t = beats(a, 0.08, 0.25, 0.78, 0.94)
    a.settle()
    # at most 3.2 swings a second
    swings = min(a.rng.uniform(2.5, 4.5), 3.2 * (t[2] - t[1]) * a.seconds[-1])
    envelope = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[2], 1.0), (t[3], 0.0)])
    angle = np.sin(2 * np.pi * swings * (a.phase - t[1]) / (t[2] - t[1])) * envelope * a.body.amplitude
    height = a.rng.uniform(0.10, 0.34)
    up = a.chest(main * (a.body.shoulder + 0.20 + 0.17 * angle), height - 0.05 * np.abs(angle), -0.17)
    a.hands[main] = curve(a.phase, [(t[0], a.hang(main)), (t[1], up), (t[2], up), (t[3], a.hang(main))])
    a.elbows[main] = np.array([main * (0.8 + a.body.elbow), -0.9, 0.2])
    a.tips[main] = a.ahead(main * 0.5 * angle, 0.5 * envelope, 0)
    finish(show, kind, -main if kind not in ("none", "phone", "food") else main)


def phone_call(show: Performance, kind: str, main: int) -> None:
    """A028: take the phone to the ear and keep it there."""
    a = show.actors[0]
    t = beats(a, 0.08, 0.30, 0.84, 0.98)
    at_ear = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[2], 1.0), (t[3], 0.35)])
    a.tilt = 0.14 * main * at_ear * a.body.amplitude
    a.look = -0.08 * main * at_ear
    a.settle()
    low, ear = waist(a, main, 0.0, -0.30, -0.30), a.head(main * 0.125, -0.055, -0.045)
    a.hands[main] = curve(
        a.phase, [(0, low), (t[0], low), (t[1], ear), (t[2], ear), (t[3], ear * 0.65 + low * 0.35)]
    )
    a.elbows[main] = np.array([main * (0.7 + a.body.elbow), -0.9, -0.25])
    a.tips[main] = a.ahead(0, 0.8, 0) * at_ear[:, None]
    finish(show, kind, main, own=True, lift=at_ear)


def play_with_phone(show: Performance, kind: str, main: int) -> None:
    """A029: hold a tablet in front with both hands, look at it, tap."""
    a = show.actors[0]
    t = beats(a, 0.06, 0.24)
    raised = curve(a.phase, [(t[0], 0.0), (t[1], 1.0)])
    a.nod = 0.12 + 0.38 * raised * a.body.amplitude**0.5
    a.settle()
    height = a.rng.uniform(-0.30, -0.20)
    rate = a.rng.uniform(1.6, 2.8)
    tap = np.maximum(np.sin(2 * np.pi * rate * a.seconds + a.rng.uniform(0, 6)), 0) ** 2 * raised
    slide = 0.05 * np.sin(2 * np.pi * rate * 0.31 * a.seconds) * raised
    low = -0.16 * (1 - raised)
    a.hands[-main] = a.chest(-main * 0.125, height + low, -0.33)
    a.hands[main] = a.chest(
        main * (0.125 - 0.07 * tap) + slide * tap, height + low + 0.05 * tap, -0.33 + 0.05 * tap
    )
    for side in (LEFT, RIGHT):
        a.elbows[side] = np.array([side * (0.75 + a.body.elbow), -0.8, 0.35])
    finish(show, kind, main, own=kind in ("tablet", "ball"))


def punch(show: Performance, kind: str, main: int) -> None:
    """A050: strike at the other person's head or chest once to three times; the other recoils."""
    a, other = show.actors
    count = int(a.rng.integers(1, 4))
    hits = np.array(beats(a, *(np.linspace(0.3, 0.75, count) if count > 1 else [0.45])))
    blow = np.zeros(a.frames)
    for hit in hits:
        blow = np.maximum(
            blow, curve(a.phase, [(hit - 0.11, 0.0), (hit, 1.0), (hit + 0.03, 1.0), (hit + 0.15, 0.0)])
        )
    recoil = np.zeros(a.frames)
    for hit in hits:
        recoil = np.maximum(recoil, curve(a.phase, [(hit - 0.01, 0.0), (hit + 0.07, 1.0), (hit + 0.28, 0.0)]))
    guard = curve(
        a.phase, [(0.02, 0.0), (max(hits[0] - 0.12, 0.06), 1.0), (min(hits[-1] + 0.16, 0.9), 1.0), (1.0, 0.0)]
    )
    a.bend = 0.08 * guard + 0.20 * blow * a.body.amplitude
    a.twist = main * (0.45 * blow - 0.25 * guard)
    a.back = -0.08 * blow
    a.settle()
    other.bend = -0.30 * recoil * other.body.amplitude
    other.back = 0.10 * recoil
    other.nod = -0.35 * recoil
    other.settle()
    fist = a.chest(main * a.body.shoulder * 0.9, -0.10, -0.24)
    fist_other = a.chest(-main * a.body.shoulder * 0.7, -0.12, -0.22)
    height = a.rng.choice([0.0, 0.30])
    aim = other.joints[4] * (1 - height) + other.joints[2] * height + other.ahead(0, -0.03, -0.13)
    rest, guard3, blow3 = a.hang(main), guard[:, None], blow[:, None]
    held_at = rest * (1 - guard3) + fist * guard3
    a.hands[main] = held_at * (1 - blow3) + aim * blow3
    if kind == "none":
        a.hands[-main] = a.hang(-main) * (1 - guard3) + fist_other * guard3
    a.elbows[main] = np.array([main * 0.9, -0.7, 0.5])
    shield = recoil[:, None] * 0.75
    for side in (LEFT, RIGHT):
        cover = other.chest(side * 0.12, -0.04, -0.26)
        other.hands[side] = other.hang(side) * (1 - shield) + cover * shield
    finish(show, kind, -main)


def shake_hands(show: Performance, kind: str, main: int) -> None:
    """A058: both reach out the right hand, meet in the middle, shake, let go."""
    a, other = show.actors
    t = beats(a, 0.10, 0.34, 0.76, 0.94)
    reach = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[2], 1.0), (t[3], 0.0)])
    for person in show.actors:
        person.bend = 0.12 * reach * person.body.amplitude
        person.settle()
    rate = a.rng.uniform(2.0, 3.2)
    shaking = curve(a.phase, [(t[1] - 0.02, 0.0), (t[1] + 0.05, 1.0), (t[2] - 0.04, 1.0), (t[2], 0.0)])
    bob = 0.045 * a.body.amplitude * shaking * np.sin(2 * np.pi * rate * a.seconds)
    middle = 0.5 * (a.joints[21] + other.joints[21])
    middle[:, 1] += bob - 0.26 * a.body.height / 1.72
    weight = reach[:, None]
    side = RIGHT
    for person in show.actors:
        meet = middle + person.ahead(side * 0.02, 0, 0.02)
        person.hands[side] = person.hang(side) * (1 - weight) + meet * weight
        person.elbows[side] = np.array([side * 0.5, -1.0, 0.3])
    finish(show, kind, -side)


def shoot(show: Performance, kind: str, main: int) -> None:
    """A063: ball from the chest overhead with both hands, small dip of the knees, throw at the basket."""
    a = show.actors[0]
    t = beats(a, 0.10, 0.34, 0.50, 0.58, 0.68, 0.95)
    dip = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[3], 0.0)])
    rise = curve(a.phase, [(t[1], 0.0), (t[3], 1.0), (t[4], 1.0), (t[5], 0.0)])
    a.drop = 0.16 * dip * a.body.amplitude
    a.bend = 0.16 * dip
    a.heels = 0.06 * rise
    a.nod = -0.20 * rise
    a.settle()
    width = 0.125
    release = curve(a.phase, [(t[3], 0.0), (t[4], 1.0), (t[4] + 0.08, 1.0), (t[5], 0.4)])
    for side in (LEFT, RIGHT):
        low = a.chest(side * width, -0.24, -0.27)
        over = a.head(side * width, 0.22, -0.17)
        thrown = a.head(side * (width + 0.05), 0.33 + 0.03 * a.body.amplitude, -0.34)
        down = a.chest(side * 0.2, -0.20, -0.35)
        a.hands[side] = curve(
            a.phase, [(0, low), (t[1], low), (t[2], over), (t[3], over), (t[4], thrown), (t[5], down)]
        )
        a.elbows[side] = np.array([side * (0.8 + a.body.elbow), -0.5, -0.4])
        a.tips[side] = a.ahead(0, 0.5, -0.9) * release[:, None]
    for person in show.actors:
        person.pose()
    if kind not in ("none", "ball"):
        show.held = carried(kind, a, main)
    if kind == "ball":
        leave = int(np.argmin(np.abs(a.phase - 0.5 * (t[3] + t[4]) - 0.02)))
        flight = np.maximum(a.seconds - a.seconds[leave], 0.0)[:, None]
        speed = a.ahead(0, 4.6, -1.6)
        ball = in_hand(kind, a, main, 0.0)
        thrown_ball = ball.centre[leave] + speed * flight + np.array([0, -4.9, 0]) * flight**2
        ball.centre = np.where(flight > 0, thrown_ball, ball.centre)
        show.held = ball


def squat(show: Performance, kind: str, main: int) -> None:
    """A080: go down into a squat with the arms stretched forward, and up again."""
    a = show.actors[0]
    t = beats(a, 0.14, 0.42, 0.56, 0.86)
    down = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[2], 1.0), (t[3], 0.0)])
    depth = np.clip(0.46 * a.body.amplitude, 0.40, 0.56)
    a.drop = depth * a.body.standing * down
    a.back = 0.20 * down
    a.bend = 0.55 * down
    a.nod = -0.25 * down
    a.knees_out = 0.45
    a.settle()
    weight = down[:, None] * a.rng.uniform(0.85, 1.0)
    for side in (LEFT, RIGHT):
        front = a.joints[5 if side == LEFT else 9] + a.ahead(-side * 0.04, -0.06, -0.92 * a.body.arm)
        a.hands[side] = a.hang(side) * (1 - weight) + front * weight
    finish(show, kind, main)


def cross_arms(show: Performance, kind: str, main: int) -> None:
    """A096: fold both forearms across the chest, hold, let them hang again."""
    a = show.actors[0]
    t = beats(a, 0.12, 0.36, 0.76, 0.95)
    crossed = curve(a.phase, [(t[0], 0.0), (t[1], 1.0), (t[2], 1.0), (t[3], 0.0)])[:, None]
    a.settle()
    height = a.rng.uniform(-0.22, -0.12)
    for side in (LEFT, RIGHT):
        top = side == main
        fold = a.chest(
            -side * (a.body.shoulder - 0.035), height + (0.05 if top else -0.03), -0.20 if top else -0.16
        )
        out = a.chest(side * 0.10, height - 0.10, -0.34)
        path = a.hang(side) * (1 - crossed) + fold * crossed
        a.hands[side] = path + (out - fold) * (crossed * (1 - crossed) * 1.6)
        a.elbows[side] = np.array([side * (0.8 + 0.5 * a.body.elbow), -0.9, -0.25])
    finish(show, kind, main)


ACTIONS: dict[int, Callable[[Performance, str, int], None]] = {
    1: drink,
    2: eat,
    8: sit_down,
    9: stand_up,
    23: wave,
    28: phone_call,
    29: play_with_phone,
    50: punch,
    58: shake_hands,
    63: shoot,
    80: squat,
    96: cross_arms,
}
"""NTU number -> the function that animates it."""
