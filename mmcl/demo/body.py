"""Bodies of the drawn demo: limb lengths, girth, clothing, and the style in which a subject moves."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmcl.demo.seeding import generator

SHIRTS = (
    (52, 98, 168),
    (168, 52, 58),
    (70, 128, 78),
    (196, 190, 178),
    (116, 72, 140),
    (92, 96, 104),
    (44, 120, 132),
    (176, 118, 140),
    (140, 150, 82),
    (66, 66, 110),
)
TROUSERS = ((44, 52, 84), (62, 60, 64), (112, 96, 74), (38, 44, 48), (84, 104, 136), (90, 74, 66))
SKINS = ((236, 196, 170), (222, 174, 142), (198, 144, 110), (150, 102, 74), (108, 72, 54))
HAIRS = ((34, 26, 22), (62, 42, 28), (112, 78, 44), (176, 138, 82), (72, 70, 70))
SHOES = ((36, 34, 36), (206, 204, 200), (98, 66, 46), (150, 50, 50))

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Body:
    """A subject. Lengths in metres, colours RGB 0–255, the rest factors around one."""

    height: float
    lower_spine: float
    upper_spine: float
    neck: float
    head: float
    shoulder: float
    shoulder_drop: float
    hip: float
    upper_arm: float
    forearm: float
    hand: float
    tip: float
    thumb: float
    thigh: float
    shin: float
    ankle: float
    foot: float
    girth: float
    speed: float
    amplitude: float
    sway: float
    stoop: float
    elbow: float
    stance: float
    left_handed: bool
    shirt: Colour
    shirt_second: Colour
    pattern: str
    sleeve: float
    trousers: Colour
    skin: Colour
    hair: Colour
    haircut: str
    shoes: Colour

    @property
    def arm(self) -> float:
        """Length from the shoulder to the hand joint, metres."""
        return self.upper_arm + self.forearm + self.hand

    @property
    def standing(self) -> float:
        """Height of the hip joints above the floor when standing with straight legs, metres."""
        return self.ankle + self.thigh + self.shin


@lru_cache(maxsize=512)
def sample_body(seed: int, who: str) -> Body:
    """The body of a seed and a name; the same for every clip of the subject.

    Args:
        seed: seed of the data set.
        who: name of the person, such as "ntu/7" or "ntu/7/partner".
    """
    rng = generator("body", seed, who)
    height = rng.uniform(1.54, 1.94)
    legs = rng.uniform(0.94, 1.05)
    arms = rng.uniform(0.94, 1.07)
    broad = rng.uniform(0.90, 1.12)

    def length(share: float, factor: float = 1.0) -> float:
        return float(share * height * factor * rng.uniform(0.97, 1.03))

    def pick(colours: tuple[Colour, ...]) -> Colour:
        shade = rng.uniform(0.88, 1.1)
        chosen = np.array(colours[rng.integers(len(colours))]) * shade + rng.uniform(-8, 8, 3)
        red, green, blue = (int(c) for c in np.clip(chosen, 12, 244))
        return red, green, blue

    return Body(
        height=height,
        lower_spine=length(0.148),
        upper_spine=length(0.138),
        neck=length(0.040),
        head=length(0.082),
        shoulder=length(0.104, broad),
        shoulder_drop=length(0.016),
        hip=length(0.047, broad),
        upper_arm=length(0.168, arms),
        forearm=length(0.142, arms),
        hand=length(0.044),
        tip=length(0.046),
        thumb=length(0.034),
        thigh=length(0.242, legs),
        shin=length(0.232, legs),
        ankle=length(0.044),
        foot=length(0.080),
        girth=float(rng.uniform(0.86, 1.22)),
        speed=float(rng.uniform(0.8, 1.25)),
        amplitude=float(rng.uniform(0.82, 1.18)),
        sway=float(rng.uniform(0.6, 1.5)),
        stoop=float(rng.uniform(-0.03, 0.13)),
        elbow=float(rng.uniform(-0.35, 0.45)),
        stance=float(rng.uniform(0.85, 1.5)),
        left_handed=bool(rng.random() < 0.2),
        shirt=pick(SHIRTS),
        shirt_second=pick(SHIRTS),
        pattern=str(rng.choice(["plain", "plain", "hoops", "stripes", "yoke"])),
        sleeve=float(rng.choice([0.55, 0.75, 2.0])),
        trousers=pick(TROUSERS),
        skin=pick(SKINS),
        hair=pick(HAIRS),
        haircut=str(rng.choice(["short", "short", "long", "bun", "bald"], p=[0.3, 0.25, 0.25, 0.12, 0.08])),
        shoes=pick(SHOES),
    )
