import tracemalloc
import zipfile

import numpy as np
import pytest
from made_exchange import (
    NAMES,
    TEST_CAMERAS,
    TRAIN_CAMERAS,
    TRAIN_SUBJECTS,
    action,
    camera,
    in_rows,
    people,
    save_ctr_npz,
    save_names,
    save_xsub,
    subject,
)
from made_readers import opened

from mmcl.datasets.listing import list_clips
from mmcl.errors import UserError
from mmcl.exchange import order
from mmcl.exchange.arrays import PackedRows, Rows, open_npz
from mmcl.exchange.names import list_named_clips
from mmcl.exchange.order import check_order, row_order


def reader(path, **options):
    return opened("ctr_npz", path, **options)


def clips(path, **options):
    own = reader(path, **options)
    return {entry.name: own.read_clip(entry) for entry in own.list_clips()}


@pytest.fixture
def npz(tmp_path):
    save_xsub(tmp_path / "CS.npz")
    return tmp_path / "CS.npz"


@pytest.fixture
def names(tmp_path):
    return str(save_names(tmp_path / "skes_available_name.txt"))


def test_names_restored(npz, names):
    entries = {entry.name: entry for entry in reader(npz, names=names).list_clips()}
    assert list(entries) == NAMES
    one = entries["S001C002P003R001A023"]
    assert (one.action, one.subject, one.camera, one.setup, one.split) == ("A023", 3, 2, 1, "test")
    read = clips(npz, names=names)
    for name in NAMES:
        np.testing.assert_array_equal(read[name], people(name))
        assert read[name].dtype == np.float32
    # subjects one after another, so not the global order of names
    assert entries["S001C001P001R001A001"].skeleton == "x_train/0"
    assert entries["S001C001P002R001A001"].skeleton == "x_train/12"


def test_camera_order_is_distinguished_from_subject_order(tmp_path, names):
    train, test = in_rows(NAMES, camera, TRAIN_CAMERAS), in_rows(NAMES, camera, TEST_CAMERAS)
    save_ctr_npz(tmp_path / "CV.npz", train, test)
    read = clips(tmp_path / "CV.npz", names=names)
    assert all(np.array_equal(read[name], people(name)) for name in NAMES)
    for protocol, good in (("ntu60_xview", True), ("ntu60_xsub", False)):
        assert (check_order(tmp_path / "CV.npz", names, protocol) == []) is good


def test_order_of_rows(names):
    sides = row_order(list_named_clips(names), "ntu60_xsub")
    assert [clip.name for clip in sides["train"]] == in_rows(NAMES, subject, TRAIN_SUBJECTS)
    sides = row_order(list_named_clips(names), "ntu60_xview")
    assert [clip.name for clip in sides["train"]] == in_rows(NAMES, camera, TRAIN_CAMERAS)


def test_names_of_ntu120_serve_a_file_of_60_classes(npz, tmp_path):
    more = [*NAMES, "S018C001P008R001A061", "S018C001P001R001A120"]
    assert [
        e.name for e in reader(npz, names=str(save_names(tmp_path / "120.txt", more))).list_clips()
    ] == NAMES


def test_lists_that_do_not_match(npz, tmp_path):
    less = str(save_names(tmp_path / "less.txt", NAMES[1:]))
    assert check_order(npz, less, "ntu60_xsub") == [
        "x_train has 36 rows, the names give 35 clips for ntu60_xsub"
    ]
    with pytest.raises(UserError, match=r"CS.npz: 36/12 rows do not have counts and labels of any protocol"):
        reader(npz, names=less).list_clips()
    with pytest.raises(UserError, match=r"less.txt is not its list of names: x_train has 36 rows"):
        reader(npz, names=less, protocol="ntu60_xsub").list_clips()
    # one clip in another's place: same counts, other labels
    other = sorted([*NAMES[1:], "S001C001P001R002A023"])
    problems = check_order(npz, str(save_names(tmp_path / "other.txt", other)), "ntu60_xsub")
    assert len(problems) == 1
    # camera 1's A001 is gone, and a second A023 stands after its three others
    assert problems[0].startswith(
        "4 of 36 labels of y_train are not those of the names: row 0 (S001C001P001R001A009) has label 0, row 1"
    )
    with pytest.raises(UserError, match=r"no protocol 'x'"):
        check_order(npz, less, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S001C001P001R001A001\nwalking\n", r"line 2: 'walking' is not SsssCcccPpppRrrrAaaa"),
        (
            "S001C001P001R001A001\n# a\n\nS001C001P001R001A001.skeleton\n",
            "S001C001P001R001A001 occurs twice",
        ),
        ("", "names no clip"),
    ],
)
def test_bad_lists(npz, tmp_path, text, message):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(UserError, match=rf"bad.txt: {message}"):
        reader(npz, names=str(tmp_path / "bad.txt")).list_clips()


def test_without_names(npz):
    entries = reader(npz).list_clips()
    assert [entry.name for entry in entries][:2] == ["test-000000", "test-000001"]
    assert {entry.split for entry in entries} == {"train", "test"}
    assert [entry.subject for entry in entries] == [0] * 48
    assert entries[-1].name == "train-000035"
    last = in_rows(NAMES, subject, TRAIN_SUBJECTS)[-1]
    assert entries[-1].action == f"A{action(last):03d}"
    np.testing.assert_array_equal(clips(npz)["train-000035"], people(last))


def test_second_person(tmp_path, names):
    save_xsub(tmp_path / "dup.npz", duplicated=True)
    dropped, kept = (
        clips(tmp_path / "dup.npz", names=names),
        clips(tmp_path / "dup.npz", names=names, person2="duplicated"),
    )
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(dropped[name], people(name))
        assert dropped[name].shape[1] == (2 if i % 3 == 0 else 1)
        assert kept[name].shape[1] == 2
    with pytest.raises(
        UserError, match=r'options\.person2: "x" is not allowed; allowed: "absent", "duplicated"'
    ):
        reader(tmp_path / "dup.npz", person2="x")


def test_coordinates_as_in_the_file_or_centred(tmp_path):
    x = np.zeros((1, 300, 150), np.float32)
    x[0, :4] = np.arange(600).reshape(4, 150) + 1
    one_hot = np.eye(60)[:1]
    np.savez(tmp_path / "a.npz", x_train=x, y_train=one_hot, x_test=x, y_test=one_hot)
    as_is, moved = (
        clips(tmp_path / "a.npz")["train-000000"],
        clips(tmp_path / "a.npz", centre=True)["train-000000"],
    )
    np.testing.assert_array_equal(as_is.reshape(4, 150), x[0, :4])
    np.testing.assert_array_equal(moved, as_is - as_is[0, 0, 1])


def test_packed_like_plain(tmp_path, npz, names, monkeypatch):
    save_xsub(tmp_path / "packed.npz", save=np.savez_compressed)
    assert isinstance(open_npz(tmp_path / "packed.npz")["x_train"], PackedRows)
    assert type(open_npz(npz)["x_train"]) is Rows
    plain, packed = clips(npz, names=names), clips(tmp_path / "packed.npz", names=names)
    assert all(np.array_equal(plain[name], packed[name]) for name in NAMES)


def test_videos_by_name(npz, names, tmp_path):
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "videos" / "deep" / f"{NAMES[0]}_rgb.avi").touch()
    own = opened("ctr_npz", npz, tmp_path / "videos", names=names)
    assert own.list_clips()[0].video == f"deep/{NAMES[0]}_rgb.avi"
    assert own.list_clips()[1].video == ""
    with pytest.raises(UserError, match=r"does not hold where joints are in a video"):
        own.pixel_joints(own.list_clips()[0], 10, 10)


def test_bad_clips_are_reported(tmp_path):
    x = np.ones((4, 10, 150), np.float32)
    x[1, 3, 7] = np.nan
    x[2, 0, 0] = 1e30
    x[3] = 0
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.eye(60)[:4], x_test=x[:1], y_test=np.eye(60)[:1])
    own = reader(tmp_path / "a.npz")
    entries = {entry.name: entry for entry in own.list_clips()}
    assert own.read_clip(entries["train-000000"]).shape == (10, 1, 25, 3)
    for row, message in ((1, "frame 3: a coord"), (2, "frame 0: a coord"), (3, "no person is in any frame")):
        with pytest.raises(UserError, match=rf"a.npz/x_train/{row}: {message}"):
            own.read_clip(entries[f"train-{row:06d}"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None}, "has no x_train and y_train"),
        ({"y_train": np.eye(60)[:2]}, r"y_train is float64 \(2, 60\), expected one-hot rows of 3 clips"),
        ({"y_train": np.ones((3, 60))}, "y_train: row 0 is not one-hot"),
        ({"y_train": np.eye(60)[:3] * 2}, "y_train: row 0 is not one-hot"),
        ({"y_test": np.eye(10)[:3]}, "different numbers of classes"),
        ({"x_train": np.array([{}, 1, 2], object)}, "x_train.npy: holds object, expected numbers"),
        ({"x_train": np.asfortranarray(np.ones((3, 10, 150)))}, "must be rows one after another"),
        ({"x_train": np.array(3.0)}, "must be rows one after another"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_other_contents(tmp_path, changes, message, save):
    x, y = np.ones((3, 10, 150), np.float32), np.eye(60)[:3]
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes
    save(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=message):
        reader(tmp_path / "a.npz").list_clips()


def test_other_layout(tmp_path):
    x = np.ones((3, 10, 120), np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.eye(3), x_test=x, y_test=np.eye(3))
    with pytest.raises(
        UserError, match=r"is \(3, 10, 120\), expected .*25 joints × 3\) for the layout ntu25; set"
    ):
        clips(tmp_path / "a.npz")
    own = reader(tmp_path / "a.npz", layout="ucla20")
    assert own.layout == "ucla20"
    assert own.read_clip(own.list_clips()[0]).shape == (10, 1, 20, 3)
    assert own.class_names() == {"c0": "class 0", "c1": "class 1", "c2": "class 2"}
    (tmp_path / "classes.txt").write_text("w\twalk\nrun\nj\tjump\n")
    named = reader(tmp_path / "a.npz", layout="ucla20", classes=str(tmp_path / "classes.txt"))
    assert named.class_names() == {"w": "walk", "run": "run", "j": "jump"}
    assert named.list_clips()[1].action == "run"


def test_an_index_of_another_file(npz, names):
    from dataclasses import replace

    own = reader(npz, names=names)
    entry = own.list_clips()[0]
    for place in (
        "x_train/36",
        "x_train/-1",
        "x_train/٣",
        "y_train/0",
        "../../etc/passwd",
        "",
        "x_train/" + "9" * 5000,
    ):
        with pytest.raises(UserError, match=r"the index was made of another file"):
            own.read_clip(replace(entry, skeleton=place))


def test_damaged_files(npz, tmp_path):
    """Every 300th byte of the headers' part, and cuts: an error or a reading, nothing else."""
    whole = npz.read_bytes()
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad.npz"
    ends = rng.integers(0, len(whole), 20).tolist()
    directory = len(whole) - 400
    refused = 0
    for i in range(120):
        damaged = bytearray(whole[: ends[i]] if i < len(ends) else whole)
        if i >= len(ends):
            near = [(0, 200), (directory, len(whole))][i % 2]
            for place in rng.integers(*near, 4):
                damaged[place] ^= 1 << int(rng.integers(8))
        bad.write_bytes(bytes(damaged))
        try:
            clips(bad)
        except UserError as error:
            refused += "bad.npz" in str(error)
    assert refused > 80


def test_a_file_that_unpacks_without_end(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as file,
    ):
        shape = (1500, 300, 150)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for _ in range(1500):
            file.write(bytes(180_000))
    with pytest.raises(UserError, match=r"x_train.npy: unpacks to \d+ times its size; that is no recording"):
        open_npz(tmp_path / "bomb.npz")


def test_no_file(tmp_path):
    with pytest.raises(
        UserError, match=r"skeletons: no file .*a.npz. An npz file as CTR-GCN's scripts write it"
    ):
        reader(tmp_path / "a.npz")


def test_recognised_from_the_file_itself(npz, names):
    """`mmcl predict model.pt CS.npz --reader ctr_npz` opens the file, not its folder."""
    from mmcl.evaluation.recordings import open_recordings

    recordings = open_recordings(npz, "ctr_npz", {"names": names}, NAMES[:2])
    assert (recordings.layout, recordings.names) == ("ntu25", NAMES[:2])
    np.testing.assert_array_equal(recordings.read(NAMES[1]), people(NAMES[1]))


@pytest.mark.parametrize("bad", ["a\x00b", "a\nb", "\ud800", ""])
def test_names_that_are_none(tmp_path, bad):
    x, y = np.ones((2, 10, 150), np.float32), np.eye(60)[:2]
    own = {"names_train": np.array([NAMES[0], f"{bad}x" if bad else ""]), "names_test": np.array(NAMES[1:3])}
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, **own)
    entries = list_clips(reader(tmp_path / "a.npz"))
    reasons = {entry.name: entry.left_out for entry in entries}
    assert reasons.pop(NAMES[0]) == ""
    assert [why[:8] for name, why in reasons.items() if name not in NAMES] == ["the name"]
    own["names_train"] = np.array([0x7FFFFFFF] * 6, "<u4").view("<U3")
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, **own)
    with pytest.raises(UserError, match=r"a.npz/names_train.npy: is no text"):
        reader(tmp_path / "a.npz").list_clips()
    own["names_train"] = np.array(["n" * 300] * 2)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, **own)
    with pytest.raises(UserError, match=r"a.npz/names_train.npy: names of more than 200 characters"):
        reader(tmp_path / "a.npz").list_clips()


def test_wide_rows_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    x, y = np.ones((500, 1, 75), np.float32), np.zeros((500, 4000), np.float32)
    y[:, 7] = 1
    np.savez_compressed(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    monkeypatch.setattr(order, "BLOCK", 1 << 16)
    arrays = open_npz(tmp_path / "a.npz")
    tracemalloc.start()
    assert order.labels_of(arrays, tmp_path / "a.npz")["train"].tolist() == [7] * 500
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    monkeypatch.setattr(order, "MAX_CLIPS", 100)
    with pytest.raises(UserError, match=r"a.npz: y_train is \(500, 4000\), more than 100 clips"):
        order.labels_of(arrays, tmp_path / "a.npz")


def save_rows(path, clips):
    """Clips (T, M, 25, 3) as the rows of both sides."""
    x = np.stack([clip.reshape(len(clip), -1) for clip in clips]).astype(np.float32)
    y = np.eye(60)[np.zeros(len(x), int)]
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)


def test_where_a_file_holds_copies_no_others_are_made(tmp_path):
    one = np.concatenate([people(NAMES[1]), 0 * people(NAMES[1])], 1)
    copied = one.copy()
    copied[:, 1] = copied[:, 0]
    save_rows(tmp_path / "a.npz", [one, copied])  # the first was tracked under two ids
    for option, persons in (("absent", [1, 1]), ("duplicated", [1, 2])):
        own = reader(tmp_path / "a.npz", person2=option)
        assert [own.read_clip(entry).shape[1] for entry in own.list_clips()[2:]] == persons
    save_rows(tmp_path / "a.npz", [one, one])
    own = reader(tmp_path / "a.npz", person2="duplicated")
    assert [own.read_clip(entry).shape[1] for entry in own.list_clips()] == [2] * 4


def test_joints_at_zero_and_more_people_than_two(tmp_path, caplog):
    clip = people(NAMES[0])[3:]
    zero = clip.copy()
    zero[4, 1, 9] = 0
    save_rows(tmp_path / "a.npz", [zero, zero])
    own = reader(tmp_path / "a.npz")
    found = own.read_clip(own.list_clips()[0])
    wanted = clip.copy()
    wanted[4, 1, 9] = (clip[3, 1, 9] + clip[5, 1, 9]) / 2
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    still = reader(tmp_path / "a.npz", zeros="places")
    np.testing.assert_array_equal(still.read_clip(still.list_clips()[0]), zero)
    save_rows(tmp_path / "a.npz", [np.concatenate([clip[:, :1] / 9 + 1, clip[:, ::-1]], 1)])
    own = reader(tmp_path / "a.npz")
    np.testing.assert_array_equal(own.read_clip(own.list_clips()[0]), clip)
    assert "x_test/0: kept the 2 people with the most motion of 3" in caplog.text
