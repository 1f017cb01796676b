"""Small NTU and UTD-MHAD recordings made for tests."""

from pathlib import Path

import numpy as np


def joints(frames: int, seed: int = 0, at: tuple[float, float, float] = (0, 0, 3)) -> np.ndarray:
    """(F, 25, 3): a narrow, high cloud of points that moves."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-1, 1, (1, 25, 3)) * (0.2, 0.9, 0.2)
    return body + rng.normal(0, 0.02, (frames, 25, 3)) + np.array(at)


def skeleton_text(frames: int, bodies: dict[str, tuple[list[int], np.ndarray]]) -> str:
    """A `.skeleton` file; bodies: id → (frame numbers, (F, 25, 3)). Colour is (1000 x, 1000 y)."""
    lines = [str(frames)]
    for frame in range(frames):
        there = {body: xyz[list(at).index(frame)] for body, (at, xyz) in bodies.items() if frame in at}
        lines.append(str(len(there)))
        for body, xyz in there.items():
            lines += [f"{body} 0 1 1 1 1 0 -0.01 0.02 2", "25"]
            lines += [
                f"{x:.7g} {y:.7g} {z:.7g} 250.5 200.5 {1000 * x:.7g} {1000 * y:.7g} 0.1 0.2 0.3 0.4 2"
                for x, y, z in xyz
            ]
    return "\n".join(lines) + "\n"


def write_ntu(folder: Path, name: str, frames: int = 20, seed: int = 0) -> Path:
    """A good one-person clip."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.skeleton"
    path.write_text(skeleton_text(frames, {"72057594037931101": (list(range(frames)), joints(frames, seed))}))
    return path
