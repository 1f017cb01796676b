"""Steps of IKEM's pre-training that are recorded: views, losses, key encoders and memory go on without Python code."""

import numpy as np
import pytest
import torch
from seeds import shifted
from taped import TapedGraphs, state_of

from mmcl.engine.optimizers import build_optimizer
from mmcl.engine.processes import Processes
from mmcl.engine.step import make_step
from mmcl.selfsup import CONTRAST, EXCHANGE, MANDATORY, Pretrainer
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.pairs import Pairs
from mmcl.selfsup.train import PretrainingTask
from mmcl.selfsup.views import AugmentedViews
from mmcl.settings.selfsup import PretrainingSettings
from mmcl.skeleton.ragged import join

SETTINGS = PretrainingSettings.model_validate(
    {"modalities": MANDATORY, "dim": 8, "memory": 10, "batch": 4, "window": 8, "convention": "ikem"}
    | {"encoder": {"backbone": "stgcn16", "width": 0.25}, "precision": "fp32", "augmentation": {"bones": 0.1}}
)


def trained(stage, graphs):
    """The state after six steps, and the means of the losses."""
    torch.manual_seed(shifted(0))
    random = np.random.default_rng(shifted(0))
    clips = [random.normal(size=(frames, 1, 20, 3)).astype(np.float32) for frames in range(9, 17)]
    net = Pretrainer(SETTINGS, EncoderForm.of(SETTINGS.encoder, layout="utd20", persons=1)).train()
    net.enter(stage)
    views = AugmentedViews(join(clips, 1), SETTINGS.view, "utd20", SETTINGS.augmentation)
    pairs = Pairs(views, MANDATORY, MANDATORY, batch=SETTINGS.batch, seed=1)
    task = PretrainingTask(net, pairs, SETTINGS, 1)
    optimizing = build_optimizer(net, SETTINGS, task.steps)
    step = make_step(task, optimizing, Processes(device=torch.device("cpu")), graphs=graphs)
    if graphs is not None:
        graphs.kept = lambda: state_of(step)
    step.begin()
    for epoch in range(3):
        for batch in task.batches(epoch):
            step(batch)
    return net.state_dict(), step.means()


@pytest.mark.parametrize("stage", [CONTRAST, EXCHANGE])
def test_recorded_steps_do_what_the_operations_do(stage):
    expected, means = trained(stage, None)
    graphs = TapedGraphs(None)
    found, same = trained(stage, graphs)
    assert graphs.played == 3
    assert same == means
    assert found["memory.pointer"].tolist() == [6 * 4 % 10]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
