import subprocess
import sys

import numpy as np
import pytest
from rectangles import write_video

from mmcl.errors import UserError
from mmcl.video.decode import Recording
from mmcl.video.sampling import uniform_indices


def five(frames):
    return uniform_indices(frames, 5)


def levels(count: int, size=(64, 48)) -> list[np.ndarray]:
    """Pictures whose grey level tells their number: 5 · number."""
    return [np.full((size[1], size[0], 3), 5 * i, np.uint8) for i in range(count)]


def number(picture: np.ndarray) -> float:
    return float(picture.mean()) / 5


def noisy(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(count)]


def truncated(path, part: float):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def test_frames_size_and_reading(tmp_path):
    recording = Recording(write_video(tmp_path / "a.avi", levels(23)))
    assert recording.frames == 23
    assert recording.size == (64, 48)
    images = recording.read([0, 7, 22, 99])
    assert list(images) == [0, 7, 22]
    assert [round(number(image)) for image in images.values()] == [0, 7, 22]
    assert [round(number(image)) for image in recording.stream()] == list(range(23))


def test_colours_are_rgb(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[..., 0] = 250
    image = Recording(write_video(tmp_path / "a.avi", [picture] * 2)).read([1])[1]
    assert image[..., 0].min() > 240
    assert image[..., 1:].max() < 10


def test_choose(tmp_path):
    recording = Recording(write_video(tmp_path / "a.avi", levels(23)))
    chosen, images = recording.choose(five)
    assert chosen == [0, 4, 8, 12, 16]
    assert [round(number(images[i])) for i in chosen] == chosen
    chosen, images = Recording(write_video(tmp_path / "b.avi", levels(3))).choose(five)
    assert chosen == [0, 0, 1, 1, 2]
    assert sorted(images) == [0, 1, 2]


def test_a_recording_that_breaks_off_is_used_as_far_as_it_decodes(tmp_path):
    path = truncated(write_video(tmp_path / "a.avi", noisy(40)), 0.6)
    whole = Recording(write_video(tmp_path / "b.avi", noisy(40)))
    recording = Recording(path)
    chosen, images = recording.choose(five)
    assert 20 <= recording.frames <= 25
    assert chosen == five(recording.frames)
    for frame, image in whole.read(chosen).items():
        np.testing.assert_array_equal(images[frame], image)


@pytest.mark.parametrize(
    ("content", "cause"),
    [(None, "no such video"), (b"", "empty file"), (b"this is no video" * 100, "not a video")],
)
def test_what_is_no_recording_is_named(tmp_path, content, cause):
    path = tmp_path / "x.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"x.avi: {cause}"):
        Recording(path)


def test_a_recording_without_frames(tmp_path):
    path = truncated(write_video(tmp_path / "a.avi", noisy(40)), 0.05)
    with pytest.raises(UserError, match=r"a\.avi: (not a single frame|not a video)"):
        Recording(path)


def test_damage_is_not_reported_on_stderr(tmp_path):
    path = truncated(write_video(tmp_path / "a.avi", noisy(40)), 0.6)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    code = f"from mmcl.video.decode import Recording; print(Recording({str(path)!r}).frames > 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert done.stderr == ""
