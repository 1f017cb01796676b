"""The pose estimator against ultralytics' own, and what it sees in drawn clips of people no training saw."""

import json

import h5py
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mmcl.datasets import ClipEntry, open_reader, reader_settings
from mmcl.datasets.index import write_index
from mmcl.datasets.posed import PoseStores
from mmcl.datasets.prepare import SkeletonStore, prepare_skeletons
from mmcl.demo.draw import Shot
from mmcl.demo.keypoints import coco17
from mmcl.demo.write import write_video
from mmcl.errors import UserError
from mmcl.layouts import get_layout
from mmcl.naming import PROJECT
from mmcl.settings.base import replaced
from mmcl.settings.jobs import PoseEstimation, Preparation
from mmcl.settings.video import PoseSettings
from mmcl.video import detect, pose
from mmcl.video.estimate import estimate_poses

pytest.importorskip("ultralytics")

WEIGHTS = PROJECT / "resources" / "demo" / "pose.safetensors"
SETTINGS = PoseSettings(architecture="yolov5n-pose", weights=str(WEIGHTS), image_size=320, batch=2)
OWN = reader_settings("own", {})
SIZE = (320, 192)


def estimation(settings: PoseSettings) -> PoseEstimation:
    return PoseEstimation(reader="own", poses=settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A yolov8n-pose of ultralytics, saved by its own `save`, whose random outputs pass the threshold."""
    torch.manual_seed(0)
    yolo = detect.import_ultralytics().YOLO("yolov8n-pose.yaml")
    for module in yolo.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2.5)
            module.bias.data.normal_(0, 0.5)
    for branch in yolo.model.model[-1].cv3:
        branch[-1].bias.data.fill_(1)
    path = tmp_path_factory.mktemp("weights") / "yolov8n-pose.pt"
    yolo.save(path)
    return path


def test_same_people_as_ultralytics(saved):
    settings = replaced(SETTINGS, architecture="yolov8n-pose", weights=str(saved), image_size=128, iou=0.45)
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    (people,) = pose.open_estimator(settings, torch.device("cpu")).poses([image])
    (theirs,) = detect.import_ultralytics().YOLO(saved).predict(
        [np.ascontiguousarray(image[..., ::-1])], imgsz=128, conf=0.25, iou=0.45, max_det=1000, verbose=False
    )  # fmt: skip
    expected = theirs.boxes.data.numpy()[:, :5]
    assert len(people.boxes) == len(expected) > 5
    np.testing.assert_allclose(people.boxes, expected, atol=2e-3)
    # ultralytics moves keypoints that lie outside of the picture to its edge
    clipped = people.keypoints.copy()
    clipped[..., 0] = clipped[..., 0].clip(0, 160)
    clipped[..., 1] = clipped[..., 1].clip(0, 90)
    np.testing.assert_allclose(clipped, theirs.keypoints.data.numpy(), atol=5e-3)


def test_unfit_or_missing_weights_are_refused(saved, tmp_path):
    def opened(**other):
        pose.open_estimator(replaced(SETTINGS, **other), torch.device("cpu"))

    with pytest.raises(UserError, match=r"pose\.safetensors: does not fit yolo11n-pose"):
        opened(architecture="yolo11n-pose")
    with pytest.raises(UserError, match=r"weights not found: .*A pose estimator's weights belong there"):
        opened(weights=str(tmp_path / "x.pt"))
    with pytest.raises(ValidationError, match="not one of the allowed values"):
        opened(architecture="openpose")
    with pytest.raises(UserError, match="sha256 is"):
        opened(sha256="0" * 64)


# ------------------------------------------------------------------------------------------ drawn clips


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Two clips of people no training saw, a room without anybody and a file that is no video; and the truth."""
    folder = tmp_path_factory.mktemp("filmed")
    truth = {}
    for name, action in (("wave", 23), ("hands", 58)):
        shot = Shot(action, 95, 1, 1, seed=11, frames=12, size=SIZE, held="none", form="ntu")
        write_video(folder / f"{name}.avi", shot.pictures(), SIZE, 30.0)
        world = np.stack([coco17(actor) for actor in shot.show.actors], 1)
        truth[name] = shot.view.project(shot.view.to_camera(world))
    write_video(folder / "empty.avi", [shot.empty()] * 6, SIZE, 30.0)
    (folder / "broken.avi").write_bytes(b"RIFF")
    wide = b"YUV4MPEG2 W80000 H2 F10:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(80000 * 3)
    (folder / "wide.avi").write_bytes(wide)
    (folder / "clips.csv").write_text(
        "name,label,subject\nwave,wave,1\nhands,shake hands,1\n"
        "empty,wave,2\nbroken,wave,2\nabsent,wave,2\nwide,wave,2\n"
    )
    write_index(folder / "index.tsv", open_reader(OWN, None, folder).list_clips())
    estimate_poses(folder / "index.tsv", folder, (0, 1), folder / "poses.h5", estimation(SETTINGS), 1)
    return folder, truth


def test_drawn_people_are_found_and_stay_apart(filmed):
    folder, truth = filmed
    stores = PoseStores([folder / "poses.h5"])
    with h5py.File(folder / "poses.h5") as file:
        assert file["layout/joint"].asstr()[0] == "nose"
    for name, true in truth.items():
        poses = stores.read(name)
        assert poses.size == SIZE
        assert poses.keypoints.shape == (12, true.shape[1], 17, 3)
        # the order of two people is free, but it is the same in all frames
        people = poses.keypoints[..., :2]
        orders = [people, people[:, ::-1]]
        errors = np.linalg.norm(min(orders, key=lambda p: np.abs(p - true).mean()) - true, axis=-1)
        height = np.ptp(true[..., 1], axis=2).mean()
        assert np.median(errors) < 0.06 * height


def test_a_clip_without_anybody_fails_with_the_reason(filmed):
    folder, _ = filmed
    with h5py.File(folder / "poses.h5") as h5:
        assert h5.attrs["schema"] == "mmcl.poses/1"
        assert h5["names"].asstr()[:].tolist() == ["hands", "wave"]
        failed = dict(zip(h5["failed/names"].asstr()[:], h5["failed/reason"].asstr()[:], strict=True))
        assert h5["rate"][:].tolist() == [30, 30]
        assert h5["persons"][:].tolist() == [2, 1]
        assert json.loads(h5.attrs["settings"])["poses"]["sha256"]
    assert failed["empty"] == "no person"
    assert failed["absent"] == "no video"
    assert failed["broken"].startswith("cannot decode: broken.avi")
    assert failed["wide"].startswith("cannot decode: wide.avi: 80000 × 2 pixels")


def test_poses_become_a_store_of_skeletons(filmed):
    folder, truth = filmed
    preparation = Preparation(reader="own", options=OWN.options, joint_confidence=0.3)
    prepare_skeletons(
        folder / "index.tsv", folder / "skeletons.h5", preparation, None, folder, [folder / "poses.h5"]
    )
    skeletons = SkeletonStore(folder / "skeletons.h5")
    assert (skeletons.layout, skeletons.class_ids) == ("coco17", ["shake hands", "wave"])
    assert skeletons.failed["empty"] == "no person"
    clip = skeletons.clip(skeletons.names.index("wave"))
    assert clip.shape == (12, 1, 17, 3)
    assert not clip[..., 2].any()
    assert not clip[0, 0, get_layout("coco17").centre].any()
    wanted = (truth["wave"] - truth["wave"][0, 0, 0]) * (1, -1) / SIZE[1]
    assert np.median(np.abs(clip[..., :2] - wanted)) < 0.04


def test_every_other_frame(filmed, tmp_path):
    folder = filmed[0]
    write_index(tmp_path / "index.tsv", [ClipEntry("wave", "wave", 1, 1, 1, None, "", "wave.avi", "")])
    estimate_poses(
        tmp_path / "index.tsv",
        folder,
        (0, 1),
        tmp_path / "poses.h5",
        estimation(replaced(SETTINGS, every=5)),
        1,
    )
    with h5py.File(tmp_path / "poses.h5") as h5, h5py.File(folder / "poses.h5") as full:
        assert (h5["frames"][0], h5["rate"][0]) == (3, 6)
        start = full["offset"][1]
        np.testing.assert_allclose(h5["keypoints"][:], full["keypoints"][start : start + 12 : 5], atol=0.05)
