"""Stores and results as NumPy arrays and pandas tables."""

import json

import numpy as np
import pytest
from made_stores import make_stores

import mmcl
from mmcl import store as stores
from mmcl.datasets.prepare import SkeletonStore
from mmcl.layouts import get_layout
from mmcl.store import Batch, Column
from mmcl.video import jpeg


def test_skeletons(here):
    found, source = mmcl.open_store("results/skeletons/demo.h5"), SkeletonStore("results/skeletons/demo.h5")
    assert (found.schema, len(found), found.attributes["layout"]) == ("mmcl.skeletons/1", 32, "utd20")
    assert found.joints == get_layout("utd20").joints
    assert found.description == "Skeletons of all clips of a data set, cleaned and centred"
    assert found.arrays["joints"].unit == "m"
    assert found.arrays["joints"].shape == source.joints.shape
    assert found.failed == {"bad_s1": "empty", "bad_s2": "empty"}
    for row in (0, 17, 31):
        np.testing.assert_array_equal(found.clip(source.names[row]), source.clip(row))
    table = found.to_pandas()
    assert table.index.tolist() == source.names
    assert set(table.columns) == {
        *("labels", "class_id", "class_name", "frames", "persons", "subject", "camera", "setup", "split")
    }
    assert table.loc["a2_s5", ["labels", "class_id", "class_name", "subject"]].tolist() == [2, "a2", "a2", 5]
    np.testing.assert_array_equal(found.read("subject", ["a2_s5", "a0_s1"]), [5, 1])


def test_shards_are_one_table(tmp_path):
    def work(names):
        pictures = [jpeg.encode(np.full((8, 8, 3), 200, np.uint8), 95) for _ in range(2)]
        return Batch(
            names,
            {
                "boxes": np.ones((len(names), 2, 4)),
                "scores": np.ones((len(names), 2)),
                "frame": np.tile([3, 7], (len(names), 1)),
                "images": [pictures] * len(names),
            },
            {},
        )

    columns = stores.columns("mmcl.crops/1", boxes=(2, 4), scores=(2,), frame=(2,), images=(2,))
    how = {"schema": "mmcl.crops/1", "settings": {"a": 1}, "columns": columns, "batch_size": 4, "work": work}
    for shard, names in enumerate((["a", "c"], ["b"])):
        stores.write(tmp_path / f"crops/{shard:03d}-of-002.h5", names=names, **how)
    found = mmcl.open_store(tmp_path / "crops")
    assert found.names == ["a", "c", "b"]
    assert "b" in found
    assert "d" not in found
    assert found.settings == {"a": 1}
    assert found.read("frame", ["b", "a"]).tolist() == [[3, 7], [3, 7]]
    assert found.to_pandas().shape == (3, 0)
    first, second = found.picture("b")
    assert first.shape == (8, 8, 3)
    assert abs(int(second[4, 4, 1]) - 200) < 3


def test_a_schema_of_ones_own(tmp_path):
    stores.write(
        tmp_path / "sound.h5",
        schema="mmcl.sound/1",
        settings={},
        names=["a", "b"],
        columns={"loud": Column("float32", description="Loudness", unit="dB")},
        batch_size=4,
        work=lambda names: Batch(names, {"loud": [1.0, 2.0]}, {}),
    )
    found = mmcl.open_store(tmp_path / "sound.h5")
    assert found.to_pandas().loc["b", "loud"] == 2
    assert found.arrays["loud"] == ((2,), "float32", "Loudness", "dB", "clip")


def test_what_a_store_has_not(here):
    skeletons = mmcl.open_store("results/skeletons/demo.h5")
    answers = mmcl.open_store(next(here.glob("results/answers/*/*/*")))
    for call, message in [
        (lambda: skeletons.read("label"), "has no array 'label'; did you mean 'labels'"),
        (
            lambda: skeletons.read("joints"),
            r"rows of 'joints' are not those of clips \(row, joint, coordinate\)",
        ),
        (lambda: skeletons.read("classes/id"), "rows of 'classes/id' are not those of clips"),
        (lambda: skeletons.clip("bad_s1"), "has no clip 'bad_s1', which failed: empty"),
        (lambda: skeletons.clip("nobody"), "has no clip 'nobody'"),
        (lambda: skeletons.picture("a0_s1"), "holds mmcl.skeletons/1, no pictures"),
        (lambda: answers.clip("a0_s1"), "holds mmcl.answers/1, no skeletons"),
        (lambda: mmcl.open_store("nowhere"), "nowhere: no such store"),
    ]:
        with pytest.raises(mmcl.UserError, match=message):
            call()


def test_results(here):
    found = mmcl.results("demo_xsub")
    content = json.loads((here / "results/demo_xsub/ensemble.json").read_text())
    assert found.content == content
    assert (found.top1, found.clips, found.seeds) == (content["top1"], 16, {1: content["top1"]})
    members = found.members_table()
    assert members.index.tolist() == found.members == ["stgcn16-natural-joint", "stgcn16-natural-bone"]
    assert members["top1"].tolist() == [one["top1"] for one in content["members"]]
    assert found.per_class().loc["a2", "clips"] == 4
    assert found.confusion().to_numpy().sum() == 16
    assert found.history(found.members[1]).index.tolist() == [1, 2]
    scores = found.scores(found.members[0])
    top1 = 100 * (scores.read("logits").argmax(1) == scores.read("labels")).mean()
    assert round(top1, 2) == content["members"][0]["top1"]
    assert scores.to_pandas().loc["a3_s2", "class_id"] == "a3"
    with pytest.raises(mmcl.UserError, match="nothing: no finished benchmark"):
        mmcl.results("nothing")
    with pytest.raises(mmcl.UserError, match="no member 'joint'"):
        found.history("joint")


def test_an_old_store_without_joint_names(tmp_path):
    from made_stores import edited

    path = make_stores(tmp_path)["skeletons"]
    with edited(path) as file:
        file.pop("layout", None)
    assert mmcl.open_store(path).joints == get_layout("utd20").joints
