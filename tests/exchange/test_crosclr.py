import pickle

import numpy as np
import pytest
import torch
from made_exchange import NAMES, TEST_SUBJECTS, TRAIN_SUBJECTS, action, people, subject
from made_readers import opened

from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.selfsup.facing import face_camera
from mmcl.selfsup.views import Views
from mmcl.settings.selfsup import ViewSettings
from mmcl.skeleton.ragged import join
from mmcl.skeleton.streams import to_streams
from mmcl.skeleton.transforms import crop_resize

TRAIN = [name for name in NAMES if subject(name) in TRAIN_SUBJECTS]
TEST = [name for name in NAMES if subject(name) in TEST_SUBJECTS]


def save(folder, ikem=False, suffix=".skeleton", file="{}_data_joint.npy"):
    """As CrosSCLR's tools/ntu_gendata.py writes it: camera space, not centred."""
    folder.mkdir(exist_ok=True)
    for part, names in (("train", TRAIN), ("val", TEST)):
        data = np.zeros((len(names), 3, 300, 25, 2), np.float32)
        for row, name in zip(data, names, strict=True):
            clip = people(name)
            moved = np.where(clip.any((2, 3), keepdims=True), clip + np.float32([0, 0, 4]), 0)
            row[:, : len(clip), :, : clip.shape[1]] = moved.transpose(3, 0, 2, 1)
        np.save(folder / file.format(part), data)
        labels = [f"{name}{suffix}" for name in names], [action(name) - 1 for name in names]
        labels += ([len(people(name)) for name in names],) if ikem else ()
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(labels))


def reader(folder, **options):
    return opened("crosclr", folder, **options)


@pytest.mark.parametrize("form", [{}, {"ikem": True}, {"file": "{}_data.npy"}, {"suffix": ""}])
def test_reads(tmp_path, form):
    save(tmp_path, **form)
    own = reader(tmp_path)
    entries = own.list_clips()
    assert [entry.name for entry in entries] == NAMES
    assert [entry.split for entry in entries] == ["test" if name in TEST else "train" for name in NAMES]
    assert (entries[-1].action, entries[-1].subject, entries[-1].camera) == ("A060", 4, 3)
    for entry in entries:
        np.testing.assert_allclose(own.read_clip(entry), people(entry.name), atol=1e-6)
    raw = reader(tmp_path, centre=False)
    assert np.allclose(raw.read_clip(entries[0])[0, 0, 1], [0, 0, 4])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((TRAIN, [0]), "train_label.pkl: 36 names and 1 labels for 36 clips"),
        ((TRAIN,), r"train_label.pkl: holds no \(names, labels\)"),
        ((TRAIN, [0.5] * 36), "labels are not a list of integers"),
        (([3] * 36, [0] * 36), "names are not a list of texts"),
        ((TRAIN[:1] * 36, [0] * 36), "occurs twice"),
    ],
)
def test_other_contents(tmp_path, labels, message):
    save(tmp_path)
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(labels))
    with pytest.raises(UserError, match=message):
        reader(tmp_path).list_clips()


def test_missing_and_other_files(tmp_path):
    with pytest.raises(UserError, match=r"no train_label.pkl or val_label.pkl. train_data_joint.npy"):
        reader(tmp_path).list_clips()
    save(tmp_path)
    whole = (tmp_path / "val_data_joint.npy").read_bytes()
    (tmp_path / "val_data_joint.npy").write_bytes(whole[:-100])
    with pytest.raises(
        UserError, match=r"val_data_joint.npy: is not as long as its shape \(12, 3, 300, 25, 2\) states"
    ):
        reader(tmp_path).list_clips()
    (tmp_path / "val_data_joint.npy").write_bytes(whole)
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(path.suffix.upper()))
    assert len(reader(tmp_path).list_clips()) == 48
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(path.suffix.lower()))
    (tmp_path / "val_data_joint.npy").unlink()
    with pytest.raises(UserError, match=r"val_data_joint.npy: cannot be read"):
        reader(tmp_path).list_clips()
    (tmp_path / "val_label.pkl").unlink()
    assert len(reader(tmp_path).list_clips()) == 36  # one part alone
    with pytest.raises(UserError, match=r"expected \(clips, 3, frames, 20 joints, people\)"):
        reader(tmp_path, layout="utd20").list_clips()


def test_labels_as_an_array(tmp_path):
    save(tmp_path)
    labels = TRAIN, np.array([action(name) - 1 for name in TRAIN])
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(labels))
    assert reader(tmp_path).list_clips()[0].action == "A001"


def save_arrays(folder, clips, form="{}_data.npy", frames=None):
    """Clips (3, T, V, M) as the training part."""
    np.save(folder / form.format("train"), np.stack(clips).astype(np.float32))
    names = [f"clip{i}" for i in range(len(clips))]
    labels = (names, [0] * len(clips)) if frames is None else (names, [0] * len(clips), frames)
    (folder / "train_label.pkl").write_bytes(pickle.dumps(labels))


def read(folder, number=0, **options):
    own = reader(folder, **options)
    return own.read_clip(own.list_clips()[number])


def kinetics(frames=20, seed=0):
    """(3, 300, 18, 2) as ST-GCN's kinetics_gendata writes it, two people; and positions (T, 2, 18, 2), y down."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-0.1, 0.1, (18, 2)) * (1, 3)
    still = body + np.array([[-0.2, 0.1], [0.2, -0.1]])[:, None]
    places = still + np.array([0.02, 0.01])[:, None, None] * rng.normal(0, 1, (frames, 2, 1, 1))
    clip = np.zeros((3, 300, 18, 2), np.float32)
    clip[:2, :frames] = places.transpose(3, 0, 2, 1)
    clip[2, :frames] = rng.uniform(0.3, 1, (frames, 18, 2))
    return clip, places


def test_scores_of_kinetics_are_no_depth(tmp_path):
    clip, places = kinetics()
    clip[:, 4:6, 7, 0] = 0  # a joint that was not found
    clip[:, 9] = clip[:, 9, :, ::-1]  # sorted by score in every frame
    save_arrays(tmp_path, [clip, 0 * clip, kinetics(seed=1)[0]])
    found = read(tmp_path, layout="openpose18", centre=False)
    wanted = places * (1, -1)
    share = np.array([[1], [2]]) / 3
    wanted[4:6, 0, 7] = wanted[3, 0, 7] * (1 - share) + wanted[6, 0, 7] * share
    np.testing.assert_allclose(found[..., :2], wanted, atol=1e-6)
    assert not found[..., 2].any()
    np.testing.assert_array_equal(read(tmp_path, layout="openpose18", centre=False, third="score"), found)
    depth = read(tmp_path, layout="openpose18", centre=False, third="depth")
    assert depth[..., 2].min() >= 0
    assert depth[..., 2].max() > 0.3


def test_third_numbers_that_may_be_either_are_refused_at_once(tmp_path):
    clip = kinetics()[0]
    clip[:2] *= 100
    save_arrays(tmp_path, [clip])
    with pytest.raises(
        UserError, match=r"within 0 … 1, as scores are; the option third: score or depth says what"
    ):
        reader(tmp_path, layout="openpose18").list_clips()
    # one clip that is none tells that they are depths
    save_arrays(tmp_path, [clip, 5 * clip])
    assert read(tmp_path, layout="openpose18").shape == (20, 2, 18, 3)


def test_people_are_followed_and_the_most_moving_kept(tmp_path, caplog):
    """As IKEM's and CrosSCLR's scripts write them: the bodies of each frame in the order of the file."""
    clip = people(NAMES[0])[3:]
    third = clip[:, :1] * 0.2 - 2
    three = np.concatenate([third, clip[:, ::-1]], 1)
    three[5] = three[5][[2, 0, 1]]
    save_arrays(tmp_path, [three.transpose(3, 0, 2, 1)])
    np.testing.assert_array_equal(read(tmp_path, centre=False), clip)
    assert "train/0: kept 2 people, dropped 1 tracks that are short or have less motion" in caplog.text


def recording(frames, seed=0):
    """(T, 1, 25, 3) metres at 30 frames per second."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-1, 1, (25, 3)) * (0.2, 0.9, 0.2)
    phase, rate = rng.uniform(0, 6, (25, 3)), rng.uniform(0.3, 1.2, (25, 3))
    moved = 0.1 * np.sin(2 * np.pi * rate * np.arange(frames)[:, None, None] / 30 + phase)
    return (body + moved + (0, 0, 3)).astype(np.float32)[:, None]


MODALITIES = ("joint", "joint_motion", "bone", "acceleration", "rotation_axis", "angular_velocity")


@pytest.mark.parametrize("frames", [50, 64, 100, 300])
def test_resampled_positions_get_their_recorded_frames_back(tmp_path, frames):
    """Motion is per recorded frame: what encoders see equals what they see of the recording."""
    clips, zero = join([recording(frames)], persons=2), torch.zeros(1, dtype=torch.int64)
    x = face_camera(crop_resize(clips, zero, zero, clips.length, 50), "ntu25")
    save_arrays(tmp_path, [x[0].numpy()], "{}_position.npy", [frames])
    own = read(tmp_path, centre=False)
    assert own.shape == (frames, 1, 25, 3)
    assert not own[:, :, get_layout("ntu25").root].any()
    view = ViewSettings(convention="ikem")
    seen, wanted = (Views(c, view, "ntu25").plain(zero, MODALITIES) for c in (join([own], 2), clips))
    for modality in MODALITIES:
        scale = wanted[modality].abs().max()
        torch.testing.assert_close(seen[modality] / scale, wanted[modality] / scale, atol=1e-4, rtol=0)
    # and frame by frame, which the samples tell only roughly
    motion = to_streams(torch.from_numpy(own.transpose(3, 0, 2, 1)[None].copy()), ["joint_motion"], "ntu25")
    turned = face_camera(torch.from_numpy(recording(frames).transpose(3, 0, 2, 1)[None].copy()), "ntu25")
    steps = to_streams(turned, ["joint_motion"], "ntu25")["joint_motion"].abs().mean()
    assert abs(float(motion["joint_motion"].abs().mean() / steps) - 1) < 0.15


def test_a_person_who_is_absent_stays_absent_when_frames_come_back(tmp_path):
    clip = np.concatenate([recording(50), recording(50, 1) + 1], 1)
    clip[:30, 1] = 0
    save_arrays(tmp_path, [clip.transpose(3, 0, 2, 1)], "{}_position.npy", [100])
    found = read(tmp_path, centre=False)
    assert found.shape == (100, 2, 25, 3)
    second = int((found[0] == 0).all((1, 2)).argmax())
    assert not found[:60, second].any()
    assert found[60:].any((2, 3)).all()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (None, "train_label.pkl: holds no numbers of frames"),
        ([100, 100], "holds no numbers of frames"),
        ([0], "numbers of frames are not integers from 1 to 10000"),
        ([10**9], "numbers of frames are not integers from 1 to 10000"),
        (["50"], "numbers of frames are not integers"),
    ],
)
def test_resampled_positions_need_their_numbers_of_frames(tmp_path, frames, message):
    save_arrays(tmp_path, [recording(50).transpose(3, 0, 2, 1)], "{}_position.npy", frames)
    with pytest.raises(UserError, match=message):
        reader(tmp_path).list_clips()
