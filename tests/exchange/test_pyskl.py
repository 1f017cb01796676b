import os
import pathlib
import pickle

import numpy as np
import pytest
from made_exchange import NAMES, annotation, camera, save_pyskl, subject
from made_readers import opened

from mmcl.datasets.listing import list_clips
from mmcl.errors import UserError


def reader(path, **options):
    return opened("pyskl", path, **options)


def test_three_dimensions(tmp_path):
    content = save_pyskl(tmp_path / "a.pkl")
    own = reader(tmp_path / "a.pkl")
    entries = own.list_clips()
    assert [entry.name for entry in entries] == NAMES
    assert own.layout == "ntu25"
    assert own.class_names()["A060"] == "walking apart from each other"
    assert len(own.class_names()) == 60
    for entry, made in zip(entries, content["annotations"], strict=True):
        assert (entry.subject, entry.camera, entry.split) == (subject(entry.name), camera(entry.name), "")
        assert entry.action == entry.name[-4:]
        read, half = own.read_clip(entry), made["keypoint"].astype(np.float32).transpose(1, 0, 2, 3)
        expected = np.where(half.any((2, 3), keepdims=True), half - half[0, 0, 1], 0)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_old_and_new_forms(tmp_path, protocol):
    """A plain list, other pickle protocols, paths as frame_dir, names in no form."""
    items = [annotation(name, "f4") | {"frame_dir": f"data/{name}x/"} for name in NAMES[:6]]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items, protocol))
    own = reader(tmp_path / "a.pkl")
    entries = own.list_clips()
    assert [entry.name for entry in entries] == [f"{name}x" for name in NAMES[:6]]
    assert [entry.subject for entry in entries] == [0] * 6
    assert entries[0].action == "c0"
    assert own.read_clip(entries[1]).shape == (13, 1, 25, 3)


def test_splits(tmp_path):
    save_pyskl(tmp_path / "a.pkl")
    entries = reader(tmp_path / "a.pkl", split=["xview_train", "xview_val"]).list_clips()
    assert [entry.split for entry in entries] == ["test" if camera(name) == 1 else "train" for name in NAMES]
    with pytest.raises(
        UserError, match=r"options.split: .*a.pkl has no split train; there are: xsub_train, xsub_val,"
    ):
        reader(tmp_path / "a.pkl", split=["train", "val"]).list_clips()
    with pytest.raises(UserError, match=r"S001C002P001R001A001 is in xsub_train and in xview_train"):
        reader(tmp_path / "a.pkl", split=["xsub_train", "xview_train"]).list_clips()
    with pytest.raises(UserError, match=r'options\.split: "x" is not of type array .Names of the two splits'):
        reader(tmp_path / "a.pkl", split="x")
    save_pyskl(tmp_path / "b.pkl", split={"train": NAMES[:40], "test": NAMES[40:]})
    assert [entry.split for entry in reader(tmp_path / "b.pkl").list_clips()] == ["train"] * 40 + ["test"] * 8


def flat(frames=20, persons=1, seed=0):
    """Keypoints (M, T, 17, 2) in a picture of 1920 × 1080 and their scores."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(200, 600, (17, 2)) + 600 * np.arange(persons)[:, None, None, None] * (1, 0)
    points = (body + rng.uniform(-8, 8, (persons, frames, 17, 2))).astype("f2")
    return points, rng.uniform(0.5, 1, (persons, frames, 17)).astype("f2")


def save_flat(path, points, scores, **changes):
    item = {
        "frame_dir": "S001C001P001R001A023",
        "label": 22,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": points.shape[1],
        "keypoint": points,
        "keypoint_score": scores,
    } | changes
    path.write_bytes(pickle.dumps({"split": {}, "annotations": [item]}, 4))
    own = reader(path)
    return own, own.list_clips()[0]


def test_two_dimensions(tmp_path):
    points, scores = flat()
    own, entry = save_flat(tmp_path / "a.pkl", points, scores)
    assert own.layout == "coco17"
    read, pixels = own.read_clip(entry), points.astype(np.float32)[0]
    expected = np.stack(
        [(pixels[..., 0] - 960) / 1080, (540 - pixels[..., 1]) / 1080, 0 * pixels[..., 0]], -1
    )
    np.testing.assert_allclose(
        read[:, 0], expected - expected[0, 0], atol=1e-6
    )  # the nose of the first frame
    raw = reader(tmp_path / "a.pkl", centre=False)
    np.testing.assert_allclose(raw.read_clip(raw.list_clips()[0])[:, 0], expected, atol=1e-6)
    seen = own.pixel_joints(entry, 960, 540)
    np.testing.assert_allclose(seen[:, 0], pixels / 2)


def test_people_who_are_not_there(tmp_path):
    points, scores = flat(persons=2)
    points[1, 5:], scores[1, 5:] = 0, 0
    own, entry = save_flat(tmp_path / "a.pkl", points, scores)
    read = own.read_clip(entry)
    assert read.shape == (20, 2, 17, 3)
    assert read[:5, 1].any()
    assert not read[5:, 1].any()
    assert np.isnan(own.pixel_joints(entry, 10, 10)[5:, 1]).all()
    points[1], scores[1] = 0, 0
    own, entry = save_flat(tmp_path / "a.pkl", points, scores)
    assert own.read_clip(entry).shape == (20, 1, 17, 3)


def test_unseen_keypoints(tmp_path):
    points, scores = flat()
    straight = np.arange(20)[:, None] * [10.0, 5.0] + 300
    points[0, :, 9] = straight
    points[0, 4:7, 9] = 0
    scores[0, 4:7, 9] = 0.1
    scores[0, :, 3] = 0
    save_flat(tmp_path / "a.pkl", points, scores)
    own = reader(tmp_path / "a.pkl", min_score=0.3, centre=False)
    read = own.read_clip(own.list_clips()[0])[:, 0]
    np.testing.assert_allclose(read[:, 9, 0], (straight[:, 0] - 960) / 1080, atol=1e-6)
    np.testing.assert_allclose(read[:, 9, 1], (540 - straight[:, 1]) / 1080, atol=1e-6)
    others = [joint for joint in range(17) if joint != 3]
    np.testing.assert_allclose(read[:, 3], read[:, others].mean(1), atol=1e-6)
    with pytest.raises(UserError, match=r'options\.min_score: "x" is not of type number'):
        reader(tmp_path / "a.pkl", min_score="x")


def unseen_wrist():
    """Keypoints whose joint 9 moves straight and stands at 0, 0 in frames 4 to 6; and where it was."""
    points, scores = flat()
    straight = np.arange(20)[:, None] * [10.0, 5.0] + 300
    points[0, :, 9] = straight
    points[0, 4:7, 9] = 0
    return points, scores, np.stack([(straight[:, 0] - 960) / 1080, (540 - straight[:, 1]) / 1080], -1)


@pytest.mark.parametrize("form", ["zeros", "scores", "third"])
def test_a_keypoint_at_zero_or_of_score_zero_was_not_seen(tmp_path, form):
    points, scores, wanted = unseen_wrist()
    if form == "scores":
        scores[0, 4:7, 9], points[0, 4:7, 9] = 0, 7
    if form == "third":
        points, scores = np.concatenate([points, scores[..., None]], -1), None
    save_flat(tmp_path / "a.pkl", points, None if form == "zeros" else scores)
    own = reader(tmp_path / "a.pkl", centre=False)
    (entry,) = own.list_clips()
    found = own.read_clip(entry)
    np.testing.assert_allclose(found[:, 0, 9, :2], wanted, atol=1e-6)
    assert not found[..., 2].any()
    unknown = np.isnan(own.pixel_joints(entry, 1920, 1080)).all(-1)
    assert np.argwhere(unknown).tolist() == [[frame, 0, 9] for frame in (4, 5, 6)]


def test_third_numbers_that_may_be_either_are_refused_at_once(tmp_path):
    points, scores, _ = unseen_wrist()
    points = np.concatenate([points / 1000, scores[..., None]], -1)
    with pytest.raises(
        UserError, match="within 0 … 1, as scores are; the option third: score or depth says what"
    ):
        save_flat(tmp_path / "a.pkl", points, None)
    own = reader(tmp_path / "a.pkl", third="depth", centre=False)
    third = own.read_clip(own.list_clips()[0])[..., 2]
    np.testing.assert_array_equal(
        np.delete(third, 9, 2), np.delete(points[0][:, None, :, 2], 9, 2).astype("f4")
    )
    own = reader(tmp_path / "a.pkl", third="score")
    assert not own.read_clip(own.list_clips()[0])[..., 2].any()


def test_of_more_people_those_with_the_most_motion_are_kept_whatever_their_order(tmp_path, caplog):
    points, scores = flat(persons=3)
    points[1] += 30 * np.sin(np.arange(20))[:, None, None].astype("f2")
    points[2, :, :, 1] += 10 * np.sin(np.arange(20))[:, None].astype("f2")
    clips = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        own, entry = save_flat(tmp_path / "a.pkl", points[order], scores[order])
        clips.append(own.read_clip(entry))
    assert clips[0].shape == (20, 2, 17, 3)
    for clip in clips[1:]:
        np.testing.assert_array_equal(clip, clips[0])
    assert caplog.text.count("annotations/0: kept 2 people, dropped 1 tracks") == 3


def test_a_copy_is_made_of_the_only_body(tmp_path):
    one, two = annotation(NAMES[1]), annotation(NAMES[2])
    two["keypoint"] = np.concatenate([two["keypoint"], 0 * two["keypoint"]])  # two ids of one person
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([one, two], 4))
    own = reader(tmp_path / "a.pkl", person2="duplicated")
    assert [own.read_clip(entry).shape[1] for entry in own.list_clips()] == [2, 1]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([two], 4))  # where all have two, nothing is told by it
    own = reader(tmp_path / "a.pkl", person2="duplicated")
    assert own.read_clip(own.list_clips()[0]).shape[1] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoint": np.zeros((1, 20, 17, 4))}, r"keypoint is \(1, 20, 17, 4\), expected"),
        ({"keypoint": "x"}, "keypoint is no array"),
        ({"total_frames": 7}, "total_frames is 7, keypoint has 20 frames"),
        ({"keypoint_score": np.zeros((1, 3, 17))}, r"keypoint_score is \(1, 3, 17\), expected \(1, 20, 17\)"),
        ({"img_shape": None}, r"img_shape is None, not \(height, width\)"),
        ({"img_shape": (0, 1920)}, r"img_shape is \(0, 1920\), not"),
        ({"keypoint": np.full((1, 20, 17, 2), np.nan)}, "a keypoint is not finite"),
        ({"keypoint": np.zeros((1, 20, 17, 2))}, "no person is in any frame"),
    ],
)
def test_bad_annotations(tmp_path, changes, message):
    path = tmp_path / "a.pkl"
    points, scores = flat()
    good = {
        "frame_dir": "good",
        "label": 22,
        "img_shape": (10, 10),
        "keypoint": points,
        "keypoint_score": scores,
    }
    bad = good | {"frame_dir": "bad", "total_frames": 20} | changes
    path.write_bytes(pickle.dumps([bad, good], 4))
    own = reader(path, layout="coco17")
    entries = {entry.name: entry for entry in own.list_clips()}
    assert own.read_clip(entries["good"]).shape == (20, 1, 17, 3)
    with pytest.raises(UserError, match=rf"a.pkl/annotations/0: {message}"):
        own.read_clip(entries["bad"])


def test_clips_left_out(tmp_path):
    items = [annotation(name) for name in NAMES[:5]]
    items[1]["label"] = 5
    items[2]["label"] = "x"
    items[3]["frame_dir"] = NAMES[0]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items, 4))
    entries = {entry.name: entry.left_out for entry in reader(tmp_path / "a.pkl").list_clips()}
    assert entries == {
        NAMES[0]: "occurs in the file twice",
        NAMES[1]: "label 5 is not the action A009 of its name",
        NAMES[2]: "label is 'x', no whole number of a class",
        NAMES[4]: "",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"split": {}}, "holds no list of annotations"),
        ([], "holds no annotation"),
        ([{"label": 1}], "annotations/0: has no frame_dir"),
        ({"annotations": [annotation(NAMES[0])], "split": [1]}, "`split` is not lists of names"),
        ({"annotations": [annotation(NAMES[0])], "split": {"a": ["b", [7]]}}, r"split 'a': \[7\] is no name"),
        (
            [annotation(NAMES[0]) | {"keypoint": np.zeros((1, 5, 18, 3))}],
            "skeletons of 18 joints; set options.layout",
        ),
        ({"a": os.system}, "refers to posix.system"),
    ],
)
def test_other_contents(tmp_path, content, message):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(UserError, match=message):
        reader(tmp_path / "a.pkl").list_clips()


def test_numbers_from_a_list(tmp_path):
    """What a list knows of a clip comes from it; a label that contradicts it is reported."""
    from mmcl.datasets.clip import ClipEntry
    from mmcl.datasets.index import write_index

    items = [annotation(name) | {"frame_dir": f"clip{i}", "label": i % 2} for i, name in enumerate(NAMES[:4])]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items, 4))
    actions = ["walk", "run", "walk", "walk"]
    known = [ClipEntry(f"clip{i}", a, i + 5, 2, 1, None, "", "", "") for i, a in enumerate(actions)]
    write_index(tmp_path / "index.tsv", known)
    own = reader(tmp_path / "a.pkl", names=str(tmp_path / "index.tsv"))
    # labels count the actions in their order: run 0, walk 1
    assert [(e.action, e.subject, e.left_out[:12]) for e in own.list_clips()] == [
        ("walk", 5, "its label is"),
        ("run", 6, "its label is"),
        ("walk", 7, "its label is"),
        ("walk", 8, ""),
    ]
    assert list(own.class_names()) == ["run", "walk"]


def test_class_folders(tmp_path):
    """Clips that share their last part are named by all parts, in the lists of the splits and by their videos too."""
    folders = [f"data/{kind}/{number}" for kind in ("run", "walk") for number in ("001", "002")]
    items = [annotation(NAMES[i]) | {"frame_dir": name, "label": i // 2} for i, name in enumerate(folders)]
    split = {"train": folders[::2], "val": [f"{name}/" for name in folders[1::2]]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"split": split, "annotations": items}, 4))
    for kind in ("run", "walk"):
        (tmp_path / "videos" / kind).mkdir(parents=True)
        (tmp_path / "videos" / kind / "001.MP4").touch()
    entries = opened("pyskl", tmp_path / "a.pkl", videos=tmp_path / "videos").list_clips()
    assert [(e.name, e.action, e.split, e.video) for e in entries] == [
        ("run__001", "c0", "train", "run/001.MP4"),
        ("run__002", "c0", "test", ""),
        ("walk__001", "c1", "train", "walk/001.MP4"),
        ("walk__002", "c1", "test", ""),
    ]
    items[1]["frame_dir"] = items[0]["frame_dir"]  # one clip twice is no class folder
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items[:2], 4))
    (entry,) = reader(tmp_path / "a.pkl").list_clips()
    assert (entry.name, entry.left_out) == ("001", "occurs in the file twice")


def labelled(tmp_path, labels, names=None, **options):
    """Clip → class and why it is left out, of annotations with these labels."""
    names = names or [f"clip{i}" for i in range(len(labels))]
    items = [
        annotation(NAMES[i]) | {"frame_dir": name, "label": label}
        for i, (name, label) in enumerate(zip(names, labels, strict=True))
    ]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items, 4))
    return {e.name: (e.action, e.left_out) for e in list_clips(reader(tmp_path / "a.pkl", **options))}


def test_labels_as_users_write_them(tmp_path):
    assert labelled(tmp_path, [np.int64(0), 1.0, np.float32(2), np.uint8(3)]) == {
        f"clip{i}": (f"c{i}", "") for i in range(4)
    }
    wrong = labelled(tmp_path, [0, 0.5, None, "1", True, float("nan"), -1, 10**70, [2] * 1000])
    reasons = [why for _, why in wrong.values()]
    assert reasons[0] == ""
    assert reasons[1] == "label is 0.5, no whole number of a class"
    assert reasons[2] == "label is None, no whole number of a class"
    assert reasons[3] == "label is '1', no whole number of a class"
    assert reasons[6] == "label -1 is not one of 1 classes"
    assert all(reasons[1:])
    assert max(map(len, reasons)) < 200
    assert labelled(tmp_path, [1, 2]) == {"clip0": ("c1", ""), "clip1": ("c2", "")}


def test_a_subset_of_ntu_with_labels_of_its_own(tmp_path):
    names = ["S001C001P001R001A008", "S001C001P003R001A009", "S001C002P003R001A009"]
    actions = [(name[-4:], "") for name in names]
    for labels in ([0, 1, 1], [1, 0, 0], [1, 2, 2], [7, 8, 8], [8, 9, 9]):
        assert list(labelled(tmp_path, labels, names).values()) == actions
        assert reader(tmp_path / "a.pkl").class_names()["A008"] == "sitting down"
    # not one label for each action: the user has to name the classes
    assert labelled(tmp_path, [0, 1, 0], names)[names[0]] == (
        "A008",
        "label 0 is not the action A008 of its name",
    )
    (tmp_path / "classes.txt").write_bytes("Sitzen\r\n站起\r\n\r\n".encode("utf-16"))
    classes = str(tmp_path / "classes.txt")
    assert list(labelled(tmp_path, [0, 1, 0], names, classes=classes).values()) == [
        ("Sitzen", ""),
        ("站起", ""),
        ("Sitzen", ""),
    ]
    assert reader(tmp_path / "a.pkl", classes=classes).list_clips()[0].subject == 1
    with pytest.raises(UserError, match=r"labels go from 1 to 2, but line 1 of .*classes.txt names label 0"):
        labelled(tmp_path, [1, 2, 2], names, classes=classes)


def test_paths_as_names(tmp_path):
    paths = [
        pathlib.PurePosixPath("data/a"),
        pathlib.PureWindowsPath("C:/data/b"),
        pathlib.PurePosixPath("/c"),
    ]
    items = [annotation(NAMES[i]) | {"frame_dir": path} for i, path in enumerate(paths)]
    for protocol in (2, 4):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(items, protocol))
        assert [entry.name for entry in reader(tmp_path / "a.pkl").list_clips()] == ["a", "b", "c"]


def test_names_that_no_clip_can_have(tmp_path):
    found = labelled(tmp_path, [0, 0, 0, 0, 0], ["good", "a\x00b", "//", "n" * 300, "jo\u0308rg "])
    assert {name: bool(why) for name, (_, why) in found.items()} == {
        "good": False,
        "a\\x00b": True,
        "(no name)": True,
        "n" * 197 + "...": True,
        "jörg": False,
    }
