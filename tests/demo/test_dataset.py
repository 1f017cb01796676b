"""Drawn data sets: files in the data sets' own forms, independent of the number of processes, resumable."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from mmcl.demo import dataset
from mmcl.demo.damage import KINDS
from mmcl.demo.dataset import draw_dataset, plan
from mmcl.errors import UserError
from mmcl.files import Busy, write_json
from mmcl.settings.jobs import Drawing

NTU = {
    "form": "ntu",
    "seed": 5,
    "actions": [1, 8, 50, 96],
    "subjects": [1, 3],
    "cameras": [1],
    "trials": 1,
    "frames": [12, 14],
    "size": [480, 270],
    "damaged": True,
}
UTD = {
    "form": "utd_mhad",
    "seed": 5,
    "actions": [23, 63],
    "subjects": [2],
    "cameras": [1],
    "trials": 2,
    "frames": [12, 14],
    "size": [360, 270],
    "damaged": False,
}


def drawing(settings: dict) -> Drawing:
    return Drawing.model_validate(settings)


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ntu")
    draw_dataset(folder, drawing(NTU), 1)
    return folder


@pytest.fixture(scope="module")
def utd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("utd")
    draw_dataset(folder, drawing(UTD), 1)
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _clips(folder: Path) -> dict[str, dict]:
    return {clip["name"]: clip for clip in json.loads((folder / "drawn.json").read_text())["clips"]}


def _parse(path: Path) -> list[list[tuple[str, np.ndarray]]]:
    """Frames of bodies (id, (25, 12)) of a whole `.skeleton` file."""
    lines = iter(path.read_text().splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = []
        for _ in range(int(next(lines))):
            head = next(lines).split()
            assert len(head) == 10
            assert next(lines) == "25"
            bodies.append((head[0], np.array([[float(x) for x in next(lines).split()] for _ in range(25)])))
        frames.append(bodies)
    assert next(lines, None) is None
    return frames


def _decodable(path: Path) -> int:
    import cv2

    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.isOpened() and capture.read()[0]:
        count += 1
    return count


def test_files_do_not_depend_on_the_number_of_processes(ntu: Path, tmp_path: Path):
    draw_dataset(tmp_path, drawing(NTU), 2)
    assert _hashes(tmp_path) == _hashes(ntu)


def test_listing(ntu: Path):
    listed = json.loads((ntu / "drawn.json").read_text())
    assert Drawing.model_validate(listed["settings"]) == drawing(NTU)
    assert len(listed["clips"]) == 8 + len(KINDS)
    assert sorted(listed["damaged"].values()) == sorted(KINDS.values())
    assert not (ntu / dataset.WORKING).exists()
    drink = _clips(ntu)["S001C001P001R001A001"]
    assert (drink["object"], drink["persons"], np.shape(drink["boxes"])) == (
        "cup",
        1,
        (drink["frames"], 1, 4),
    )
    assert _clips(ntu)["S001C001P001R001A050"]["persons"] == 2


def test_skeleton_text(ntu: Path):
    for name in ("S001C001P001R001A001", "S003C001P003R001A050"):
        clip = _clips(ntu)[name]
        frames = _parse(ntu / "skeletons" / f"{name}.skeleton")
        assert len(frames) == clip["frames"] == _decodable(ntu / "videos" / f"{name}_rgb.avi")
        assert max(len(bodies) for bodies in frames) in (clip["persons"], clip["persons"] + 1)
        joints = np.stack([bodies[0][1] for bodies in frames])
        xyz, colour = joints[..., :3], joints[..., 5:7]
        assert int(frames[0][0][0]) > 10**16
        focal = 1063 / 1920 * 480
        expected = np.stack(
            [240 + focal * xyz[..., 0] / xyz[..., 2], 135 - focal * xyz[..., 1] / xyz[..., 2]], -1
        )
        np.testing.assert_allclose(colour, expected, atol=1e-3)
        assert set(np.unique(joints[..., 11])) <= {1.0, 2.0}
        norm = np.linalg.norm(joints[..., 7:11], axis=-1)
        assert ((np.abs(norm - 1) < 1e-5) | (norm == 0)).all()
        # sensor noise: the head wanders by millimetres, and the joints stay where the person is seen
        box = np.array(clip["boxes"])[:, 0]
        trunk = colour[:, [0, 1, 2, 3, 20]]
        assert (trunk > box[:, None, :2] - 3).all()
        assert (trunk < box[:, None, 2:] + 3).all()


def test_damaged_recordings(ntu: Path):
    where = {clip["damage"]: name for name, clip in _clips(ntu).items() if clip["damage"]}
    skeletons = {kind: ntu / "skeletons" / f"{name}.skeleton" for kind, name in where.items()}
    videos = {kind: ntu / "videos" / f"{name}_rgb.avi" for kind, name in where.items()}
    assert skeletons["empty_skeleton"].stat().st_size == 0
    with pytest.raises((StopIteration, IndexError, ValueError, AssertionError)):
        _parse(skeletons["truncated_skeleton"])
    some = np.array([np.isnan(b[0][1][:, :3]).all() for b in _parse(skeletons["some_frames_nan"])])
    assert 0 < some.sum() < len(some) / 2
    assert all(np.isnan(b[1][:, :3]).all() for f in _parse(skeletons["every_frame_nan"]) for b in f)
    assert _decodable(videos["broken_video"]) == 0
    broken_off, whole = (
        _decodable(videos["video_breaks_off"]),
        _clips(ntu)[where["video_breaks_off"]]["frames"],
    )
    assert whole / 4 < broken_off < whole * 3 / 4
    nobody = _clips(ntu)[where["nobody_in_video"]]
    assert (nobody["persons"], nobody["boxes"]) == (0, [])
    assert len(_parse(skeletons["nobody_in_video"])) == _decodable(videos["nobody_in_video"])


def test_utd_form(utd: Path):
    import scipy.io

    assert sorted(_clips(utd)) == ["a3_s2_t1", "a3_s2_t2", "a7_s2_t1", "a7_s2_t2"]
    for name, clip in _clips(utd).items():
        joints = scipy.io.loadmat(utd / "skeletons" / f"{name}_skeleton.mat")["d_skel"]
        assert joints.shape == (20, 3, clip["frames"])
        assert joints.dtype == np.float64
        assert (
            _decodable(utd / "videos" / f"{name}_color.avi")
            == clip["video_frames"]
            == (clip["frames"] + 1) // 2
        )


def test_interrupted_drawing_goes_on(utd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn: list[str] = []
    whole = dataset.draw_recording

    def draw_two(folder: Path, settings: Drawing, recording: dataset.PlannedClip) -> None:
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(recording.name)
        whole(folder, settings, recording)

    monkeypatch.setattr(dataset, "draw_recording", draw_two)
    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path, drawing(UTD), 1)
    assert not (tmp_path / "drawn.json").exists()
    again: list[str] = []

    def draw_rest(folder: Path, settings: Drawing, recording: dataset.PlannedClip) -> None:
        again.append(recording.name)
        whole(folder, settings, recording)

    monkeypatch.setattr(dataset, "draw_recording", draw_rest)
    draw_dataset(tmp_path, drawing(UTD), 1)
    assert len(again) == 2
    assert not set(drawn) & set(again)
    assert _hashes(tmp_path) == _hashes(utd)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"settings": 1}'])
@pytest.mark.parametrize("file", ["settings.json", "a7_s2_t1.json"])
def test_a_damaged_marker_or_record_is_drawn_anew(
    utd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: str
):
    """As after a full disk or a power failure."""
    shutil.copytree(utd, tmp_path, dirs_exist_ok=True)
    (tmp_path / "drawn.json").unlink()
    (tmp_path / "videos" / "a6_s1_t1_color.avi").write_bytes(b"of other settings")
    (tmp_path / "videos" / "a7_s2_t1_color.avi").write_bytes(b"half")
    working = tmp_path / dataset.WORKING
    working.mkdir()
    monkeypatch.setattr(dataset, "draw_recording", _copied(utd))
    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path, drawing(UTD), 1)
    (working / file).write_text(damage)
    monkeypatch.undo()
    draw_dataset(tmp_path, drawing(UTD), 1)
    assert _hashes(tmp_path) == _hashes(utd)


def _copied(source: Path) -> Callable[[Path, Drawing, dataset.PlannedClip], None]:
    """Draws all but the last recording of a data set by copying them."""

    def draw(folder: Path, settings: Drawing, recording: dataset.PlannedClip) -> None:
        if recording.name == "a7_s2_t2":
            raise KeyboardInterrupt
        for file in recording.files:
            shutil.copy(source / file, folder / file)
        clip = _clips(source)[recording.name]
        sizes = [(folder / file).stat().st_size for file in recording.files]
        write_json(folder / dataset.WORKING / f"{recording.name}.json", {"clip": clip, "bytes": sizes})

    return draw


def test_a_second_process_stops(utd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def draw_again(folder: Path, settings: Drawing, recording: dataset.PlannedClip) -> None:
        with pytest.raises(Busy, match=f"{tmp_path} is being written by another process"):
            draw_dataset(tmp_path, drawing(UTD), 1)
        whole(folder, settings, recording)

    whole = dataset.draw_recording
    monkeypatch.setattr(dataset, "draw_recording", draw_again)
    draw_dataset(tmp_path, drawing(UTD), 1)
    assert _hashes(tmp_path) == _hashes(utd)


def test_a_full_disk_is_noticed(tmp_path: Path):
    """A limit on the size of a file stands for it."""
    code = (
        "import resource, signal, sys, numpy as np; from pathlib import Path; from mmcl.demo.write import write_video\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "pictures = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)\n"
        "write_video(Path(sys.argv[1]), pictures, (64, 48), 10)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.avi"], capture_output=True, text=True)
    assert "a.avi: the video was not written whole; is the disk full?" in done.stderr


def test_other_settings_leave_nothing_of_the_former(tmp_path: Path):
    draw_dataset(tmp_path, drawing(UTD | {"trials": 1}), 1)
    draw_dataset(tmp_path, drawing(UTD | {"trials": 1, "actions": [96]}), 1)
    assert [p.name for p in (tmp_path / "videos").iterdir()] == ["a6_s2_t1_color.avi"]


@pytest.mark.parametrize(
    "change", [{"form": "sysu"}, {"actions": [3]}, {"cameras": [4]}, {"size": [481, 270]}]
)
def test_settings_that_cannot_be_drawn(change: dict):
    with pytest.raises((UserError, ValidationError)):
        plan(drawing(NTU | change))
    with pytest.raises(UserError, match="utd_mhad"):
        plan(drawing(UTD | {"actions": [1]}))
