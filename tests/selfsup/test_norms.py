"""Batch norms, measured when the weights stand still."""

import numpy as np
import torch
from seeds import shifted
from small import SETTINGS

from mmcl.selfsup.files import Encoders, new_encoders
from mmcl.selfsup.norms import BATCH, measure_norms
from mmcl.skeleton.ragged import join

VIEW = {"window": 8, "convention": "ctr", "facing": "frame", "true_timeline": True}
ABOUT = {"inputs": {"joint": ["joint"]}, "encoder": SETTINGS, "dim": 8, "hidden": None, "view": VIEW}


def test_features_differ_and_nothing_but_statistics_changes():
    torch.manual_seed(shifted(0))
    encoders = Encoders(new_encoders(ABOUT).eval(), ABOUT)
    net = encoders.backbones["joint"]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    rng = np.random.default_rng(shifted(0))
    recorded = [rng.normal(size=(8, 1, 20, 3)).astype(np.float32) for _ in range(2 * BATCH)]
    views = encoders.views(join(recorded, 1))
    clips = views.plain(torch.arange(2 * BATCH), ["joint"])["joint"]
    with torch.no_grad():
        assert net.features(clips).std(0).mean() < 1e-6  # what the measuring is for
        measure_norms(encoders, views)
        assert not any(module.training for module in net.modules())
        features = net.features(clips)
        assert features.std(0).mean() > 1e-3
        changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
        assert changed
        assert all("running_" in key or "num_batches" in key for key in changed)
        # the first norm sees the clips themselves: the mean of two equal batches' means is the mean of all
        mean = clips.mean((0, 2, 4)).flatten().sort()[0]
        torch.testing.assert_close(net.input_norm.running_mean.sort()[0], mean)
        measure_norms(encoders, views)  # whatever was there before
        torch.testing.assert_close(net.features(clips), features)
    assert {module.momentum for module in net.modules() if hasattr(module, "momentum")} == {0.1}


def test_the_norm_before_the_heads_follows_those_below_it():
    torch.manual_seed(shifted(0))
    about = {**ABOUT, "encoder": {**SETTINGS, "head_norm": True}}
    encoders = Encoders(new_encoders(about).eval(), about)
    rng = np.random.default_rng(shifted(0))
    views = encoders.views(join([rng.normal(size=(8, 1, 20, 3)).astype(np.float32) for _ in range(BATCH)], 1))
    measure_norms(encoders, views)
    with torch.no_grad():
        features = encoders.features(views.plain(torch.arange(BATCH), ["joint"]))["joint"]
    norm = encoders.nets["joint"].norm
    torch.testing.assert_close(norm.running_mean, features.mean(0), rtol=0.02, atol=1e-3)
    assert features.mean(0).abs().max() > 0.1  # which it began at 0
