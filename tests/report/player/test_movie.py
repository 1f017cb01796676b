"""Films, animations and strips of clips."""

import cv2
import numpy as np
import pytest
from made_bodies import body
from PIL import Image

from mmcl.report.player import movie
from mmcl.report.player.colours import PEOPLE, rgb
from mmcl.report.player.movie import write_animation, write_film, write_strip
from mmcl.report.player.panels import View, panels_of
from mmcl.report.player.sheet import Sheet
from mmcl.report.player.shown import Answer, Recognition, Shown, Skeleton
from mmcl.report.player.views import project
from mmcl.video import jpeg
from mmcl.video.decode import Recording

VIEWS = ("front", "side", "top")


@pytest.fixture
def clip():
    """22 frames of two people at 25 a second, with all that can be shown beside a video."""
    joints = np.concatenate([body(0, 22, "ntu25"), body(1, 22, "ntu25") + np.eye(3)[0]], axis=1).astype(
        np.float32
    )
    shown = Shown("clip", 25.0, "A1 wave", (Skeleton("", "ntu25", joints, "m"),))
    shown.montage = jpeg.encode(np.full((32, 32, 3), 77, np.uint8), 95)
    shown.answers = [
        Answer("blip", "are they “holding” it?", "yes", 0.9),
        Answer("blip", "what?", "a cup", np.nan),
    ]
    scores = np.array([[0.2, 0.8], [0.7, 0.3]])
    shown.recognition = Recognition("demo", ["wave", "sit"], np.array([11, 22]), scores, 11)
    shown.notes = ["jump: person 1 " + "far " * 100]
    return shown


@pytest.mark.parametrize(("codec", "mark"), [(movie.H264, b"avc1"), (movie.MPEG4, b"mp4v")])
def test_a_film_plays(clip, tmp_path, monkeypatch, codec, mark):
    assert movie.codec() == movie.H264  # it is installed
    monkeypatch.setattr(movie, "codec", lambda: codec)
    assert write_film([clip], tmp_path / "clip.mp4", VIEWS, 150) == 22
    film = Recording(tmp_path / "clip.mp4")
    pictures = list(film.stream())
    assert len(pictures) == 22
    assert film.rate == 25
    sheet = Sheet(clip, VIEWS, 150)
    assert film.size == sheet.size
    for frame in (0, 13, 21):
        lost = np.abs(pictures[frame].astype(int) - sheet.draw(frame)).mean()
        assert lost < 6  # of 255, by compression
        others = np.abs(pictures[frame].astype(int) - sheet.draw((frame + 9) % 22)).mean()
        assert lost < others
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    written = (tmp_path / "clip.mp4").read_bytes()
    assert mark in written
    # for a browser that has only the beginning
    assert codec == movie.MPEG4 or written.index(b"moov") < written.index(b"mdat")


def test_the_sheet_shows_joints_where_they_are(clip):
    sheet = Sheet(clip, VIEWS, 150)
    image = sheet.draw(7)
    for panel, (x, y) in zip(sheet.panels, sheet.places, strict=True):
        assert isinstance(panel, View)
        joints = clip.skeletons[0].joints[7, 1]
        places = project(joints.astype(float), panel.view, panel.space, 150) + np.array(
            [x, y + len(sheet.top)]
        )
        foot = places[19].round().astype(int)  # foot_right of person 2
        near = image[foot[1] - 2 : foot[1] + 3, foot[0] - 2 : foot[0] + 3].reshape(-1, 3).tolist()
        assert list(rgb(PEOPLE[1].right)) in near
    # the montage is there, below the lines of time
    assert (np.abs(image[-190:].astype(int) - 77).max(-1) <= 3).sum() > 150 * 150


def test_an_animation_has_its_frames_and_its_time(clip, tmp_path):
    assert write_animation([clip], tmp_path / "clip.gif", ("front",), 120) == 22
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 22
        assert image.info["loop"] == 0
        times = []
        for frame in range(22):
            image.seek(frame)
            times.append(image.info["duration"])
    assert sum(times) == 880
    clip.rate = 30
    write_animation([clip], tmp_path / "clip.gif", ("front",), 120)
    with Image.open(tmp_path / "clip.gif") as image:
        times = []
        for frame in range(22):
            image.seek(frame)
            times.append(image.info["duration"])
    assert set(times) == {30, 40}
    assert sum(times) == 730  # 22 / 30 s


def test_a_strip_has_its_frames_side_by_side(clip, tmp_path):
    assert write_strip([clip], tmp_path / "clip.png", ("front", "top"), 200, 5) == 5
    with Image.open(tmp_path / "clip.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 5 * 206
    panels = panels_of(clip, ("front", "top"), 200)
    top = 44 + 20
    for number, frame in enumerate((0, 5, 10, 16, 21)):
        for row, panel in enumerate(panels):
            x, y = number * 206, top + row * 206
            np.testing.assert_array_equal(pixels[y : y + 200, x : x + 200], panel.draw(frame, None))


def test_clips_follow_one_another_and_one_that_is_left_out_says_why(clip, tmp_path):
    lost = Shown("lost", 30.0, left_out="the file ends where a body should begin")
    assert write_film([clip, lost], tmp_path / "two.mp4", ("front",), 150) == 22 + 50  # 2 s
    last = list(Recording(tmp_path / "two.mp4").stream())[-1]
    red = (last[..., 0].astype(int) - last[..., 1]) > 60
    assert red.sum() > 100
    assert write_strip([lost], tmp_path / "lost.png", ("front",), 150, 3) == 0
    assert cv2.imread(str(tmp_path / "lost.png")) is not None


def test_skeletons_of_other_lengths_and_layouts_stand_side_by_side(clip):
    shorter = body(2, 9, "utd20").astype(np.float32)
    clip.skeletons = (*clip.skeletons, Skeleton("other", "utd20", shorter, "m"))
    panels = panels_of(clip, ("front",), 120)
    assert [panel.skeleton.layout for panel in panels] == ["ntu25", "utd20"]
    assert panels[0].space.half == panels[1].space.half
    np.testing.assert_array_equal(panels[1].draw(21, None), panels[1].draw(8, None))
    flat = shorter * (1, 1, 0)
    clip.skeletons = (Skeleton("", "utd20", flat.astype(np.float32), "px"),)
    assert [panel.view for panel in panels_of(clip, VIEWS, 120)] == ["front"]
