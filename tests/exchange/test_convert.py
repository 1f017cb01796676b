import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from datasets.made_recordings import joints, skeleton_text, write_ntu
from made_exchange import NAMES, action, camera, in_rows, make_store, save_names, save_xsub, subject
from made_stores import edited
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.exchange import padding
from mmcl.exchange.convert import convert, map_store, source_settings
from mmcl.exchange.order import check_order
from mmcl.exchange.write_npz import write_npz
from mmcl.layouts import get_layout
from mmcl.skeleton.mapping import map_joints

CLIPS = NAMES[:24]
COLUMNS = ("labels", "offset", "frames", "persons", "subject", "camera", "setup")


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path, CLIPS)


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def converted(source, output, reader=None, options=None, **rest):
    convert(source, output, source_settings(source, reader, options or {}), **rest)


def assert_same_clips(one, other):
    one, other = SkeletonStore(one), SkeletonStore(other)
    assert one.names == other.names
    assert (one.layout, one.class_ids, one.class_names) == (other.layout, other.class_ids, other.class_names)
    np.testing.assert_array_equal(one.joints, other.joints)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


def test_store_to_npz_and_back(store, tmp_path):
    write_npz(store, tmp_path / "a.npz", "ntu60_xsub")
    converted(tmp_path / "a.npz", tmp_path / "own.h5")  # names from the file itself
    assert_same_clips(store, tmp_path / "own.h5")
    names = save_names(tmp_path / "names.txt", CLIPS)
    converted(tmp_path / "a.npz", tmp_path / "listed.h5", options={"names": str(names)})
    assert_same_clips(store, tmp_path / "listed.h5")
    assert check_order(tmp_path / "a.npz", names, "ntu60_xsub") == []
    assert check_order(tmp_path / "a.npz", store, "ntu60_xview") != []
    split = SkeletonStore(tmp_path / "listed.h5").split
    assert split.tolist() == ["test" if subject(name) == 3 else "train" for name in CLIPS]


def test_npz_as_ctr_gcn_loads_it(store, tmp_path):
    """feeders/feeder_ntu.py: argmax of the one-hot rows, x.reshape(N, T, 2, 25, 3).transpose(0, 4, 1, 3, 2)."""
    counts = write_npz(store, tmp_path / "a.npz", "ntu60_xview")
    assert counts == {"train": 8, "test": 16}
    data, skeletons = np.load(tmp_path / "a.npz"), SkeletonStore(store)
    for side, cameras in (("train", (2, 3)), ("test", (1,))):
        label = np.where(data[f"y_{side}"] > 0)[1]
        x = data[f"x_{side}"]
        assert (x.dtype, x.shape[1:]) == (np.float32, (300, 150))
        x = x.reshape(len(x), 300, 2, 25, 3).transpose(0, 4, 1, 3, 2)
        rows = in_rows(CLIPS, camera, cameras)
        assert label.tolist() == [action(name) - 1 for name in rows]
        for clip, name in zip(x, rows, strict=True):
            own = skeletons.clip(skeletons.names.index(name))
            np.testing.assert_array_equal(clip[:, : len(own), :, 0], own[:, 0].transpose(2, 0, 1))
            assert not clip[:, len(own) :].any()
            assert not clip[..., 1].any()
        assert data[f"names_{side}"].tolist() == rows
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None


def test_longer_clips_and_the_second_person(store, tmp_path, monkeypatch):
    monkeypatch.setattr(padding, "FRAMES", 20)
    write_npz(store, tmp_path / "a.npz", "ntu60_xview", person2="duplicated")
    x = np.load(tmp_path / "a.npz")["x_train"]
    assert x.shape[1] == 37  # the longest clip
    np.testing.assert_array_equal(x[..., :75], x[..., 75:])
    converted(tmp_path / "a.npz", tmp_path / "b.h5")
    assert_same_clips(store, tmp_path / "b.h5")


def test_the_second_person_of_recordings_is_a_copy_where_the_public_script_makes_one(tmp_path):
    names = CLIPS[:12]
    for i, name in enumerate(names):
        path = write_ntu(tmp_path / "raw", name, seed=i)
        if i == 4:  # one person, lost and found under another id
            path.write_text(
                skeleton_text(40, {"1": (range(20), joints(20)), "2": (range(20, 40), joints(20))})
            )
    converted(tmp_path / "raw", tmp_path / "a.npz", "ntu", protocol="ntu60_xsub", person2="duplicated")
    with np.load(tmp_path / "a.npz") as data:
        x = {
            name: row
            for side in ("train", "test")
            for name, row in zip(data[f"names_{side}"], data[f"x_{side}"], strict=True)
        }
    for name, row in x.items():
        second = np.zeros_like(row[:, :75]) if name == names[4] else row[:, :75]
        np.testing.assert_array_equal(row[:, 75:], second)


def test_store_to_pickle_and_back(store, tmp_path):
    converted(store, tmp_path / "a.pkl")
    converted(tmp_path / "a.pkl", tmp_path / "b.h5")
    assert_same_clips(store, tmp_path / "b.h5")
    with open(tmp_path / "a.pkl", "rb") as file:
        content = pickle.load(file)
    assert list(content["split"]) == ["xsub_train", "xsub_val", "xview_train", "xview_val"]
    assert content["split"]["xview_val"] == in_rows(CLIPS, camera, [1])
    first = content["annotations"][0]
    assert (first["frame_dir"], first["label"], first["total_frames"]) == (CLIPS[0], 0, 14)
    np.testing.assert_array_equal(first["keypoint"], SkeletonStore(store).clip(0).transpose(1, 0, 2, 3))
    converted(store, tmp_path / "c.pkl", protocol="odd_subjects")
    with open(tmp_path / "c.pkl", "rb") as file:
        assert list(pickle.load(file)["split"]) == ["odd_subjects_train", "odd_subjects_val"]


@pytest.mark.parametrize("ikem", [False, True])
def test_store_to_folder_and_back(store, tmp_path, ikem):
    converted(store, tmp_path / "xsub", protocol="ntu60_xsub", ikem=ikem)
    converted(tmp_path / "xsub", tmp_path / "b.h5")
    assert_same_clips(store, tmp_path / "b.h5")
    with open(tmp_path / "xsub" / "train_label.pkl", "rb") as file:
        labels = pickle.load(file)
    assert len(labels) == (3 if ikem else 2)
    data = np.load(tmp_path / "xsub" / "train_data_joint.npy", mmap_mode="r")
    assert data.shape == (20, 3, 300, 25, 2)
    assert labels[0] == in_rows(CLIPS, subject, (1, 2, 4))
    if ikem:
        assert [int(row.any((0, 2, 3)).sum()) for row in data] == labels[2]


def test_same_store_same_bytes(store, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_npz(store, tmp_path / name, "ntu60_xsub")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_another_layout(store, tmp_path):
    map_store(store, tmp_path / "mapped.h5", "ucla20")
    own, mapped = SkeletonStore(store), SkeletonStore(tmp_path / "mapped.h5")
    assert mapped.layout == "ucla20"
    assert mapped.fingerprint != own.fingerprint
    assert json.loads(h5py.File(tmp_path / "mapped.h5").attrs["settings"])["mapped_from"] == "ntu25"
    with h5py.File(tmp_path / "mapped.h5") as file:
        assert tuple(file["layout/joint"].asstr()[:]) == get_layout("ucla20").joints
        assert file["joints"].attrs["axes"] == "row, joint, coordinate"
    for i in range(len(own)):
        np.testing.assert_allclose(mapped.clip(i), map_joints(own.clip(i), "ntu25", "ucla20"), atol=1e-6)
    # whose centre, the nose, is another joint than ntu25's
    map_store(store, tmp_path / "coco.h5", "coco17")
    for i in range(len(own)):
        clip, expected = (
            SkeletonStore(tmp_path / "coco.h5").clip(i),
            map_joints(own.clip(i), "ntu25", "coco17"),
        )
        np.testing.assert_allclose(clip, expected - expected[0, 0, 0], atol=1e-6)
        assert not clip[0, 0, 0].any()
    result = run(store, tmp_path / "a.npz", "--protocol", "ntu60_xsub", "--layout", "ucla20")
    assert result.exit_code == 0
    assert np.load(tmp_path / "a.npz")["x_test"].shape == (4, 300, 120)


def test_recordings_to_anything(store, tmp_path):
    """A reader's folder; what is left out is reported with its reason."""
    (tmp_path / "raw" / "S001C001P001R001A050.skeleton").write_text("15\n1\n")
    result = run(tmp_path / "raw", tmp_path / "a.npz", "--reader", "ntu", "--protocol", "ntu60_xsub")
    assert result.exit_code == 0, result.output
    assert "a.npz: 20 train, 4 test; layout ntu25, 4 classes" in result.stderr
    assert (
        "left out: 1 × S001C001P001R001A050.skeleton: line 1: states 15 frames, but only 1 lines follow"
        in result.stderr
    )
    assert result.stdout == ""
    converted(tmp_path / "a.npz", tmp_path / "b.h5")
    assert_same_clips(store, tmp_path / "b.h5")
    result = run(store, tmp_path / "d.npz", "--protocol", "ntu120_xset")
    assert result.exit_code == 1
    assert "protocol ntu120_xset: no clip is in its train set" in result.stderr


def test_clips_of_neither_side(store, tmp_path):
    with edited(store) as h5:
        h5["subject"][0] = 99
    result = run(store, tmp_path / "a.npz", "--protocol", "ntu60_xsub")
    assert "left out: 1 clips that ntu60_xsub neither trains nor tests with" in result.stderr


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("a.npz", {}, "give --protocol"),
        ("folder", {}, "give --protocol"),
        ("a.txt", {}, "must end in .h5, .npz, .pkl"),
        ("a.h5", {}, "is a store already"),
        ("a.h5", {"protocol": "ntu60_xsub", "layout": "ucla20"}, "leave --protocol out"),
        ("a.npz", {"protocol": "typo"}, "no protocol 'typo'"),
        ("a.pkl", {"options": {"x": 1}}, "which has no reader's options"),
        ("a.h5", {"layout": "typo"}, "typo"),
    ],
)
def test_refused(store, tmp_path, output, options, message):
    with pytest.raises(UserError, match=message):
        converted(store, tmp_path / output, **options)
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "index.tsv", "store.h5"}


def test_whole_or_not_at_all(store, tmp_path, monkeypatch):
    before = store.read_bytes()
    (tmp_path / "a.npz").write_text("kept")
    (tmp_path / "xsub").mkdir()
    (tmp_path / "xsub" / "mine.txt").write_text("kept")
    for output in ("a.npz", "xsub"):
        with pytest.raises(UserError, match=r"is there already; --force replaces it"):
            converted(store, tmp_path / output, protocol="ntu60_xsub")
    with pytest.raises(UserError, match=r"xsub: holds mine.txt too; not replaced"):
        converted(store, tmp_path / "xsub", protocol="ntu60_xsub", force=True)
    with pytest.raises(UserError, match=r"store.h5: is the input"):
        converted(store, store, layout="ucla20", force=True)

    def full(clip, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmcl.exchange.write_npz.padded", full)
    with pytest.raises(UserError, match=r"a.npz: disk full; nothing was written"):
        converted(store, tmp_path / "a.npz", protocol="ntu60_xsub", force=True)
    monkeypatch.undo()
    assert (tmp_path / "a.npz").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "index.tsv", "store.h5", "a.npz", "xsub"}
    converted(store, tmp_path / "a.npz", protocol="ntu60_xsub", force=True)
    assert len(np.load(tmp_path / "a.npz")["x_train"]) == 20
    (tmp_path / "xsub" / "mine.txt").unlink()
    for _ in range(2):
        converted(store, tmp_path / "xsub", protocol="ntu60_xsub", force=True)
    assert len(list((tmp_path / "xsub").iterdir())) == 4
    assert store.read_bytes() == before


def test_what_is_converted_is_stated_by_the_file(tmp_path):
    save_xsub(tmp_path / "a.npz")
    names = save_names(tmp_path / "names.txt")
    result = run(tmp_path / "a.npz", tmp_path / "a.h5", "--option", f"names={names}")
    assert result.exit_code == 0, result.output
    assert SkeletonStore(tmp_path / "a.h5").names == NAMES
    (tmp_path / "names.txt").write_text("\n".join(NAMES[1:]))
    result = run(tmp_path / "a.npz", tmp_path / "b.h5", "--option", f"names={names}")
    assert result.exit_code == 1
    assert "36/12 rows do not have counts and labels of any protocol" in result.stderr
    # endings in capitals, of what is read and of what is written
    (tmp_path / "a.npz").rename(tmp_path / "A.NPZ")
    assert run(tmp_path / "A.NPZ", tmp_path / "b.PKL").exit_code == 0
    assert run(tmp_path / "b.PKL", tmp_path / "b.H5").exit_code == 0
    assert SkeletonStore(tmp_path / "b.H5").layout == "ntu25"
    save_xsub(tmp_path / "a.npz")
    result = run(tmp_path / "names.txt", tmp_path / "b.h5")
    assert result.exit_code == 1
    assert "names.txt: name its reader, --reader ntu|" in result.stderr
    assert run(tmp_path / "a.npz", tmp_path / "none" / "b.h5").exit_code == 2
    assert run(tmp_path / "a.npz", tmp_path / "b.h5", "--option", "names").exit_code == 2
    assert run(tmp_path / "a.npz", tmp_path / "b.h5", "--person2", "x").exit_code == 2


@pytest.mark.real
@pytest.mark.parametrize(
    ("archive", "reader", "protocol", "counts"),
    [
        ("utd-mhad-skeleton.zip", "utd_mhad", "odd_subjects", (431, 430)),
        ("nw-ucla-skeleton.zip", "nw_ucla", "nw_ucla", (1020, 464)),
    ],
)
def test_real_round_trip(mmcl_data, tmp_path, archive, reader, protocol, counts):
    with zipfile.ZipFile(mmcl_data / archive) as packed:
        packed.extractall(tmp_path / "raw")
    store = tmp_path / "store.h5"
    converted(tmp_path / "raw", store, reader=reader)
    layout = SkeletonStore(store).layout
    options = {"layout": layout, "names": str(store)}
    assert tuple(write_npz(store, tmp_path / "a.npz", protocol).values()) == counts
    converted(tmp_path / "a.npz", tmp_path / "npz.h5", options=options)
    assert_same_clips(store, tmp_path / "npz.h5")
    converted(store, tmp_path / "a.pkl")
    converted(tmp_path / "a.pkl", tmp_path / "pkl.h5")
    assert_same_clips(store, tmp_path / "pkl.h5")
    converted(store, tmp_path / "folder", protocol=protocol)
    converted(tmp_path / "folder", tmp_path / "folder.h5", options=options)
    assert_same_clips(store, tmp_path / "folder.h5")
