"""From what a user names to what is shown: stores, poses, recordings, videos, results."""

import numpy as np
import pytest
import yaml
from datasets.made_recordings import skeleton_text
from made_bodies import body
from made_clips import write_skeletons
from video.rectangles import write_video

from mmcl import paths, store
from mmcl.errors import UserError
from mmcl.naming import PROJECT
from mmcl.report.player.film import pictures
from mmcl.report.player.gather import Wanted, gather
from mmcl.report.player.shown import Film
from mmcl.report.player.source import Request, open_source
from mmcl.video import jpeg

NAME = "S001C001P001R001A023"


def show(request, names=(), count=12, **wanted):
    source = open_source(request)
    return list(gather(source, source.chosen(names, count), Wanted(**wanted)))


@pytest.fixture
def skeletons(tmp_path):
    """A store of three clips, one of them flat, and two that are left out."""
    two = np.concatenate([body(0, 20, "utd20"), body(1, 20, "utd20")], axis=1)
    clips = {"a1_s1": two, "a1_s2": body(2, 9, "utd20"), "flat": body(3, 9, "utd20") * (1, 1, 0)}
    failed = {"broken": "a file that ends early", "other": "nobody"}
    path = tmp_path / paths.at(paths.SKELETONS, dataset="made")
    return write_skeletons(path, clips, "utd20", failed), clips


def test_clips_of_a_store(skeletons):
    path, clips = skeletons
    shown = {clip.name: clip for clip in show(Request(str(path)), ["*"])}
    assert list(shown) == [*clips, "broken", "other"]
    for name, joints in clips.items():
        (skeleton,) = shown[name].skeletons
        np.testing.assert_array_equal(skeleton.joints, joints.astype(np.float32))
        assert skeleton.title == ""
        assert shown[name].label == "a1 wave <hand>"
        assert (shown[name].rate, shown[name].assumed) == (30, True)
    assert [shown[name].skeletons[0].unit for name in ("a1_s1", "flat")] == ["m", "picture heights"]
    assert (shown["broken"].left_out, shown["broken"].skeletons) == ("a file that ends early", ())


def test_clips_are_chosen_by_name_pattern_or_evenly(skeletons):
    path, _ = skeletons
    source = open_source(Request(str(path)))
    assert source.chosen(["flat", "a1_*"], 1) == ["flat", "a1_s1", "a1_s2"]
    assert source.chosen([], 2) == ["a1_s1", "flat"]  # those that are left out only where they are named
    with pytest.raises(UserError, match=r"made: no clip 'a1_s3' among 5; did you mean 'a1_s2'\?"):
        source.chosen(["a1_s3"], 1)


def test_joints_drawn_as_those_of_other_layouts(skeletons):
    path, _ = skeletons
    (clip,) = show(Request(str(path)), ["a1_s2"], layouts=("ucla20", "utd20"))
    assert [(one.title, one.layout) for one in clip.skeletons] == [
        ("as ucla20", "ucla20"),
        ("as utd20", "utd20"),
    ]
    assert len(clip.different) == 1
    (clip,) = show(Request(str(path)), ["a1_s2"], layouts=("ucla20",))
    assert [(one.title, one.layout) for one in clip.skeletons] == [("", "ucla20")]
    with pytest.raises(
        UserError, match=r"ntu25 has 25 joints, made 20; layouts with 20: sysu20, ucla20, utd20"
    ):
        show(Request(str(path)), layouts=("ntu25",))


def test_two_stores_side_by_side(skeletons, tmp_path):
    path, _ = skeletons
    other = write_skeletons(tmp_path / "other.h5", {"a1_s2": body(9, 5, "ntu25")}, "ntu25", {"a1_s1": "lost"})
    beside = open_source(Request(str(other)))
    first, second = show(Request(str(path)), ["a1_s1", "a1_s2"], other=beside)
    assert [one.title for one in first.skeletons] == ["made"]
    assert [(one.title, len(one.joints)) for one in second.skeletons] == [("made", 9), ("other", 5)]
    assert second.frames == 9
    with pytest.raises(UserError, match="other: has none of the clips flat … of made"):
        show(Request(str(path)), ["flat"], other=beside)


def test_what_is_suspicious_is_noted_for_every_layout(skeletons):
    path, _ = skeletons

    def examine(clip, layout, rate):
        return [("size", f"{layout.name} {clip.shape} {rate:g}")]

    (clip, flat) = show(
        Request(str(path)), ["a1_s2", "flat"], layouts=("utd20", "ucla20"), rate=15, examine=examine
    )
    assert clip.notes == [f"as {name}: size: {name} (9, 1, 20, 3) 15" for name in ("utd20", "ucla20")]
    assert flat.notes == []  # not in metres


def test_montages_and_answers_of_the_results(skeletons, tmp_path):
    path, _ = skeletons
    picture = jpeg.encode(np.full((8, 8, 3), 200, np.uint8), 90)

    def write(pattern, schema, columns, **values):
        file = tmp_path / paths.at(
            pattern, dataset="made", vlm="blip", question="whether", shard="000-of-001"
        )
        file.parent.mkdir(parents=True)
        batch = store.Batch(["a1_s1"], values, {})
        attributes = {"question": "is it?"} if "states" in values else {}
        store.write(
            file,
            schema=schema,
            settings={},
            names=["a1_s1"],
            columns=columns,
            batch_size=1,
            work=lambda _: batch,
            attributes=attributes,
        )

    write(paths.MONTAGES, "mmcl.montages/1", store.columns("mmcl.montages/1"), images=[picture])
    write(
        paths.ANSWERS,
        "mmcl.answers/1",
        store.columns("mmcl.answers/1", states=(1, 2), mask=(1,), ids=(1,)),
        states=np.zeros((1, 1, 2)),
        mask=np.ones((1, 1)),
        ids=np.ones((1, 1)),
        text=["yes"],
        p_yes=[0.75],
    )
    clip, other = show(Request(str(path)), ["a1_s1", "a1_s2"])
    assert clip.montage == picture
    assert [tuple(one) for one in clip.answers] == [("blip", "is it?", "yes", 0.75)]
    assert (other.montage, other.answers) == (None, [])


@pytest.fixture
def recordings(tmp_path):
    """An NTU recording of 12 frames, in frames 3 and 4 of which nobody is, and its video of 24 pictures.

    Picture i has the grey level 10 i. Joint j is at (500 + 20 j, 400) px of 1920 × 1080.
    """
    joints = np.stack([0.5 + 0.02 * np.arange(25), np.full(25, 0.4), np.full(25, 2.0)], axis=1)
    frames = [0, 1, 2, *range(5, 12)]
    text = skeleton_text(12, {"7": (frames, np.stack([joints] * 10))})
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / f"{NAME}.skeleton").write_text(text)
    images = [np.full((54, 96, 3), 10 * i, np.uint8) for i in range(24)]
    write_video(tmp_path / "raw" / f"{NAME}_rgb.avi", images)
    return tmp_path / "raw"


def test_a_recording_with_its_video(recordings):
    (clip,) = show(Request(str(recordings / f"{NAME}.skeleton"), "ntu", videos=recordings))
    assert clip.label == "A023 hand waving"
    assert clip.frames == 10
    assert clip.film.size == (96, 54)
    # frame t of twelve is in the middle of pictures 2 t and 2 t + 1 of 24
    np.testing.assert_array_equal(clip.film.frame, [1, 3, 5, 11, 13, 15, 17, 19, 21, 23])
    assert clip.film.pixels.shape == (10, 1, 25, 2)
    np.testing.assert_allclose(clip.film.pixels[4, 0, 10], (700 / 20, 400 / 20), atol=1e-3)
    seen = [picture.mean() for picture in pictures(clip.film, range(10), (48, 27))]
    np.testing.assert_allclose(seen, 10 * clip.film.frame, atol=4)
    assert clip.assumed  # of a video with another number of frames nobody knows when it was taken
    (clip,) = show(Request(str(recordings), "ntu", videos=recordings), film=False)
    assert clip.film is None


def test_people_as_they_were_recorded(recordings):
    (clip,) = show(Request(str(recordings), "ntu", videos=recordings, raw=True))
    assert clip.frames == 12
    assert clip.skeletons[0].present[:, 0].tolist() == [True] * 3 + [False] * 2 + [True] * 7
    np.testing.assert_allclose(clip.skeletons[0].joints[0, 0, 10], (0.7, 0.4, 2))  # not centred
    np.testing.assert_array_equal(clip.film.frame, 2 * np.arange(12) + 1)
    assert np.isnan(clip.film.pixels[3]).all()


def test_a_store_with_the_recordings_of_the_configuration(recordings, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(
        yaml.safe_dump({"datasets": {"mine": {"reader": "ntu", "skeletons": "raw", "videos": "raw"}}})
    )
    joints = np.ones((10, 1, 25, 3))
    path = write_skeletons(tmp_path / paths.at(paths.SKELETONS, dataset="mine"), {NAME: joints}, "ntu25")
    both = (PROJECT / "config.yaml", config)
    (clip,) = show(Request(str(path), config=both))
    np.testing.assert_array_equal(clip.skeletons[0].joints, joints)
    np.testing.assert_array_equal(clip.film.frame, [1, 3, 5, 11, 13, 15, 17, 19, 21, 23])
    (clip,) = show(Request(str(path)))
    assert clip.film is None
    for asked in ({"raw": True}, {"videos": recordings}):
        with pytest.raises(UserError, match="the configuration has no data set 'mine', so its recordings"):
            open_source(Request(str(path), **asked))


def test_a_video_that_cannot_be_shown_is_a_note(recordings):
    (recordings / f"{NAME}_rgb.avi").write_bytes(b"no video")
    (clip,) = show(Request(str(recordings), "ntu", videos=recordings))
    assert clip.film is None
    assert clip.notes[0].startswith("its video is not shown: ")
    assert len(clip.skeletons) == 1
    (recordings / f"{NAME}_rgb.avi").unlink()
    (clip,) = show(Request(str(recordings), "ntu", videos=recordings))
    assert clip.notes[0] == "it has no video"


def test_estimated_poses_on_their_video(tmp_path):
    keypoints = np.random.default_rng(0).uniform(5, 40, (6, 2, 17, 3)).astype(np.float32)
    keypoints[..., 2] = 0.5
    keypoints[2:, 1] = 0
    keypoints[0, 0, 9, 2] = 0
    path = tmp_path / paths.at(paths.POSES, dataset="mine", shard="000-of-001")
    path.parent.mkdir(parents=True)
    columns = {"keypoints": keypoints.reshape(-1, 17, 3), "offset": [0], "frames": [6], "persons": [2]}
    batch = store.Batch(["one"], {**columns, "size": [[96, 54]], "rate": [12.5]}, {"none": "no person"})
    store.write(
        path,
        schema="mmcl.poses/1",
        settings={},
        names=["none", "one"],
        columns=store.columns("mmcl.poses/1"),
        batch_size=2,
        work=lambda _: batch,
    )
    (tmp_path / "films").mkdir()
    write_video(tmp_path / "films" / "one.avi", [np.full((108, 192, 3), 40 * i, np.uint8) for i in range(6)])
    (tmp_path / "films" / "clips.csv").write_text("name,label\none,wave\n")
    config = tmp_path / "mine.yaml"
    poses = {"architecture": "yolov8n-pose", "weights": "none.pt"}
    config.write_text(
        yaml.safe_dump({"datasets": {"mine": {"reader": "own", "videos": "films", "poses": poses}}})
    )
    none, clip = show(Request(str(path), config=(PROJECT / "config.yaml", config)), ["none", "one"])
    assert none.left_out == "no person"
    (skeleton,) = clip.skeletons
    assert (skeleton.unit, skeleton.flat, clip.rate, clip.label) == ("px", True, 12.5, "wave")
    assert skeleton.present.tolist() == [[True, True]] * 2 + [[True, False]] * 4
    np.testing.assert_allclose(skeleton.joints[3, 0, :, 1], 54 - keypoints[3, 0, :, 1])  # y up
    np.testing.assert_allclose(clip.film.pixels[3, 0], 2 * keypoints[3, 0, :, :2])  # a video twice as large
    assert np.isnan(clip.film.pixels[0, 0, 9]).all()
    assert not skeleton.known[0, 0, 9]


def test_what_cannot_be_shown_is_said(skeletons, tmp_path):
    path, _ = skeletons
    (tmp_path / "folder").mkdir()
    for request, message in (
        (Request("nothing"), "nothing: no such file, and no data set of the configuration; known: demo, "),
        (Request(str(tmp_path / "no.h5")), "no such store"),
        (Request(str(tmp_path / "folder")), "for recordings name their reader, --reader ntu"),
        (Request(str(tmp_path / "folder"), "ntu"), "no .skeleton file in it"),
        (Request(str(tmp_path / "folder"), "kinect"), "no reader 'kinect'"),
        (Request(str(path), config=(tmp_path / "no.yaml",)), "no such config file"),
        (Request("demo"), "no folder results/demo/raw/demo/skeletons"),
    ):
        with pytest.raises(UserError, match=message):
            open_source(request)


def test_a_store_of_something_else_is_refused(stores):
    with pytest.raises(
        UserError, match=r"holds mmcl.montages/1; skeletons are in stores of mmcl.skeletons/1"
    ):
        open_source(Request(str(stores["montages"])))


def test_a_video_that_has_become_shorter_shows_its_last_picture(tmp_path):
    path = write_video(tmp_path / "v.avi", [np.full((48, 64, 3), 50 * i, np.uint8) for i in range(3)])
    film = Film(path, np.array([0, 2, 7]), None, (64, 48))
    assert [round(picture.mean() / 50) for picture in pictures(film, range(3), (64, 48))] == [0, 2, 2]
