"""From a folder to a data set, a protocol and its table."""

import csv
import json

import numpy as np
import pytest
from made_folders import LABELS, PEOPLE, clip, flat, pixels

from mmcl.datasets.own_table import read_table
from mmcl.errors import UserError
from mmcl.guess.describe import dataset_name, describe


def found(folder, working=None):
    return describe(folder, "mine", working or folder)


def column(described, name):
    head, *rows = described.rows
    return [row[head.index(name)] for row in rows]


def test_labels_in_names(tmp_path):
    described = found(flat(tmp_path, "{person}_{label}_{take}"))
    assert described.dataset["options"] == {"layout": "ntu25", "persons": 1, "clips": "mine.csv"}
    assert {*column(described, "label")} == {label.replace(" ", "_") for label in LABELS}
    assert {*column(described, "subject")} == {*PEOPLE}
    assert described.protocol == "mine_folds"
    assert described.rule.dump() == {"folds": {"k": 4, "of": "subjects"}}
    assert described.needed == []


def test_clips_of_one_name_in_class_folders(tmp_path):
    described = found(flat(tmp_path, "{label}/{n}_{take}", unit=1000))
    assert described.dataset["options"]["scale"] == 0.001
    names = column(described, "name")
    assert len(set(names)) == 24
    assert "lift_left__1_01" in names
    assert described.rule.dump() == {"folds": {"k": 5, "of": "clips_per_class"}}
    assert any("column subject" in one.check for one in described.findings)


def test_columns_of_the_users_do_not_clash_with_those_of_mmcl(tmp_path):
    """`phase` and `setups` are kept; the reader would take `setups` for a slip if there were no column setup."""
    flat(tmp_path / "data", "{label}_{person}_{take}")
    names = sorted(path.stem for path in (tmp_path / "data").iterdir())
    lines = "".join(f"{name},{name.split('_')[1]},{i}\n" for i, name in enumerate(names))
    (tmp_path / "data" / "list.csv").write_text(f"clip,side,setups\n{lines}")
    described = found(tmp_path / "data", tmp_path)
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        csv.writer(file).writerows(described.rows)
    rows = read_table(tmp_path / "mine.csv")
    assert dict(rows[3].extra)["setups"] == "3"
    assert {row.values["setup"] for row in rows} == {""}


def test_labels_and_frame_rate_in_the_files(tmp_path):
    for number in range(6):
        path = tmp_path / f"{number:03d}.npz"
        label = LABELS[number % 2]
        np.savez(path, joints=clip("ntu25", number % 2, number), label=label, subject=number // 2, fps=30)
    described = found(tmp_path)
    assert column(described, "label") == [LABELS[0], LABELS[1]] * 3
    assert column(described, "subject") == ["1", "1", "2", "2", "3", "3"]  # 0 is no known subject
    assert [one.value for one in described.findings if one.what == "frame rate"] == ["30"]


def test_uneven_classes_are_weighted(tmp_path):
    flat(tmp_path, "{label}/{n}_{take}")
    for path in sorted((tmp_path / "lift_both").iterdir())[2:]:
        path.unlink()
    assert found(tmp_path).train["class_weights"] == "balanced"


def test_no_label_is_what_prediction_needs(tmp_path):
    for number in range(4):
        np.save(tmp_path / f"{number:04d}.npy", clip("ntu25", number % 2, number))
    described = found(tmp_path)
    assert (described.protocol, described.rule) == ("", None)
    assert described.rows[0] == ["name", "skeleton"]
    assert next(one.check for one in described.findings if one.what == "label").startswith(
        "for training, add"
    )


def test_openpose_frames_become_clips(tmp_path):
    data, working = tmp_path / "data", tmp_path / "working"
    for label, text in enumerate(LABELS[:2]):
        for take in (1, 2, 3):
            name = f"{text.replace(' ', '')}_{take}"
            for frame, points in enumerate(pixels(clip("coco17", label, take))):
                path = data / f"{name}_{frame:012d}_keypoints.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                people = [{"pose_keypoints_2d": points.ravel().tolist()}]
                path.write_text(json.dumps({"people": people}))
    described = found(data, working)
    assert described.dataset["skeletons"] == str(working / "mine-skeletons")
    assert column(described, "name") == sorted(
        f"lift{side}_{n}" for side in ("left", "right") for n in (1, 2, 3)
    )
    joints = json.loads((working / "mine-skeletons" / "liftleft_1.json").read_text())
    np.testing.assert_allclose(np.array(joints)[:, 0], pixels(clip("coco17", 0, 1)))
    assert described.train["rotation"] == 0


def test_numbers_without_names_become_arrays(tmp_path):
    data, working = tmp_path / "data", tmp_path / "working"
    data.mkdir()
    for number in range(4):
        with open(data / f"{('walk', 'wave')[number % 2]}_{number}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time", *(f"c{i}" for i in range(75))])
            for frame, points in enumerate(clip("ntu25", number % 2, number)):
                writer.writerow([frame / 30, *points.ravel().tolist()])
    described = found(data, working)
    assert described.dataset["options"]["layout"] == "ntu25"
    with np.load(working / "mine-skeletons" / "walk_0.npz") as archive:
        np.testing.assert_allclose(archive["joints"], clip("ntu25", 0, 0))


@pytest.mark.parametrize(
    ("file", "message"),
    [("a.zip", "1 .zip); unpack the .zip files first"), ("a.docx", "no skeleton file and no video")],
)
def test_a_folder_of_nothing_of_use(tmp_path, file, message):
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(UserError, match="holds no skeleton") as told:
        found(tmp_path)
    assert message in str(told.value)


def test_a_name_for_a_folder(tmp_path):
    assert dataset_name(tmp_path / "My Recordings (2026)") == "my_recordings_2026"
    assert dataset_name(tmp_path / "2026-01") == "data_2026_01"


def test_clips_that_are_there_in_several_forms_count_once_and_the_rest_is_named(tmp_path):
    for path in sorted(flat(tmp_path).glob("*.npy")):
        path.with_suffix(".json").write_text(json.dumps(np.load(path).tolist()))
    sorted(tmp_path.glob("*.json"))[-1].unlink()
    first = sorted(tmp_path.glob("*.npy"))[0]
    first.with_suffix(".json").write_text('{"device": "Kinect"}')  # what else may be told of a clip
    (tmp_path / "notes.pdf").write_bytes(b"x")
    (tmp_path / "rooms.csv").write_text("room,size\nhall,large\nlab,small\n")
    described = found(tmp_path)
    assert {path[-4:] for path in column(described, "skeleton")} == {".npy"}
    assert len(described.rows) == 1 + 2 * len(LABELS) * len(PEOPLE)
    [unused] = [one for one in described.findings if one.what == "files not used"]
    assert unused.value == f"{2 * len(LABELS) * len(PEOPLE) - 1} .json, 1 .csv, 1 .pdf"
    assert "rooms.csv" in unused.check
