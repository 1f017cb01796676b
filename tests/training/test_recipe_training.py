"""What `recipe: reference` changes in the training itself."""

import csv

import numpy as np
import pytest
import torch
from made_stores import changed
from made_stores import train as train_made
from seeds import shifted
from test_loader import loader_settings

from mmcl.evaluation.score import load_model
from mmcl.skeleton.ragged import join
from mmcl.training.loader import Loader, TrainingData


def epochs(numbers, same, **place):
    """Batches of epochs over clips that are all the same, so that only crops and rotations tell them apart."""
    clip = np.random.default_rng(shifted(0)).normal(0, 1, (20, 1, 20, 3)).astype(np.float32)
    data = TrainingData([f"c{i}" for i in range(8)], join([clip] * 8, 1), torch.arange(8), "utd20")
    loader = Loader(data, "joint", loader_settings(same_augmentation=same), seed=1, **place)
    return [list(loader.epoch(number)) for number in numbers]


def test_crops_and_rotations_repeat_and_the_order_does_not():
    first, later = ([torch.cat([b.x for b in e]) for e in epochs([0, 3], same)] for same in (True, False))
    torch.testing.assert_close(first[0], first[1], rtol=0, atol=0)
    assert (later[0] - later[1]).abs().amax((1, 2, 3, 4)).min() > 0.01
    # within an epoch they differ from place to place
    assert (first[0][1:] - first[0][:-1]).abs().amax((1, 2, 3, 4)).min() > 0.01
    orders = [
        [torch.cat([b.labels for b in e]).tolist() for e in epochs([0, 3], same)] for same in (True, False)
    ]
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]


def test_processes_share_the_repeated_numbers_out():
    whole = epochs([2], True)[0]
    parts = [epochs([2], True, rank=rank, world=2)[0] for rank in (0, 1)]
    for step, batch in enumerate(whole):
        shared = torch.cat([part[step].x for part in parts])
        torch.testing.assert_close(shared, batch.x, rtol=0, atol=0)


@pytest.fixture
def released(settings):
    quirks = {"model__fam__chunk": 2, "model__frm__input": "answer_ids", "train__same_augmentation": True}
    return changed(settings, **quirks, train__epochs=2)


def test_a_stream_is_trained_as_released(stores, released, tmp_path):
    def run(name, settings):
        content = train_made(stores, tmp_path / name, settings)
        rows = list(csv.DictReader((tmp_path / name / "history.csv").open()))
        return content, [float(row["fam"]) for row in rows]

    content, fam = run("released", released)
    state = content["state"]
    assert state["frm.phi.0.weight"].shape == (8, 3)
    assert not [name for name in state if name.startswith("frm.norm")]
    assert all(value.isfinite().all() for value in state.values())
    assert load_model(tmp_path / "released/model.pt").model.fam.chunk == 2
    _, whole = run("whole", changed(released, model__fam__chunk=None))
    # two clips have fewer negatives than five
    assert all(few < many - 0.5 for few, many in zip(fam, whole, strict=True))
