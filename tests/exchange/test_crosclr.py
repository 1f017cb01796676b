import pickle

import numpy as np
import pytest
from made_exchange import NAMES, TEST_SUBJECTS, TRAIN_SUBJECTS, action, people, subject
from made_readers import opened

from mmcl.errors import UserError

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
