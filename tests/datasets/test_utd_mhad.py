import re
import zipfile

import numpy as np
import pytest
from made_readers import opened
from scipy.io import savemat

from mmcl.errors import UserError


def reader(folder, **options):
    return opened("utd_mhad", folder, folder, **options)


def write(folder, name, value, key="d_skel"):
    savemat(folder / f"{name}_skeleton.mat", {key: value})


@pytest.fixture
def skeleton():
    return np.random.default_rng(0).normal(size=(20, 3, 30)) * 0.3 + np.array([0, 0, 3])[:, None]


def test_lists(tmp_path, skeleton):
    for name in ("a10_s2_t1", "a3_s1_t4", "odd"):
        write(tmp_path, name, skeleton)
    (tmp_path / "a3_s1_t4_color.avi").touch()
    (tmp_path / "a3_s1_t4_depth.mp4").touch()
    ten, three, odd = reader(tmp_path).list_clips()
    assert (ten.name, ten.action, ten.subject, ten.video) == ("a10_s2_t1", "a10", 2, "")
    assert (three.action, three.subject, three.camera, three.setup) == ("a3", 1, 1, 1)
    assert three.video == "a3_s1_t4_color.avi"
    assert odd.left_out == "name is not a<action>_s<subject>_t<trial>"
    assert reader(tmp_path, modality="depth").list_clips()[1].video == "a3_s1_t4_depth.mp4"
    with pytest.raises(
        UserError, match=r'options\.modality: "rgb" is not allowed; allowed: "color", "depth"'
    ):
        reader(tmp_path, modality="rgb")
    assert list(reader(tmp_path).class_names().items())[-1] == ("a27", "squat")


def test_reads_centred_on_the_spine(tmp_path, skeleton):
    write(tmp_path, "a1_s1_t1", skeleton)
    people = reader(tmp_path).read_clip(reader(tmp_path).list_clips()[0])
    assert people.shape == (30, 1, 20, 3)
    assert people.dtype == np.float32
    expected = skeleton.transpose(2, 0, 1)
    np.testing.assert_allclose(people[:, 0], expected - expected[0, 2], atol=1e-6)


def test_bad_frames_are_dropped(tmp_path, skeleton):
    skeleton[3, 1, 4] = np.nan
    skeleton[..., 7] = 0
    write(tmp_path, "a1_s1_t1", skeleton)
    entry = reader(tmp_path).list_clips()[0]
    assert reader(tmp_path).read_clip(entry).shape == (28, 1, 20, 3)
    assert reader(tmp_path).pixel_joints(entry, 320, 240).shape == (30, 1, 20, 2)
    write(tmp_path, "a1_s1_t1", skeleton * np.nan)
    with pytest.raises(UserError, match=r"no frame with finite joints"):
        reader(tmp_path).read_clip(entry)


def test_projection(tmp_path):
    x = np.zeros((20, 3, 2))
    x[:, 2] = 2
    x[0, :2, 0] = 1, -0.5
    x[1, 2] = 0
    write(tmp_path, "a1_s1_t1", x)
    entry = reader(tmp_path).list_clips()[0]
    pixels = reader(tmp_path).pixel_joints(entry, 640, 480)
    np.testing.assert_allclose(pixels[0, 0, 0], [2 * (160 + 285.63 / 2), 2 * (120 + 285.63 / 4)], rtol=1e-6)
    np.testing.assert_allclose(pixels[1, 0, 0], [320, 240])
    assert np.isnan(pixels[:, 0, 1]).all()
    own = reader(tmp_path, focal_length=400, principal_point=[200, 100], picture_size=[400, 200])
    np.testing.assert_allclose(own.pixel_joints(entry, 400, 200)[0, 0, 0], [400, 200])


@pytest.mark.parametrize(
    ("value", "key", "message"),
    [
        (np.zeros((20, 3, 5)), "other", "has no variable d_skel"),
        (np.zeros((25, 3, 5)), "d_skel", "d_skel is 25×3×5, expected 20×3×frames"),
        (np.zeros((20, 3, 0)), "d_skel", "expected 20×3×frames"),
        (np.array([["x"] * 3] * 20, dtype=object).reshape(20, 3, 1), "d_skel", "d_skel holds cell"),
        (np.zeros((20, 3, 2), complex), "d_skel", "d_skel holds complex numbers"),
    ],
)
def test_other_contents(tmp_path, value, key, message):
    write(tmp_path, "a1_s1_t1", value, key)
    with pytest.raises(UserError, match=message):
        reader(tmp_path).read_clip(reader(tmp_path).list_clips()[0])


def test_damaged_files(tmp_path, skeleton):
    write(tmp_path, "a1_s1_t1", skeleton)
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    whole = path.read_bytes()
    entry = reader(tmp_path).list_clips()[0]
    for length in (0, 4, 100, 128, 140, 200, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(
            UserError, match=r"a1_s1_t1_skeleton.mat: cannot be read as a MATLAB file|has no variable"
        ):
            reader(tmp_path).read_clip(entry)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read"):
        reader(tmp_path).read_clip(entry)


@pytest.mark.real
def test_all_real_clips(mmcl_data, tmp_path):
    with zipfile.ZipFile(mmcl_data / "utd-mhad-skeleton.zip") as archive:
        archive.extractall(tmp_path)
    own = reader(tmp_path)
    entries = own.list_clips()
    assert len(entries) == 861
    assert not any(entry.left_out for entry in entries)
    # three of 27 × 8 × 4 were corrupt when the set was made
    planned = {f"a{a}_s{s}_t{t}" for a in range(1, 28) for s in range(1, 9) for t in range(1, 5)}
    assert planned - {entry.name for entry in entries} == {"a8_s1_t4", "a23_s6_t4", "a27_s8_t4"}
    lengths = [len(own.read_clip(entry)) for entry in entries]
    assert (min(lengths), max(lengths), sum(lengths)) == (41, 125, 58299)


@pytest.mark.real
def test_joints_fall_on_the_person(mmcl_data, tmp_path):
    import cv2

    name = "a7_s5_t2"
    for file, inside in (("utd-mhad-skeleton", "Skeleton"), ("utd-mhad-depth-video", "Depth-video")):
        ending = "skeleton.mat" if inside == "Skeleton" else "depth.mp4"
        with zipfile.ZipFile(mmcl_data / f"{file}.zip") as archive:
            archive.extract(f"{inside}/{name}_{ending}", tmp_path)
    own = reader(tmp_path, modality="depth")
    (entry,) = own.list_clips()
    capture = cv2.VideoCapture(str(tmp_path / entry.video))
    grey = []
    while (frame := capture.read())[0]:
        grey.append(frame[1][..., 0])
    pixels = own.pixel_joints(entry, 320, 240)[:, 0].round().astype(int)
    assert re.fullmatch(r"Depth-video/.*", entry.video)
    assert len(grey) == len(pixels)
    on_person = [grey[t][v, u] > 20 for t in range(len(grey)) for u, v in pixels[t]]
    assert np.mean(on_person) > 0.9
