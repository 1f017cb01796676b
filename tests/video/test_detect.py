"""ultralytics' YOLOv5 with random weights, in its own process where its import matters."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError

from mmcl.errors import UserError
from mmcl.settings import base, tables
from mmcl.settings.video import DetectorSettings
from mmcl.video import detect

pytest.importorskip("ultralytics")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A yolov5n of ultralytics, saved by its own `save`, whose random outputs pass the threshold."""
    ultralytics = detect.import_ultralytics()
    torch.manual_seed(0)
    yolo = ultralytics.YOLO("yolov5n.yaml")
    for module in yolo.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2.5)
            module.bias.data.normal_(0, 0.5)
    for branch in yolo.model.model[-1].cv3:
        branch[-1].bias.data.fill_(-2)
        branch[-1].bias.data[0] = 1
    path = tmp_path_factory.mktemp("weights") / "yolov5nu.pt"
    yolo.save(path)
    return path


def settings(path, **other) -> DetectorSettings:
    base = {"architecture": "yolov5n", "weights": str(path), "image_size": 128}
    return DetectorSettings.model_validate({**base, **other})


def noise(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def open_detector(path, **other):
    return detect.open_detector(settings(path, **other), torch.device("cpu"))


def test_same_boxes_as_ultralytics(saved):
    image = noise(0, (160, 90))
    boxes = open_detector(saved).people([image])[0]
    theirs = detect.import_ultralytics().YOLO(saved).predict(
        [np.ascontiguousarray(image[..., ::-1])],
        imgsz=128, classes=[0], conf=0.25, iou=0.45, max_det=1000, verbose=False,
    )  # fmt: skip
    expected = theirs[0].boxes.data.numpy()[:, :5]
    assert len(boxes) == len(expected) > 5
    np.testing.assert_allclose(boxes, expected, atol=2e-3)
    assert (np.diff(boxes[:, 4]) <= 0).all()
    assert boxes[:, 4].min() > 0.25
    assert boxes[:, :4].min() >= 0
    assert boxes[:, 2].max() <= 160
    assert boxes[:, 3].max() <= 90


def test_boxes_do_not_depend_on_the_batch(saved):
    detector = open_detector(saved)
    images = [noise(i, (160, 90)) for i in range(3)] + [noise(9, (60, 100)), noise(4, (320, 200))]
    seen = []
    net, detector.net = detector.net, lambda batch: seen.append(tuple(batch.shape)) or net(batch)
    together = detector.people(images)
    # 160 × 90 and 320 × 200 are 128 × 72 and 128 × 80, and both of 96 rows with the margins
    assert seen == [(4, 3, 96, 128), (1, 3, 128, 96)]
    for image, boxes in zip(images, together, strict=True):
        alone = detector.people([image])[0]
        assert len(alone) == len(boxes)
        np.testing.assert_allclose(alone, boxes, atol=1e-3)
    assert detector.people([]) == []


def test_state_dict_of_one_class(saved, tmp_path):
    from safetensors.torch import save_file

    net = detect.Yolov5.build("yolov5n", 1)
    save_file(net.state_dict(), tmp_path / "person.safetensors")
    detector = open_detector(tmp_path / "person.safetensors", classes=1)
    assert [len(boxes) for boxes in detector.people([noise(0, (64, 64))])] == [0]
    with pytest.raises(UserError, match=r"person\.safetensors: does not fit yolov5n with 80 class"):
        open_detector(tmp_path / "person.safetensors")
    broken = net.state_dict() | {"model.0.bn.weight": torch.full((16,), float("nan"))}
    save_file(broken, tmp_path / "broken.safetensors")
    with pytest.raises(
        UserError, match=r"broken\.safetensors: values of 1 of \d+ tensors are not finite: model\.0\.bn"
    ):
        open_detector(tmp_path / "broken.safetensors", classes=1)
    with pytest.raises(UserError, match=r"yolov5nu\.pt: does not fit yolov5s with 80 class"):
        open_detector(saved, architecture="yolov5s")


def test_class_zero_must_be_a_person(saved, tmp_path):
    yolo = detect.import_ultralytics().YOLO(saved)
    yolo.model.names = {i: f"thing {i}" for i in range(80)}
    yolo.save(tmp_path / "things.pt")
    with pytest.raises(UserError, match=r"things\.pt: class 0 is 'thing 0', expected 'person'"):
        open_detector(tmp_path / "things.pt")


def test_unknown_architecture_and_missing_weights(tmp_path):
    with pytest.raises(ValidationError, match="not one of the allowed values"):
        open_detector(tmp_path / "x.pt", architecture="yolov9")
    with pytest.raises(UserError, match=r"weights not found: .*x\.pt\. A person detector"):
        open_detector(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("size", "padded", "place"),
    [
        ((1920, 1080), (640, 384), (1 / 3, 0, 12)),
        ((480, 270), (640, 384), (4 / 3, 0, 12)),
        ((320, 240), (640, 480), (2, 0, 0)),
        ((200, 640), (224, 640), (1, 12, 0)),
    ],
)
def test_letterbox(size, padded, place):
    picture, where = detect.letterbox(np.full((size[1], size[0], 3), 7, np.uint8), 640)
    assert picture.shape == (padded[1], padded[0], 3)
    assert where == pytest.approx(place)
    _, left, top = where
    assert (picture[top : padded[1] - top, left : padded[0] - left] == 7).all()
    assert (picture == 7).all(-1).sum() == (padded[0] - 2 * left) * (padded[1] - 2 * top)
    if top:
        assert (picture[:top] == 114).all()


OFFLINE = """
import socket, sys
def deny(*a, **k): raise SystemExit(f"network: {a}")
socket.getaddrinfo = socket.create_connection = deny
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = deny
sys.addaudithook(lambda event, about: event == "subprocess.Popen" and "pip" in about[1] and deny(about))
import numpy as np, torch
from mmcl.settings.video import DetectorSettings
from mmcl.video import detect
settings = DetectorSettings(architecture="yolov5n", weights=sys.argv[1], image_size=64)
detect.open_detector(settings, torch.device("cpu")).people([np.zeros((48, 64, 3), np.uint8)])
assert detect.import_ultralytics().settings["sync"] is False
"""


def test_silent_offline_and_nothing_left_behind(saved, tmp_path, project):
    home = tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONPATH": str(project)}
    environment["XDG_CONFIG_HOME"] = str(home)
    for name in ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE", "YOLO_CONFIG_DIR"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(saved)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    left = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    assert [path for path in left if "ltralytics" in path] == []


def test_without_ultralytics_the_way_out_is_named(saved):
    code = (
        "import sys; sys.modules['ultralytics'] = None\n"
        "from mmcl.errors import UserError\n"
        "from mmcl.video import detect\n"
        "try: detect.import_ultralytics()\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install ultralytics" in done.stdout


class WithOptions(detect.Yolov5):
    """A detector with a setting of its own."""

    class Options(base.Options):
        """Of this detector."""

        scales: base.Count = Field(1, description="Scales of a picture.")


def test_a_detector_may_have_options_of_its_own(monkeypatch):
    monkeypatch.setitem(tables.DETECTORS, "mine", f"{__name__}:WithOptions")
    stated = DetectorSettings.model_validate({"architecture": "mine", "options": {"scales": 3}})
    assert base.own_options(stated.options, WithOptions.Options).scales == 3
    assert stated.dump()["options"] == {"scales": 3}
    assert DetectorSettings.model_validate(stated.dump()) == stated
    assert base.replaced(stated, sha256="0" * 64).options == stated.options
    plain = DetectorSettings.model_validate({"architecture": "mine"})
    assert "options" not in plain.dump()
    assert base.replaced(plain, sha256="0" * 64).options == plain.options
    assert base.own_options(plain.options, WithOptions.Options).scales == 1
    for architecture, options in (
        ("mine", {"scale": 1}),
        ("mine", {"scales": 0}),
        ("yolov5n", {"scales": 1}),
    ):
        with pytest.raises(ValidationError, match=r"options\.scale"):
            DetectorSettings.model_validate({"architecture": architecture, "options": options})


def test_folders_of_killed_imports_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, age in (("mmcl-ultralytics-old", 4000), ("mmcl-ultralytics-new", 0), ("another", 4000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    detect._remove_stale_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "mmcl-ultralytics-new"]
