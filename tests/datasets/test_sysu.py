"""SYSU 3DHOI on files made in its layout; the real ones could not be had."""

import numpy as np
import pytest
from made_readers import opened
from scipy.io import savemat

from mmcl.errors import UserError


def reader(folder, videos=None, **options):
    videos = videos and str(videos)
    return opened("sysu", folder, videos, **options)


def made(frames=3):
    return np.random.default_rng(frames).normal(0, 0.3, (frames, 20, 3)).round(6) + np.array([0, 0, 3])


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def as_lines(joints):
    return "\n".join(" ".join(map(str, point)) for point in joints.reshape(-1, 3))


def test_lists_what_is_laid_out_as_released(tmp_path):
    folder = tmp_path / "3DvideoNorm"
    for subject in ("001", "002", "040"):
        for action in (1, 12):
            touch(folder / f"{subject}/video{action}/sklWorld.mat")
            touch(folder / f"{subject}/video{action}/sklImage.mat")
    touch(folder / "002/video12/rgb.avi")
    touch(folder / "040/video1.mp4")
    touch(folder / "readme.txt")
    entries = reader(tmp_path, tmp_path).list_clips()
    assert [entry.name for entry in entries] == [
        f"a{a}_s{s}" for a in ("01", "12") for s in ("01", "02", "40")
    ]
    first, *_, last = entries
    assert (first.action, first.subject, first.camera, first.setup) == ("a1", 1, 1, 1)
    assert first.skeleton == "3DvideoNorm/001/video1/sklWorld.mat"
    assert (last.action, last.subject, last.video) == ("a12", 40, "")
    assert entries[4].video == "3DvideoNorm/002/video12/rgb.avi"
    assert entries[2].video == "3DvideoNorm/040/video1.mp4"
    names = reader(tmp_path).class_names()
    assert (len(names), names["a1"], names["a7"], names["a12"]) == (
        12,
        "drinking",
        "sitting chair",
        "sweeping",
    )


def test_endings_may_have_capitals(tmp_path):
    touch(tmp_path / "001/video3/sklWorld.MAT")
    touch(tmp_path / "002/video3/sklWorld.Mat")
    touch(tmp_path / "videos/001/video3/rgb.AVI")
    entries = reader(tmp_path, tmp_path / "videos").list_clips()
    assert [(e.name, e.video) for e in entries] == [("a03_s01", "001/video3/rgb.AVI"), ("a03_s02", "")]
    with pytest.raises(UserError, match=r"cannot be read as a MATLAB file"):
        reader(tmp_path).read_clip(entries[0])


def test_subjects_without_numbers_are_numbered_by_name(tmp_path):
    for subject in ("zhang", "chen", "li"):
        touch(tmp_path / f"{subject}/video3/sklWorld.mat")
    entries = reader(tmp_path).list_clips()
    found = [(entry.name, entry.subject) for entry in entries]
    assert found == [("a03_schen", 1), ("a03_sli", 2), ("a03_szhang", 3)]


def test_every_activity_of_every_subject(tmp_path):
    for subject in range(1, 41):
        for action in range(1, 13):
            touch(tmp_path / f"a{action:02d}_s{subject:02d}.txt")
            touch(tmp_path / f"videos/a{action:02d}_s{subject:02d}_rgb.avi")
    entries = reader(tmp_path, tmp_path / "videos").list_clips()
    assert len(entries) == 480
    assert all(entry.video == f"{entry.name}_rgb.avi" for entry in entries)
    # the paper's subset of the zero-shot transfer: three activities
    assert sum(entry.action in ("a1", "a3", "a4") for entry in entries) == 120


def test_other_names_need_a_pattern(tmp_path):
    touch(tmp_path / "P07/drink-01.txt")
    with pytest.raises(UserError, match=r"no \.mat or \.txt file matches .*3DvideoNorm"):
        reader(tmp_path).list_clips()
    (entry,) = reader(tmp_path, pattern=r"P(?P<subject>\d+)/\w+-(?P<action>\d+)").list_clips()
    assert (entry.name, entry.action, entry.subject) == ("a01_s07", "a1", 7)
    with pytest.raises(UserError, match=r"options\.pattern: .* has no group \(\?P<subject>…\)"):
        reader(tmp_path, pattern=r"(?P<action>\d+)")
    with pytest.raises(UserError, match=r"options\.video_pattern: '\(' is not a regular expression"):
        reader(tmp_path, video_pattern="(")
    with pytest.raises(UserError, match=r"activity 'drink' is not a number"):
        reader(tmp_path, pattern=r"P(?P<subject>\d+)/(?P<action>\w+)-").list_clips()


def test_two_files_of_one_clip(tmp_path):
    touch(tmp_path / "a01_s01.txt")
    touch(tmp_path / "more/a1_s1.txt")
    with pytest.raises(UserError, match=r"are both activity 1 of subject 1"):
        reader(tmp_path).list_clips()


def test_reads_the_released_files(tmp_path):
    folder = tmp_path / "s5/video2"
    folder.mkdir(parents=True)
    joints = made(6)
    joints[2, 4] = np.nan
    savemat(folder / "sklWorld.mat", {"SW": joints.transpose(1, 2, 0)})
    pixels = np.random.default_rng(1).uniform(0, 480, (6, 20, 2))
    savemat(folder / "sklImage.mat", {"S": pixels.transpose(1, 2, 0)})
    own = reader(tmp_path)
    (entry,) = own.list_clips()
    people = own.read_clip(entry)
    assert people.shape == (5, 1, 20, 3)
    np.testing.assert_allclose(people[:, 0], joints[[0, 1, 3, 4, 5]] - joints[0, 1], atol=1e-6)
    np.testing.assert_allclose(own.pixel_joints(entry, 320, 120)[:, 0], pixels * [0.5, 0.25], rtol=1e-6)
    savemat(folder / "sklWorld.mat", {"SW": 1000 * joints.transpose(1, 2, 0)})
    with pytest.raises(UserError, match=r"beyond 100 m; are these metres\?"):
        own.read_clip(entry)
    np.testing.assert_allclose(reader(tmp_path, unit=0.001).read_clip(entry), people, atol=1e-6)
    (folder / "sklImage.mat").unlink()
    with pytest.raises(UserError, match=r"sklImage\.mat: cannot be read"):
        own.pixel_joints(entry, 320, 120)


@pytest.mark.parametrize("form", ["joints", "frames", "commas", "counted", "windows"])
def test_reads_text(tmp_path, form):
    joints = made(4)
    text = {
        "joints": as_lines(joints),
        "frames": "\n".join(" ".join(map(str, frame.ravel())) for frame in joints) + "\n",
        "commas": "\n".join(",".join(map(str, frame.ravel())) for frame in joints),
        "counted": "4\n\n" + as_lines(joints),
        "windows": "\ufeff" + as_lines(joints).replace("\n", "\r\n"),
    }[form]
    (tmp_path / "a01_s01.txt").write_bytes(text.encode())
    own = reader(tmp_path)
    (entry,) = own.list_clips()
    np.testing.assert_allclose(own.read_clip(entry)[:, 0], joints - joints[0, 1], atol=1e-6)
    with pytest.raises(UserError, match=r"only sklImage\.mat holds"):
        own.pixel_joints(entry, 640, 480)


LINES = as_lines(made(2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no frames"),
        ("3", r"has no frames"),
        ("x\n" + LINES, r"line 1: is not a frame count"),
        ("3\n" + LINES, r"states 3 frames and has 2"),
        ("1 2\n" + LINES, r"line 1: has 2 numbers; expected 3 for a joint or 60 for a frame"),
        (LINES + "\n1 2", r"line 41: has 2 numbers, the lines before it 3"),
        (LINES + "\n1 2 3", r"line 41: 41 joints are no multiple of 20: the last frame is incomplete"),
        (LINES + "\n1 2 x", r"line 41: could not convert string to float: 'x'"),
        ("0 0 0\n" * 20, r"only zeros"),
        ("nan 0 0\n" * 20, r"no frame with finite joints"),
        ("\udcff", r"cannot be read as text"),
    ],
)
def test_other_text_is_named(tmp_path, text, message):
    path = tmp_path / "a01_s01.txt"
    path.write_bytes(text.encode(errors="surrogateescape"))
    own = reader(tmp_path)
    with pytest.raises(UserError, match=f"^{path}: .*{message}"):
        own.read_clip(own.list_clips()[0])


def test_large_text_is_refused(tmp_path):
    with open(tmp_path / "a01_s01.txt", "wb") as file:
        file.truncate(9 << 20)
    own = reader(tmp_path)
    with pytest.raises(UserError, match=r"has 9437184 bytes; a clip has at most 8388608"):
        own.read_clip(own.list_clips()[0])
