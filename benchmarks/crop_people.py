"""Person crops: five frames of a clip through the detector, against every frame as the reference does it.

Both read the same drawn clips, use the same detector and cut the same five frames; run side by side.
`python benchmarks/crop_people.py`
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from mmcl.config import load
from mmcl.demo.dataset import draw_dataset
from mmcl.naming import PROJECT
from mmcl.settings.base import narrowed
from mmcl.settings.jobs import Drawing
from mmcl.video.decode import Recording
from mmcl.video.detect import open_detector
from mmcl.video.sampling import uniform_indices

CLIPS = 12
COUNT = 5


def every_frame(detector, path: Path) -> list[np.ndarray]:
    """As the reference: detect in each frame by itself, then choose five frames."""
    recording = Recording(path)
    images = recording.read(range(recording.frames))
    people = [detector.people([images[i]])[0] for i in range(recording.frames)]
    return [people[i] for i in uniform_indices(recording.frames, COUNT)]


def chosen_frames(detector, path: Path) -> list[np.ndarray]:
    """Choose five frames, then detect in them together."""
    recording = Recording(path)
    chosen = uniform_indices(recording.frames, COUNT)
    images = recording.read(chosen)
    return detector.people([images[i] for i in chosen])


def main() -> None:
    torch.set_num_threads(1)
    dataset = load(PROJECT / "config.yaml").dataset("demo")
    detector = open_detector(dataset.video.detector, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        drawn = narrowed(Drawing, dataset.drawn, subjects=(1,), cameras=(1,), damaged=False)
        draw_dataset(Path(folder), drawn, processes=1)
        videos = sorted(Path(folder).rglob("*.avi"))[:CLIPS]
        seconds = {every_frame: 0.0, chosen_frames: 0.0}
        for video in [videos[0], *videos]:  # the first clip warms up
            found = {}
            for way in seconds:
                start = time.process_time()
                found[way] = way(detector, video)
                seconds[way] += time.process_time() - start
            if video == videos[0]:
                seconds = dict.fromkeys(seconds, 0.0)
            for a, b in zip(*found.values(), strict=True):
                np.testing.assert_allclose(a, b, atol=0.05)
    print(
        f"crop_people, {len(videos)} clips of {list(drawn.size)} px, yolov5n at 320 px, one thread, CPU time"
    )
    for way, spent in seconds.items():
        print(f"  {way.__name__:<14} {1000 * spent / len(videos):8.1f} ms/clip")
    print(f"  ratio          {seconds[every_frame] / seconds[chosen_frames]:8.1f}×")


if __name__ == "__main__":
    main()
