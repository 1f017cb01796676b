import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rectangles import write_video

from mmcl.errors import UserError
from mmcl.video import decode
from mmcl.video.decode import Recording
from mmcl.video.jpeg import Unreadable
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


def test_files_that_only_list_others_are_no_recordings(tmp_path):
    write_video(tmp_path / "a.avi", levels(3))
    (tmp_path / "list.avi").write_text("ffconcat version 1.0\nfile a.avi\n")
    (tmp_path / "hls.avi").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.avi\n#EXT-X-ENDLIST\n")
    for name in ("list.avi", "hls.avi"):
        with pytest.raises(Unreadable, match=f"{name}: not a video"):
            Recording(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    [
        "http:x.avi",
        "concat:a|b.avi",
        "pipe:0.avi",
        "%03d.avi",
        "a*[b]?.avi",
        "-i.avi",
        "größe 1.avi",
        b"\xff.avi",
    ],
)
def test_every_name_that_a_file_may_have(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(write_video(tmp_path / "a.avi", levels(3)), os.fsencode(name))
    assert Recording(os.fsdecode(name)).frames == 3


@pytest.mark.parametrize("name", ["a.avi\0b", "\ud800.avi", "x" * 300 + ".avi", "folder", "fifo", "loop", ""])
def test_names_that_no_recording_has(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Unreadable, match=r"no such video|name too long") as caught:
        Recording(tmp_path / name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 500


def raw(path, width: int, height: int, frames: int = 1):
    """An uncompressed black video."""
    picture = b"FRAME\n" + bytes(width * height * 3 // 2)
    path.write_bytes(b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % (width, height) + picture * frames)
    return path


@pytest.mark.parametrize("size", [(65_502, 2), (2, 65_502), (8192, 4098)])
def test_pictures_that_are_too_large(tmp_path, size):
    with pytest.raises(
        Unreadable, match=rf"a.y4m: {size[0]} × {size[1]} pixels; a side has at most 65500, a picture"
    ):
        Recording(raw(tmp_path / "a.y4m", *size))


def test_a_recording_without_end(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", levels(12))
    monkeypatch.setattr(decode, "MAX_FRAMES", 11)
    for use in (lambda one: one.frames, lambda one: one.choose(five), lambda one: list(one.stream())):
        with pytest.raises(Unreadable, match="more than 11 frames"):
            use(Recording(path))


def test_frames_in_turn_are_read_as_memory_allows(tmp_path, monkeypatch):
    recording = Recording(write_video(tmp_path / "a.avi", levels(23)))
    sweeps = []
    monkeypatch.setattr(decode, "TOGETHER", 3 * 64 * 48 * 3)
    read = recording.read
    monkeypatch.setattr(recording, "read", lambda part: sweeps.append(list(part)) or read(part))
    found = [(frame, round(number(image))) for frame, image in recording.read_in_turn([9, 11, 8, 12, 99])]
    assert found == [(9, 9), (11, 11), (8, 8), (12, 12)]
    assert sweeps == [[9, 11, 8], [12, 99]]


def test_frames_that_decode_but_cannot_be_converted_end_the_recording(tmp_path, monkeypatch):
    recording = Recording(write_video(tmp_path / "a.avi", levels(23)))
    convert = Recording._next_picture

    def broken(self, capture):
        picture = convert(self, capture)
        return None if picture is None or number(picture) > 13.5 else picture

    monkeypatch.setattr(Recording, "_next_picture", broken)
    chosen, images = recording.choose(five)
    assert chosen == five(recording.frames)
    assert 0 < recording.frames <= 16
    assert [round(number(images[i])) for i in chosen] == chosen


def test_damage_is_not_reported_on_stderr(tmp_path):
    path = truncated(write_video(tmp_path / "a.avi", noisy(40)), 0.6)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    code = f"from mmcl.video.decode import Recording; print(Recording({str(path)!r}).frames > 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert done.stderr == ""
