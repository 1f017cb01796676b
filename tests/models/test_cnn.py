import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from seeds import shifted
from torch import nn

from mmcl.errors import UserError
from mmcl.models.cnn import open_cnn, weights_sha256
from mmcl.settings.base import replaced
from mmcl.settings.model import CnnSettings

torchvision = pytest.importorskip("torchvision")


def settings(**other) -> CnnSettings:
    base = {"architecture": "shufflenet_v2_x0_5", "weights": None, "sha256": None, "num_classes": 6}
    return CnnSettings.model_validate({**base, "feature": "logits", "image_size": 64, **other})


def pictures(count: int = 2, size: int = 96) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(shifted(0)).integers(0, 256, (count, size, size, 3), np.uint8)
    )


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(shifted(0))
    net = torchvision.models.shufflenet_v2_x0_5(weights=None, num_classes=6).eval()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    return net, tmp_path / "net.safetensors"


def reference_input(images: torch.Tensor, size: int) -> torch.Tensor:
    """torchvision's own preparation of a picture file."""
    from PIL import Image
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return torch.stack([prepare(Image.fromarray(image.numpy())) for image in images])


def test_logits_and_pooled_features(saved):
    net, path = saved
    images = pictures(size=64)
    x = reference_input(images, 64)
    cnn = open_cnn(settings(weights=str(path))).eval()
    with torch.no_grad():
        assert cnn.feature_dim == 6
        torch.testing.assert_close(cnn(images), net(x), rtol=1e-4, atol=1e-5)
        pooled = open_cnn(settings(weights=str(path), feature="pooled")).eval()
        assert pooled.feature_dim == 1024
        features = pooled(images)
        assert features.shape == (2, 1024)
        torch.testing.assert_close(net.fc(features), net(x), rtol=1e-4, atol=1e-5)


def test_preparation_is_that_of_torchvision():
    images = pictures(size=96)
    cnn = open_cnn(settings())
    cnn.net = nn.Identity()
    # one grey level of 255, divided by the smallest deviation
    torch.testing.assert_close(cnn(images), reference_input(images, 64), rtol=0, atol=1 / 255 / 0.22)


def test_other_ways_to_store_weights(saved, tmp_path):
    net, path = saved
    torch.save(net.state_dict(), tmp_path / "net.pth")
    images = pictures()
    with torch.no_grad():
        one = open_cnn(settings(weights=str(path))).eval()(images)
        other = open_cnn(settings(weights=str(tmp_path / "net.pth"))).eval()(images)
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_inception_has_its_second_normalisation_and_one_output(tmp_path):
    torch.manual_seed(shifted(0))
    net = torchvision.models.inception_v3(weights=None, num_classes=5, aux_logits=True, init_weights=False)
    torch.save(net.state_dict(), tmp_path / "inception.pth")
    config = settings(
        architecture="inception_v3", num_classes=5, image_size=75, weights=str(tmp_path / "inception.pth")
    )
    cnn = open_cnn(config)
    assert cnn.net.transform_input
    assert not open_cnn(replaced(config, weights=None)).net.transform_input
    main = {key for key in net.state_dict() if not key.startswith("AuxLogits.")}
    assert set(cnn.net.state_dict()) == main
    out = cnn.train()(pictures(2, 75))
    assert isinstance(out, torch.Tensor)
    assert out.shape == (2, 5)
    images = pictures(2, 75)
    with torch.no_grad():
        net.transform_input = True
        expected = net.eval()(reference_input(images, 75))
        torch.testing.assert_close(open_cnn(config).eval()(images), expected, rtol=1e-4, atol=1e-5)
    assert open_cnn(replaced(config, feature="pooled")).feature_dim == 2048


@pytest.mark.parametrize(
    ("architecture", "dim"),
    [("resnet34", 512), ("mobilenet_v3_small", 1024), ("vit_b_16", 768), ("densenet121", 1024)],
)
def test_pooled_features_of_other_classifiers(architecture, dim):
    with torch.device("meta"):
        assert open_cnn(settings(architecture=architecture, feature="pooled")).feature_dim == dim


def test_old_densenet_names(tmp_path):
    net = torchvision.models.densenet121(weights=None, num_classes=6)
    old = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v
        for key, v in net.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    cnn = open_cnn(settings(architecture="densenet121", weights=str(tmp_path / "old.pth")))
    torch.testing.assert_close(cnn.net.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_the_head_follows_the_number_of_classes(saved):
    with pytest.raises(
        UserError, match=r"net\.safetensors: does not fit shufflenet_v2_x0_5 with 1000 classes"
    ):
        open_cnn(settings(weights=str(saved[1]), num_classes=1000))


def test_weights_that_are_no_numbers_are_refused(saved, tmp_path):
    state = saved[0].state_dict()
    torch.save(state | {"fc.bias": torch.full((6,), torch.inf)}, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net\.pth: values of 1 of \d+ tensors are not finite: fc\.bias"):
        open_cnn(settings(weights=str(tmp_path / "net.pth")))


def test_nothing_is_downloaded(tmp_path):
    with pytest.raises(
        UserError, match=r"weights not found: .*none\.pth\. The weights of torchvision's resnet34"
    ):
        open_cnn(settings(architecture="resnet34", weights=str(tmp_path / "none.pth")))


def test_the_sha256_is_checked(saved):
    sha256 = weights_sha256(settings(weights=str(saved[1])))
    assert open_cnn(settings(weights=str(saved[1]), sha256=sha256)).feature_dim == 6
    with pytest.raises(UserError, match="sha256 is"):
        open_cnn(settings(weights=str(saved[1]), sha256="0" * 64))
    assert weights_sha256(settings()) is None


class Evil:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return open, (str(self.victim), "w")


def test_pickles_are_not_executed(tmp_path):
    torch.save({"x": Evil(tmp_path / "victim")}, tmp_path / "evil.pth")
    (tmp_path / "victim").unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"evil\.pth: not a state dict that can be read safely"):
        open_cnn(settings(weights=str(tmp_path / "evil.pth")))
    assert not (tmp_path / "victim").exists()


def test_unknown_names():
    with pytest.raises(UserError, match="torchvision has no classifier resnet35"):
        open_cnn(settings(architecture="resnet35"))
    with pytest.raises(UserError, match="squeezenet1_1 has no linear layer"):
        open_cnn(settings(architecture="squeezenet1_1", feature="pooled"))
