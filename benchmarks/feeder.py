"""Training batches of skeletons: prepared all at once, against clip by clip as the reference's feeder does it.

Both ways see the same clips and the same random numbers and end with the same batch; run side by side.
`python benchmarks/feeder.py`
"""

import time

import numpy as np
import torch
import torch.nn.functional as F

from mmcl.engine.seeds import epoch_seed
from mmcl.layouts import get_layout
from mmcl.settings.training import TrainSettings
from mmcl.skeleton.ragged import join
from mmcl.training.feeders import ResizeDraw
from mmcl.training.loader import Loader, TrainingData

CLIPS, ROUNDS = 200, 20
STREAM, LAYOUT, PERSONS, PADDED = "bone_motion", "ntu25", 2, 300
TRAIN = TrainSettings(batch=CLIPS)


class ClipByClip:
    """The reference's way, from its description: padded arrays, one clip after another, then collated."""

    def __init__(self, clips: list[np.ndarray]):
        joints = len(get_layout(LAYOUT))
        self.data = np.zeros((len(clips), 3, PADDED, joints, PERSONS), np.float32)
        for padded, clip in zip(self.data, clips, strict=True):
            padded[:, : len(clip)] = clip.transpose(3, 0, 2, 1)

    def batch(self, draw: ResizeDraw) -> torch.Tensor:
        items = zip(*(part.tolist() for part in draw), strict=True)
        return torch.stack([self.clip(*item) for item in items])

    def clip(self, row: int, share: float, position: float, angles: list[float]) -> torch.Tensor:
        padded = self.data[row]
        valid = int(np.sum(padded.sum(0).sum(-1).sum(-1) != 0))
        x = torch.from_numpy(self.crop_resize(padded, valid, share, position))
        x = self.rotate(x, torch.tensor(angles)).numpy()
        bone = np.zeros_like(x)
        for child, parent in get_layout(LAYOUT).bone_pairs:
            bone[:, :, child] = x[:, :, child] - x[:, :, parent]
        bone[:, :-1] = bone[:, 1:] - bone[:, :-1]
        bone[:, -1] = 0
        return torch.from_numpy(bone)

    def crop_resize(self, padded: np.ndarray, valid: int, share: float, position: float) -> np.ndarray:
        kept = min(max(int(np.floor(valid * share)), TRAIN.min_crop), valid)
        first = int(position * (valid - kept + 1))
        channels, _, joints, persons = padded.shape
        part = torch.tensor(padded[:, first : first + kept], dtype=torch.float32)
        part = part.permute(0, 2, 3, 1).contiguous().view(channels * joints * persons, kept)
        size = (channels * joints * persons, TRAIN.window)
        part = F.interpolate(part[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        part = part.view(channels, joints, persons, TRAIN.window)
        return part.permute(0, 3, 1, 2).contiguous().numpy()

    def rotate(self, x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        channels, frames, joints, persons = x.shape
        x = x.permute(1, 0, 2, 3).contiguous().view(frames, channels, joints * persons)
        turn = self.matrices(angles.expand(frames, 3))
        return torch.matmul(turn, x).view(frames, channels, joints, persons).permute(1, 0, 2, 3).contiguous()

    def matrices(self, angles: torch.Tensor) -> torch.Tensor:
        """The same for each frame, as it is built there: (T, 3) -> (T, 3, 3)."""
        cos, sin = angles.cos(), angles.sin()
        zero, one = torch.zeros(len(angles), 1), torch.ones(len(angles), 1)

        def matrix(*rows: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat([torch.stack(row, dim=-1) for row in rows], dim=1)

        (cx, cy, cz), (sx, sy, sz) = cos.split(1, 1), sin.split(1, 1)
        about_x = matrix([one, zero, zero], [zero, cx, sx], [zero, -sx, cx])
        about_y = matrix([cy, zero, -sy], [zero, one, zero], [sy, zero, cy])
        about_z = matrix([cz, sz, zero], [-sz, cz, zero], [zero, zero, one])
        return about_z.matmul(about_y).matmul(about_x)


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    joints = len(get_layout(LAYOUT))
    lengths = random.integers(30, PADDED + 1, CLIPS)
    clips = [random.normal(0, 0.5, (n, PERSONS, joints, 3)).astype(np.float32) for n in lengths]
    names = [f"clip{i}" for i in range(CLIPS)]
    loader = Loader(
        TrainingData(names, join(clips, PERSONS), torch.arange(CLIPS), LAYOUT), STREAM, TRAIN, seed=1
    )
    reference = ClipByClip(clips)
    seconds = dict.fromkeys(("clip by clip", "batched"), float("inf"))
    for epoch in range(ROUNDS):
        generator = torch.Generator().manual_seed(epoch_seed(1, epoch))
        draw = loader.feeder.draw(torch.from_numpy(lengths), generator, generator)
        found = {}
        for way in seconds:
            start = time.process_time()
            found[way] = next(loader.epoch(epoch)).x if way == "batched" else reference.batch(draw)
            seconds[way] = min(seconds[way], time.process_time() - start)
        torch.testing.assert_close(found["batched"], found["clip by clip"], rtol=0, atol=1e-4)
    print(
        f"feeder, batches of {CLIPS} clips of {lengths.min()}–{lengths.max()} frames, {joints} joints, {PERSONS}"
        f" persons, stream {STREAM}, window {TRAIN.window}, one thread,"
        f" CPU time, best of {ROUNDS} rounds"
    )
    for way, spent in seconds.items():
        print(f"  {way:<14} {CLIPS / spent:8.0f} clips/s")
    print(f"  ratio          {seconds['clip by clip'] / seconds['batched']:8.1f}×")


if __name__ == "__main__":
    main()
