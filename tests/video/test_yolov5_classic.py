"""Classic checkpoints, made with random weights; a published one where there is real data."""

import sys
import zipfile

import classic_checkpoints as made
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from mmcl.errors import UserError
from mmcl.settings.video import DetectorSettings
from mmcl.video import detect, sampling
from mmcl.video.decode import Recording
from mmcl.video.weights import read_weights


def open_detector(path, **other):
    stated = {"architecture": "yolov5n", "weights": str(path), "image_size": 128, **other}
    return detect.open_detector(DetectorSettings.model_validate(stated), torch.device("cpu"))


def noise(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


# ------------------------------------------------------------------------------- a plain forward pass


def conv(w, name, x, stride=1, padding=None):
    kernel = w[f"{name}.conv.weight"]
    around = kernel.shape[-1] // 2 if padding is None else padding
    x = functional.conv2d(x, kernel, stride=stride, padding=around)
    scale = w[f"{name}.bn.weight"] / (w[f"{name}.bn.running_var"] + 1e-3).sqrt()
    shift = w[f"{name}.bn.bias"] - w[f"{name}.bn.running_mean"] * scale
    x = x * scale[:, None, None] + shift[:, None, None]
    return x * x.sigmoid()


def csp(w, name, x, repeats, shortcut=True):
    y = conv(w, f"{name}.cv1", x)
    for i in range(repeats):
        z = conv(w, f"{name}.m.{i}.cv2", conv(w, f"{name}.m.{i}.cv1", y))
        y = y + z if shortcut else z
    return conv(w, f"{name}.cv3", torch.cat([y, conv(w, f"{name}.cv2", x)], 1))


def spp(w, name, x):
    x = conv(w, f"{name}.cv1", x)
    pooled = [functional.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13)]
    return conv(w, f"{name}.cv2", torch.cat([x, *pooled], 1))


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def plain(w, x, release):
    """YOLOv5n layer by layer (its C3 have 1, 2 or 3, 3, 1 bottlenecks), every box by itself."""
    w = {key.removeprefix("model."): value for key, value in w.items()}
    if release < 6:
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        x = conv(w, "0.conv", x)
    else:
        x = conv(w, "0", x, 2, 2)
    x = csp(w, "2", conv(w, "1", x, 2), 1)
    four = csp(w, "4", conv(w, "3", x, 2), 2 if release >= 6 else 3)
    six = csp(w, "6", conv(w, "5", four, 2), 3)
    x = conv(w, "7", six, 2)
    x = spp(w, "9", csp(w, "8", x, 1)) if release >= 6 else csp(w, "9", spp(w, "8", x), 1, False)
    ten = conv(w, "10", x)
    fourteen = conv(w, "14", csp(w, "13", torch.cat([twice(ten), six], 1), 1, False))
    levels = [csp(w, "17", torch.cat([twice(fourteen), four], 1), 1, False)]
    levels.append(csp(w, "20", torch.cat([conv(w, "18", levels[0], 2), fourteen], 1), 1, False))
    levels.append(csp(w, "23", torch.cat([conv(w, "21", levels[1], 2), ten], 1), 1, False))
    boxes = []
    for number, (level, stride) in enumerate(zip(levels, (8, 16, 32), strict=True)):
        raw = functional.conv2d(level, w[f"24.m.{number}.weight"], w[f"24.m.{number}.bias"])[0].sigmoid()
        for anchor, of_anchor in enumerate(raw.chunk(3)):
            width, height = w["24.anchors"][number, anchor] * stride
            for row in range(raw.shape[1]):
                for column in range(raw.shape[2]):
                    s = of_anchor[:, row, column]
                    boxes.append(
                        torch.stack(
                            [
                                (2 * s[0] - 0.5 + column) * stride,
                                (2 * s[1] - 0.5 + row) * stride,
                                (2 * s[2]) ** 2 * width,
                                (2 * s[3]) ** 2 * height,
                                *(s[4] * s[5:]),
                            ]
                        )
                    )
    return torch.stack(boxes, 1)[None]


@pytest.mark.parametrize("release", [5, 6, 7])
def test_a_checkpoint_gives_what_its_network_does(tmp_path, release):
    net = made.network(release=release, classes=2)
    names = ["person", "dog"] if release < 7 else {0: "person", 1: "dog"}
    path = made.save(
        tmp_path / "yolov5n.pt", net, release, names=names, yaml=made.described(release=release, classes=2),
        hyp={"lr0": 0.01}, best_fitness=np.array([0.3]),
    )  # fmt: skip
    content = read_weights(path)
    assert content.names == {0: "person", 1: "dog"}
    assert {value.dtype for value in content.tensors.values()} == {torch.float32, torch.int64}
    detector = open_detector(path, classes=2)
    x = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(detector.net(x), plain(content.tensors, x, release), rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match=r"yolov5n\.pt: does not fit classic yolov5n with 80 class\(es\)"):
        open_detector(path)


def test_state_dicts_of_both_kinds_give_the_same_people(tmp_path):
    net = made.network(classes=1)
    whole = made.save(tmp_path / "net.pt", net, half=False, yaml=made.described(classes=1))
    torch.save(net.state_dict(), tmp_path / "state.pt")
    save_file(net.state_dict(), tmp_path / "state.safetensors")
    images = [noise(i, (160, 90)) for i in range(3)] + [noise(9, (60, 100))]
    expected = open_detector(whole, classes=1, confidence=0.5).people(images)
    assert min(len(boxes) for boxes in expected) > 5
    for name in ("state.pt", "state.safetensors"):
        detector = open_detector(tmp_path / name, classes=1, confidence=0.5)
        for boxes, right in zip(detector.people(images), expected, strict=True):
            np.testing.assert_array_equal(boxes, right)
            assert (np.diff(boxes[:, 4]) <= 0).all()
            assert boxes[:, 4].min() > 0.5


def test_what_is_found_does_not_depend_on_the_batch(tmp_path):
    detector = open_detector(made.save(tmp_path / "net.pt", made.network(classes=1)), classes=1)
    pictures = torch.rand(3, 3, 64, 96)
    with torch.inference_mode():
        together = detector.net(pictures)
        for i in range(3):
            torch.testing.assert_close(
                detector.net(pictures[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-3
            )


def test_another_network_is_named(tmp_path):
    net = made.network()

    def refused(pattern, architecture="yolov5n", **changes):
        path = made.save(tmp_path / "net.pt", net, yaml={**made.described(), **changes})
        with pytest.raises(UserError, match=pattern):
            open_detector(path, architecture=architecture)

    refused(r"net\.pt: is yolov5n, but the settings' architecture is yolov5m", "yolov5m")
    refused(r"net\.pt: is a YOLOv5 of depth 0\.5 and width 0\.25, but", depth_multiple=0.5)
    refused(r"net\.pt: has the activation 'nn\.ReLU\(\)'; YOLOv5's is SiLU", activation="nn.ReLU()")
    table = made.described()
    longer = [*table["backbone"][:2], [-1, 3, "C3", [128, False]], *table["backbone"][3:]]
    refused(
        r"its backbone is not that of YOLOv5 5\.0 to 7\.0: layer 2 is \[-1, 3, 'C3', \[128, False\]\], "
        r"expected \[-1, 3, 'C3', \[128\]\]",
        backbone=longer,
    )
    refused(r"its head is not that of YOLOv5 5\.0 to 7\.0: it has not 15 layers", head=table["head"] * 2)
    refused(r"its head .* it has not 15 layers", head=None)
    refused(
        r"its backbone .* it has not 10 layers", backbone=[*table["backbone"], [-1, 1, "Conv", [1280, 3, 2]]]
    )
    refused(r"its head .* layer 0 is 7", head=[7] * len(table["head"]))
    refused(r"is a YOLOv5 of depth tensor", depth_multiple=torch.ones(3))
    endless: list = [-1, 1, "Conv"]
    endless.append(endless)
    refused(r"its head .* layer 0 is \[-1, 1, 'Conv', ", head=[endless, *table["head"][1:]])
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(UserError, match=r"does not fit classic yolov5s with 80 class"):
        open_detector(tmp_path / "net.safetensors", architecture="yolov5s")
    torch.save({**net.state_dict(), "model.24.anchors": torch.full((3, 3, 2), torch.inf)}, tmp_path / "a.pt")
    with pytest.raises(
        UserError, match=r"a\.pt: values of 1 of \d+ tensors are not finite: model\.24\.anchors"
    ):
        open_detector(tmp_path / "a.pt")
    made.save(tmp_path / "things.pt", net, yaml=table, names=["thing"] * 80)
    with pytest.raises(UserError, match=r"things\.pt: class 0 is 'thing', expected 'person'"):
        open_detector(tmp_path / "things.pt")


def test_layers_of_other_networks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(made.NAMES, "C3", "BottleneckCSP")
    made.save(tmp_path / "old.pt", made.network(), yaml=made.described())
    with pytest.raises(
        UserError,
        match=r"old\.pt: refused, nothing of it was executed: it names 'models\.common\.BottleneckCSP', which is no "
        r"layer of a detector of YOLOv5 5\.0 to 7\.0",
    ):
        open_detector(tmp_path / "old.pt")


def test_no_other_package_is_needed(tmp_path, monkeypatch):
    for name in ("ultralytics", "models", "yolov5"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    path = made.save(tmp_path / "net.pt", made.network(), yaml=made.described())
    (found,) = open_detector(path).people([noise(0, (64, 48))])
    assert found.shape[1] == 5


# ------------------------------------------------------------------------------------------- real data


@pytest.fixture
def published(mmcl_data):
    """The classic YOLOv5n of COCO, at the paper's settings."""
    return open_detector(mmcl_data / "weights" / "yolov5n-coco-v6.pt", image_size=640)


@pytest.mark.real
def test_people_on_photographs(published, mmcl_data):
    import cv2

    # what the original's network (yolov5 6.0.7 of PyPI) gives with these weights, after the same suppression
    expected = {
        "bus": [
            [55.213, 397.669, 210.819, 889.383, 0.876],
            [683.344, 367.201, 810, 880.821, 0.805],
            [216.391, 408.816, 345.594, 864.603, 0.787],
            [0, 572.617, 71.917, 892.597, 0.519],
        ],
        "zidane": [[742.666, 39.552, 1154.487, 715.109, 0.788], [134.034, 180.672, 742.214, 720, 0.412]],
    }
    for name, boxes in expected.items():
        image = cv2.imread(str(mmcl_data / "photos" / f"{name}.jpg"))[..., ::-1]
        (found,) = published.people([image])
        np.testing.assert_allclose(found[:, :4], np.array(boxes)[:, :4], atol=0.1)
        np.testing.assert_allclose(found[:, 4], np.array(boxes)[:, 4], atol=2e-3)


@pytest.mark.real
def test_the_one_person_of_each_real_recording(published, mmcl_data, tmp_path):
    with zipfile.ZipFile(mmcl_data / "utd-mhad-rgb-5-clips.zip") as archive:
        archive.extractall(tmp_path)
    videos = sorted(tmp_path.rglob("*.avi"))
    assert len(videos) == 5
    for video in videos:
        chosen, images = Recording(video).choose(lambda frames: sampling.RULES["chosen"](frames, 5))
        for boxes in published.people([images[frame] for frame in chosen]):
            assert len(boxes) == 1
            left, top, right, bottom, confidence = boxes[0]
            # somebody stands in the middle of 640 x 480 and is about 400 pixels tall
            assert confidence > 0.75
            assert 220 < left < right < 370
            assert 50 < top < 130 < 450 < bottom < 475
