import json
import zipfile

import numpy as np
import pytest
from made_readers import opened

from mmcl.datasets.protocols import protocols
from mmcl.errors import UserError

NAME = "a03_s02_e01_v03"


def reader(folder, videos=None):
    return opened("nw_ucla", folder, videos)


def content(frames=4, **more):
    skeletons = np.random.default_rng(0).normal(0, 0.3, (frames, 20, 3)) + np.array([0, 0, 3])
    return {"file_name": NAME, "skeletons": skeletons.tolist(), "label": 3} | more


def write(folder, text, name=NAME):
    path = folder / f"{name}.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder):
    own = reader(folder)
    return own.read_clip(own.list_clips()[0])


def test_lists(tmp_path):
    skeletons, videos = tmp_path / "all_sqe", tmp_path / "multiview_action_videos"
    skeletons.mkdir()
    for name in ("a12_s10_e04_v01", "a01_s01_e00_v02", "a01_s01_e00_v01", "odd"):
        write(skeletons, "{}", name)
    for name in ("a01/v02_s01_e00.avi", "a12/v02_s01_e00.avi", "a12/v01_s10_e04.AVI", "a01/notes.txt"):
        path = videos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    first, second, twelve, odd = reader(skeletons, videos).list_clips()
    assert (first.name, first.action, first.subject, first.camera) == ("a01_s01_e00_v01", "a01", 1, 1)
    assert (first.setup, first.video, first.skeleton) == (1, "", "a01_s01_e00_v01.json")
    assert (second.camera, second.video) == (2, "a01/v02_s01_e00.avi")
    assert (twelve.action, twelve.subject, twelve.video) == ("a12", 10, "a12/v01_s10_e04.AVI")
    assert odd.left_out == "name is not aXX_sXX_eXX_vXX"
    # videos may also be named as the skeletons are, but not in both ways
    (videos / "a01_s01_e00_v01.mp4").touch()
    assert reader(skeletons, videos).list_clips()[0].video == "a01_s01_e00_v01.mp4"
    (videos / "a01/v01_s01_e00.avi").touch()
    with pytest.raises(UserError, match=r"a01_s01_e00_v01 lies there twice"):
        reader(skeletons, videos).list_clips()


def test_class_names(tmp_path):
    names = reader(tmp_path).class_names()
    assert list(names) == ["a01", "a02", "a03", "a04", "a05", "a06", "a08", "a09", "a11", "a12"]
    assert (names["a01"], names["a08"], names["a12"]) == ("pick up with one hand", "donning", "carry")


def test_no_file_says_what_belongs_there(tmp_path):
    with pytest.raises(UserError, match=r"no \.json file .*a01_s01_e00_v01\.json"):
        reader(tmp_path).list_clips()


@pytest.mark.parametrize("frames", [1, 4])
def test_reads_centred_on_the_second_joint(tmp_path, frames):
    made = content(frames)
    write(tmp_path, json.dumps(made))
    people = read(tmp_path)
    assert people.shape == (frames, 1, 20, 3)
    assert people.dtype == np.float32
    expected = np.array(made["skeletons"])
    np.testing.assert_allclose(people[:, 0], expected - expected[0, 1], atol=1e-6)


def test_frames_without_positions_are_dropped(tmp_path):
    made = content(5)
    made["skeletons"][1] = [[0, 0, 0]] * 20
    made["skeletons"][3][7] = [1e300, 0, 0]
    write(tmp_path, json.dumps(made))
    assert read(tmp_path).shape == (3, 1, 20, 3)


def changed(frame=None, joint=None, value=None):
    made = content()
    if joint is None:
        made["skeletons"][frame] = value
    else:
        made["skeletons"][frame][joint] = value
    return made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (content(label=4), r"label is 4.0, but action a03 has label 3.0"),
        (content(label=True), r"label is True"),
        (content(label="3"), r"label is '3'"),
        (content(label=None), r"label is None"),
        (content(file_name="a03_s02_e01_v01"), r"file_name is 'a03_s02_e01_v01', not the name of the file"),
        (content(skeletons=[]), r"skeletons is not a list of frames, or an empty one"),
        (content(skeletons={"0": 1}), r"skeletons is not a list of frames"),
        (changed(2, value=[[0, 0, 0]] * 19), r"frame 3: expected 20 joints, found 19"),
        (changed(2, value=None), r"frame 3: expected 20 joints, found no list"),
        (changed(1, 4, [0, 1]), r"frame 2, joint 5: expected 3 numbers, found \[0.0, 1.0\]"),
        (changed(1, 4, [0, 1, None]), r"frame 2, joint 5: expected 3 numbers, found \[0.0, 1.0, None\]"),
        (changed(1, 4, [0, 1, True]), r"frame 2, joint 5: expected 3 numbers"),
        (changed(1, 4, [0, 1, "2"]), r"frame 2, joint 5: expected 3 numbers"),
        (changed(1, 4, [0, 1, [2]]), r"frame 2, joint 5: expected 3 numbers"),
        (changed(1, 4, 7), r"frame 2, joint 5: expected 3 numbers, found 7.0"),
        (changed(1, 4, [0, 1, float("nan")]), r"NaN is not a number of JSON"),
        (content(skeletons=[[[0, 0, 0]] * 20]), r"only zeros"),
        (content(skeletons=[[[900, 0, 0]] * 20]), r"every frame has joints beyond 100 m; are these metres\?"),
        ([1, 2], r"is no JSON object"),
    ],
)
def test_other_contents_are_named(tmp_path, made, message):
    path = write(tmp_path, json.dumps(made))
    with pytest.raises(UserError, match=f"^{path}: .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json.dumps(content()).encode()[:-5],
        b"\x00" * 50,
        json.dumps(content()).encode() + b"{}",
    ],
)
def test_damaged_files(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(UserError, match=r"a03_s02_e01_v03.json: cannot be read as JSON"):
        read(tmp_path)


def test_huge_files_and_numbers(tmp_path):
    path = write(tmp_path, "{}")
    with open(path, "r+b") as file:
        file.truncate(17 << 20)
    with pytest.raises(UserError, match=r"has 17825792 bytes; a clip has at most 16777216"):
        read(tmp_path)
    made = json.dumps(changed(0, 0, [12345, 0, 3])).replace("12345", "1" * 9000)
    write(tmp_path, made)
    assert len(read(tmp_path)) == 3  # as far away as a frame that is no measurement


def test_a_file_that_is_gone(tmp_path):
    path = write(tmp_path, "{}")
    own = reader(tmp_path)
    (entry,) = own.list_clips()
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read as JSON \(.*No such file"):
        own.read_clip(entry)


def test_its_cameras_are_not_known(tmp_path):
    write(tmp_path, json.dumps(content()))
    own = reader(tmp_path)
    with pytest.raises(UserError, match=r"has no calibration of its cameras"):
        own.pixel_joints(own.list_clips()[0], 640, 480)


@pytest.mark.real
def test_all_real_clips(mmcl_data, tmp_path):
    with zipfile.ZipFile(mmcl_data / "nw-ucla-skeleton.zip") as archive:
        archive.extractall(tmp_path)
    own = reader(tmp_path)
    entries = own.list_clips()
    assert len(entries) == 1484
    assert not any(entry.left_out for entry in entries)
    rule = protocols()["nw_ucla"]
    assert [sum(entry.camera in part for entry in entries) for part in (rule.train, rule.test)] == [1020, 464]
    lengths = {entry.name: len(own.read_clip(entry)) for entry in entries}
    assert (max(lengths.values()), sum(lengths.values())) == (201, 58534)
    assert [name for name, n in lengths.items() if n == 1] == ["a02_s09_e04_v02", "a02_s09_e04_v03"]
