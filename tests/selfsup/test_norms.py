"""Batch norms of encoders that have learned nothing."""

import torch
from small import SETTINGS

from mmcl.selfsup.files import encoders_of, new_encoders
from mmcl.selfsup.norms import measure_norms

ABOUT = {"inputs": {"bone": ["bone"]}, "encoder": SETTINGS, "dim": 8, "hidden": None, "view": {}}


def test_features_differ_and_nothing_but_statistics_changes():
    torch.manual_seed(0)
    encoders = encoders_of(new_encoders(ABOUT), ABOUT)
    net = encoders.backbones["bone"]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    clips = torch.randn(12, 3, 8, 20, 1)
    with torch.no_grad():
        assert net.features(clips).std(0).mean() < 1e-6  # what the measuring is for
        measure_norms(encoders, [{"bone": part} for part in clips.split(4)])
        assert not any(module.training for module in net.modules())
        features = net.features(clips)
        assert features.std(0).mean() > 1e-3
        changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
        assert changed
        assert all("running_" in key or "num_batches" in key for key in changed)
        # the first norm sees the clips themselves: mean over the batches of their own means
        mean = clips.transpose(1, 3).reshape(3, 4, 20, 8, 3).mean((1, 3)).mean(0)
        torch.testing.assert_close(net.input_norm.running_mean.sort()[0], mean.flatten().sort()[0])
        measure_norms(encoders, [{"bone": part} for part in clips.split(4)])  # whatever was there before
        torch.testing.assert_close(net.features(clips), features)
    assert {module.momentum for module in net.modules() if hasattr(module, "momentum")} == {0.1}
