"""A CNN trained on the run's own pictures: planned only where asked for, trained once, used by what follows."""

import json

from conftest import fresh

from mmcl import store

OWN = """\
  tiny_own:
    like: tiny
    model:
      fam:
        cnn:
          name: own
          weights: null
          sha256: null
          image_size: 64
          pretrain: {protocol: odd_subjects, epochs: 2, batch: 4}
"""
TARGET = "results/tiny_own/ensemble.json"


def with_own_cnn(run):
    run.edit("benchmarks:\n", f"benchmarks:\n{OWN}")
    return run


def test_it_is_planned_only_where_asked_for(tmp_path):
    run = with_own_cnn(fresh(tmp_path))
    jobs = run.jobs(TARGET)
    assert (jobs["pretrain_cnn"], jobs["encode_montages"], jobs["concatenate_frames"]) == (1, 1, 1)
    assert "pretrain_cnn" not in run.jobs("results/tiny/ensemble.json")


def test_features_come_from_the_weights_it_made(copy):
    run = with_own_cnn(copy)
    features = "results/rgb/tiny/own/000-of-001.h5"
    assert run.jobs(features) == {"pretrain_cnn": 1, "encode_montages": 1}
    run(features)
    about = json.loads((run.folder / "results/rgb/tiny/own/weights.json").read_text())
    assert about["subjects"] == [1, 3]
    table = store.Shards([run.folder / features], "mmcl.rgb/1")
    assert table.settings["sha256"] == about["sha256"]
    assert run.jobs(features) == {}
    # what trains it counts, what reads it does not
    run.edit("epochs: 2, batch: 4}\n", "epochs: 1, batch: 4}\n")
    assert run.jobs(features) == {"pretrain_cnn": 1, "encode_montages": 1}
    run.edit("epochs: 1, batch: 4}\n", "epochs: 2, batch: 4}\n          feature: logits\n")
    assert run.jobs(features) == {"encode_montages": 1}
