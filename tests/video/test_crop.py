import numpy as np
import pytest
from pydantic import ValidationError
from rectangles import draw, entry, write_video

from mmcl import store
from mmcl.datasets.index import write_index
from mmcl.errors import UserError
from mmcl.settings import tables
from mmcl.settings.jobs import Cropping
from mmcl.video import decode, jpeg
from mmcl.video.crop import crop_people

LEFT, RIGHT = (10, 8, 22, 40), (40, 12, 54, 44)


@pytest.fixture
def world(tmp_path, monkeypatch, detector):
    """Makes recordings and the index, then crops them: `world({name: images}, [entries], **settings)`."""
    monkeypatch.setitem(tables.READERS, "rectangles", "rectangles:Reader")
    (tmp_path / "weights").write_bytes(b"none")
    (tmp_path / "videos").mkdir()
    found_by = {
        "architecture": "rectangles",
        "weights": str(tmp_path / "weights"),
        "sha256": None,
        "classes": 1,
        "image_size": 64,
        "confidence": 0.25,
        "iou": 0.45,
    }
    base = {
        "boxes": "detector",
        "detector": found_by,
        "frames": "chosen",
        "count": 5,
        "people": "by_action",
        "margin": 0.0,
        "jpeg_quality": 95,
        "batch": 2,
    }

    def make(videos, entries=None, shard=(0, 1), output="crops.h5", threads=2, **settings) -> store.Shards:
        for name, images in videos.items():
            write_video(tmp_path / "videos" / f"{name}.avi", images)
        entries = [entry(name) for name in sorted(videos)] if entries is None else entries
        write_index(tmp_path / "index.tsv", entries)
        cropping = Cropping.model_validate({"reader": "rectangles", "video": {**base, **settings}})
        crop_people(
            tmp_path / "index.tsv",
            tmp_path,
            tmp_path / "videos",
            shard,
            tmp_path / output,
            cropping,
            threads=threads,
        )
        return store.Shards([tmp_path / output], "mmcl.crops/1")

    return make


def moving(count: int) -> list[np.ndarray]:
    return [draw((10 + i, 8, 22 + i, 40)) for i in range(count)]


def test_crops_of_a_clip(world, detector):
    table = world({"a": moving(22)})
    assert table.names == ["a"]
    assert table.row("frame", "a").tolist() == [0, 4, 8, 12, 16]
    np.testing.assert_array_equal(table.row("boxes", "a")[:, 0], [10, 14, 18, 22, 26])
    np.testing.assert_array_equal(table.row("boxes", "a")[0], LEFT)
    np.testing.assert_allclose(table.row("scores", "a"), 0.9)
    for data in table.row("images", "a"):
        crop = jpeg.decode(data)
        assert crop.shape == (32, 12, 3)
        assert crop[..., 0].mean() > 240
    assert detector.calls == [5]
    assert table.settings["video"]["detector"]["sha256"].startswith("140bedbf")


def test_pictures_of_several_clips_go_through_the_detector_together(world, detector):
    world({name: moving(22) for name in "abc"})
    assert detector.calls == [10, 5]


def test_two_people(world):
    both = [draw(LEFT, RIGHT)] * 6
    entries = [entry("pair", "A050"), entry("single", "A001")]
    table = world({"pair": both, "single": both}, entries)
    np.testing.assert_array_equal(table.row("boxes", "pair")[0], [10, 8, 54, 44])
    np.testing.assert_array_equal(table.row("boxes", "single")[0], LEFT)
    np.testing.assert_allclose(table.row("scores", "pair"), 0.6)
    table = world({"pair": both, "single": both}, entries, people="label_free", output="free.h5")
    np.testing.assert_array_equal(table.row("boxes", "single")[0], [10, 8, 54, 44])


def test_nobody_in_a_chosen_frame(world):
    # 50 frames, chosen 0 10 20 30 40; people only in frames 12–14, 16–18 and 40
    images = [draw((i, 8, i + 10, 40)) if i in (12, 13, 14, 16, 17, 18, 40) else draw() for i in range(50)]
    table = world({"a": images})
    # 0: nobody in 1–5, nearest chosen frame with one is 10's; 10: 12; 20: 18 before 16; 30: nobody in 25–35,
    # as near to 20 as to 40
    assert table.row("frame", "a").tolist() == [12, 12, 18, 18, 40]
    np.testing.assert_array_equal(table.row("boxes", "a")[:, 0], [12, 12, 18, 18, 40])


def test_short_clips(world):
    table = world({"one": moving(1), "three": moving(3)})
    assert table.row("frame", "one").tolist() == [0, 0, 0, 0, 0]
    assert table.row("frame", "three").tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("count", "chosen", "centres"),
    [
        (1, [0], [11]),
        (2, [0, 11], [5, 16]),
        (7, [0, 3, 6, 9, 12, 15, 18], [1, 4, 7, 11, 14, 17, 20]),
        (16, list(range(16)), [0, 2, 3, 4, 6, 7, 8, 10, 11, 13, 14, 15, 17, 18, 19, 21]),
    ],
)
def test_one_to_sixteen_frames(world, count, chosen, centres):
    for frames, expected in (("chosen", chosen), ("segment_centre", centres), ("all", chosen)):
        table = world(
            {"a": moving(22), "short": moving(3)}, frames=frames, count=count, output=f"{frames}.h5"
        )
        assert table.row("frame", "a").tolist() == expected
        np.testing.assert_array_equal(table.row("boxes", "a")[:, 0], np.array(expected) + 10)
        assert table.shape("scores") == (count,)
        assert len(table.row("images", "short")) == count


def test_other_numbers_of_frames_are_refused(world):
    for count in (0, 17):
        with pytest.raises(ValidationError, match=r"video.count"):
            world({"a": moving(5)}, count=count)


def test_a_single_frame_without_people_is_replaced(world):
    images = [draw((10, 8, 22, 40)) if i == 6 else draw() for i in range(20)]
    assert world({"a": images}, count=1).row("frame", "a").tolist() == [6]
    late = [draw((10, 8, 22, 40)) if i == 16 else draw() for i in range(20)]
    assert world({"a": late}, count=1, output="late.h5").failed == {"a": "no person"}
    table = world({"a": late}, count=1, frames="segment_centre", output="centre.h5")
    assert table.row("frame", "a").tolist() == [16]


def test_failures_have_reasons(world, tmp_path):
    entries = [
        entry("absent"),
        entry("damaged"),
        entry("empty_picture"),
        entry("good"),
        entry("none", video=""),
        entry("out", left_out="listed"),
    ]
    (tmp_path / "videos" / "damaged.avi").write_bytes(b"RIFF" + bytes(500))
    table = world({"empty_picture": [draw()] * 12, "good": moving(12)}, entries)
    assert table.names == ["good"]
    assert sorted(table.failed) == ["absent", "damaged", "empty_picture", "none"]
    assert table.failed["none"] == "no video"
    assert table.failed["empty_picture"] == "no person"
    assert table.failed["damaged"].startswith("cannot decode: ")
    assert table.failed["absent"].startswith("cannot decode: ")
    assert "absent.avi: no such video" in table.failed["absent"]


@pytest.mark.parametrize("frames", ["chosen", "all"])
def test_one_recording_does_not_stop_the_others(world, tmp_path, monkeypatch, frames):
    wide = b"YUV4MPEG2 W80000 H16 F10:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + bytes(80000 * 24)) * 2
    (tmp_path / "videos" / "wide.avi").write_bytes(wide)
    monkeypatch.setattr(decode, "MAX_FRAMES", 20)
    videos = {"long": [draw()] * 21, "good": moving(12)}
    table = world(videos, [entry(name) for name in ("good", "long", "wide")], frames=frames)
    assert table.names == ["good"]
    assert table.failed["wide"].endswith(
        "wide.avi: 80000 × 16 pixels; a side has at most 65500, a picture 33554432"
    )
    assert table.failed["long"].endswith("long.avi: more than 20 frames")


def test_shards_take_every_nth_of_the_sorted_clips(world):
    videos = {name: moving(5) for name in "abcde"}
    entries = [entry(name, left_out="bad" if name == "b" else "") for name in "abcde"]
    assert world(videos, entries, shard=(0, 2), output="0.h5").names == ["a", "d"]
    assert world(videos, entries, shard=(1, 2), output="1.h5").names == ["c", "e"]


def test_all_frames_samples_among_those_with_a_person(world, detector):
    images = [draw(LEFT) if i % 3 == 1 else draw() for i in range(40)]  # 1, 4, …, 37: thirteen frames
    table = world({"a": images, "b": [draw()] * 10}, frames="all")
    assert table.row("frame", "a").tolist() == [1, 7, 13, 19, 25]
    assert jpeg.decode(table.row("images", "a")[4]).shape == (32, 12, 3)
    assert table.failed == {"b": "no person"}
    assert sum(detector.calls) == 50


def test_segment_centres(world):
    assert world({"a": moving(22)}, frames="segment_centre").row("frame", "a").tolist() == [2, 6, 11, 15, 19]


def test_projected_joints(world, detector):
    # 20 pictures for 10 skeleton frames: picture 4i shows skeleton frame 2i
    table = world({"a": [draw()] * 20}, boxes="projected_joints", margin=0.1)
    assert table.row("frame", "a").tolist() == [0, 4, 8, 12, 16]
    np.testing.assert_array_equal(table.row("boxes", "a")[0], [8, 8, 22, 32])
    np.testing.assert_array_equal(table.row("boxes", "a")[:, 0], [8, 10, 12, 14, 16])
    assert detector.calls == []


def test_whole_frame(world):
    table = world({"a": [draw()] * 20}, boxes="whole_frame")
    np.testing.assert_array_equal(table.row("boxes", "a")[3], [0, 0, 64, 48])
    assert jpeg.decode(table.row("images", "a")[0]).shape == (48, 64, 3)


@pytest.mark.parametrize("frames", ["chosen", "all"])
def test_a_killed_job_continues_to_the_same_rows(world, detector, tmp_path, frames):
    videos = {name: moving(9 + i) for i, name in enumerate("abcdefg")}
    videos["c"] = [draw()] * 9
    whole = world(videos, output="whole.h5", frames=frames)
    detector.calls.clear()
    detector.patience = 2
    with pytest.raises(KeyboardInterrupt):
        world(videos, output="resumed.h5", frames=frames)
    assert not (tmp_path / "resumed.h5").exists()
    done = len(list((tmp_path / "resumed.h5.part").glob("*.h5")))
    assert 0 < done < 4
    detector.patience = 10**9
    resumed = world(videos, output="resumed.h5", frames=frames)
    assert resumed.names == whole.names == ["a", "b", "d", "e", "f", "g"]
    assert resumed.failed == whole.failed == {"c": "no person"}
    for column in ("boxes", "scores", "frame"):
        np.testing.assert_array_equal(resumed.read(column), whole.read(column))
    for name in whole.names:
        for one, other in zip(resumed.row("images", name), whole.row("images", name), strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("frames", ["chosen", "all"])
def test_neither_the_batch_nor_the_threads_matter(world, frames):
    videos = {"a": moving(9), "b": [draw()] * 9, "c": moving(30)}
    # with more than two threads the next batch is decoded while the detector works
    one = world(videos, output="1.h5", batch=1, threads=4, frames=frames)
    four = world(videos, output="4.h5", batch=4, threads=1, frames=frames)
    assert one.failed == four.failed
    for name in "ac":
        np.testing.assert_array_equal(one.row("boxes", name), four.row("boxes", name))
        assert [d.tobytes() for d in one.row("images", name)] == [
            d.tobytes() for d in four.row("images", name)
        ]


@pytest.mark.parametrize(("key", "value"), [("frames", "every"), ("people", "best"), ("boxes", "faces")])
def test_unknown_settings(world, key, value):
    with pytest.raises(ValidationError, match=f"video.{key}"):
        world({"a": moving(5)}, **{key: value})


def test_missing_weights_say_what_belongs_there(world, tmp_path):
    (tmp_path / "weights").unlink()
    with pytest.raises(UserError, match=r"weights not found: .*yolov5\{n,s,m,l,x\}u\.pt"):
        world({"a": moving(5)})
