import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmcl import store
from mmcl.models.cnn import CNN, open_cnn
from mmcl.settings.base import replaced
from mmcl.settings.jobs import Encoding
from mmcl.video import jpeg
from mmcl.video.encode import encode_montages

torchvision = pytest.importorskip("torchvision")


@pytest.fixture
def settings(tmp_path):
    torch.manual_seed(0)
    net = torchvision.models.shufflenet_v2_x0_5(weights=None, num_classes=6)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    return Encoding.model_validate(
        {
            "name": "small",
            "architecture": "shufflenet_v2_x0_5",
            "weights": str(tmp_path / "net.safetensors"),
            "sha256": None,
            "num_classes": 6,
            "feature": "logits",
            "image_size": 64,
            "frozen": True,
            "batch": 2,
        }
    )


def write_montages(path, pictures: dict[str, bytes], failed: dict[str, str]):
    def work(names):
        good = [name for name in names if name in pictures]
        columns = {"images": [pictures[name] for name in good]}
        return store.Batch(good, columns, {name: failed[name] for name in names if name in failed})

    store.write(
        path,
        schema="mmcl.montages/1",
        settings={},
        names=sorted([*pictures, *failed]),
        columns={"images": store.Column("bytes")},
        batch_size=4,
        work=work,
    )
    return path


def test_features_of_a_shard(tmp_path, settings):
    rng = np.random.default_rng(0)
    images = {name: jpeg.encode(rng.integers(0, 256, (80, 80, 3), np.uint8), 95) for name in "acd"}
    path = write_montages(tmp_path / "m.h5", {**images, "e": b"broken"}, {"b": "no person"})
    encode_montages(path, tmp_path / "rgb.h5", settings, threads=2)
    table = store.Shards([tmp_path / "rgb.h5"], "mmcl.rgb/1")
    assert table.names == ["a", "c", "d"]
    assert table.failed == {"b": "no person", "e": "6 bytes that are not a JPEG picture"}
    assert len(table.settings["sha256"]) == 64
    net = open_cnn(settings).eval()
    with torch.no_grad():
        for name, data in images.items():
            expected = net(torch.from_numpy(jpeg.decode(data))[None])[0].numpy()
            np.testing.assert_allclose(table.row("features", name), expected, rtol=1e-4, atol=1e-5)
    encode_montages(path, tmp_path / "one.h5", replaced(settings, batch=1), threads=1)
    one = store.Shards([tmp_path / "one.h5"], "mmcl.rgb/1")
    np.testing.assert_allclose(one.read("features"), table.read("features"), rtol=1e-4, atol=1e-5)


def test_a_shard_without_any_montage(tmp_path, settings):
    path = write_montages(tmp_path / "m.h5", {}, {"b": "no person"})
    encode_montages(path, tmp_path / "rgb.h5", replaced(settings, feature="pooled"), threads=1)
    table = store.Shards([tmp_path / "rgb.h5"], "mmcl.rgb/1")
    assert table.names == []
    assert table.failed == {"b": "no person"}
    assert table.shape("features") == (1024,)


def test_features_that_are_not_finite_fail_their_clip(tmp_path, settings, monkeypatch):
    rng = np.random.default_rng(0)
    images = {name: jpeg.encode(rng.integers(0, 256, (80, 80, 3), np.uint8), 95) for name in "abc"}
    path = write_montages(tmp_path / "m.h5", images, {})
    forward = CNN.forward
    monkeypatch.setattr(
        CNN, "forward", lambda self, x: forward(self, x) + torch.tensor([0.0, torch.nan])[: len(x), None]
    )
    encode_montages(path, tmp_path / "rgb.h5", settings, threads=1)
    table = store.Shards([tmp_path / "rgb.h5"], "mmcl.rgb/1")
    assert table.names == ["a", "c"]
    assert table.failed == {"b": "the CNN's features are not finite"}
    assert np.isfinite(table.read("features")).all()


def test_a_montage_of_another_size_is_left_out(tmp_path, settings):
    grey = {
        name: jpeg.encode(np.full((side, 80, 3), 99, np.uint8), 95)
        for name, side in (("a", 40), ("b", 80), ("c", 80))
    }
    encode_montages(
        write_montages(tmp_path / "m.h5", grey, {}), tmp_path / "rgb.h5", replaced(settings, batch=3), 1
    )
    table = store.Shards([tmp_path / "rgb.h5"], "mmcl.rgb/1")
    assert table.names == ["b", "c"]
    assert table.failed == {"a": "a montage of 80 × 40 pixels, unlike the others"}
