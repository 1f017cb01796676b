import logging

import numpy as np
import pytest
from made_stores import edited, make_stores

from mmcl.datasets.exclusion import plan_exclusion
from mmcl.datasets.prepare import SkeletonStore
from mmcl.datasets.selection import select
from mmcl.settings.base import replaced
from mmcl.settings.protocol import Rule, SelectionSettings

PLAIN = SelectionSettings(protocol="odd_subjects")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """4 classes × 8 subjects; bad_s1 and bad_s2 failed."""
    return make_stores(tmp_path_factory.mktemp("stores"))["skeletons"]


def names(store, rows):
    return [store.names[row] for row in np.flatnonzero(rows)]


def test_a_clip_without_skeleton_is_left_out_where_it_belongs(path):
    store = SkeletonStore(path)
    selection = select(store, PLAIN)
    assert names(store, selection.train) == [n for n in store.names if int(n[-1]) % 2]
    assert (selection.test == ~selection.train).all()
    assert selection.train_left_out == [{"name": "bad_s1", "reason": "empty"}]
    assert selection.test_left_out == [{"name": "bad_s2", "reason": "empty"}]


def test_excluded_clips_do_neither(path, tmp_path, caplog):
    (tmp_path / "list.txt").write_text("a0_s2\na3_s1\nbad_s2\nno_such_clip\n")
    store, plain = SkeletonStore(path), select(SkeletonStore(path), PLAIN)
    exclude = plan_exclusion(str(tmp_path / "list.txt"))
    with caplog.at_level(logging.WARNING):
        selection = select(store, replaced(PLAIN, exclude=exclude))
    assert names(store, plain.train & ~selection.train) == ["a3_s1"]
    assert names(store, plain.test & ~selection.test) == ["a0_s2"]
    reason = f"excluded by {tmp_path / 'list.txt'}"
    assert selection.train_left_out[1:] == [{"name": "a3_s1", "reason": reason}]
    assert selection.test_left_out == [{"name": name, "reason": reason} for name in ("bad_s2", "a0_s2")]
    assert "1 of 4 names are no clips of" in caplog.text
    assert "no_such_clip for one" in caplog.text


def test_a_list_moves_no_other_clip_of_a_random_half(path, tmp_path):
    store = SkeletonStore(path)
    (tmp_path / "list.txt").write_text("a0_s1\na0_s2\na0_s3\n")
    exclude = plan_exclusion(str(tmp_path / "list.txt"))
    whole = select(store, SelectionSettings(protocol="sysu_setting1/4"))
    part = select(store, SelectionSettings(protocol="sysu_setting1/4", exclude=exclude))
    assert (whole.train & ~part.train).sum() + (whole.test & ~part.test).sum() == 3
    assert not (part.train & ~whole.train).any()
    assert not (part.test & ~whole.test).any()


def test_a_rule_of_ones_own(path):
    rule = Rule(by="subject", train=[1, 2], test=[3])
    store = SkeletonStore(path)
    selection = select(store, SelectionSettings(protocol="mine", rule=rule))
    assert (selection.train.sum(), selection.test.sum()) == (8, 4)
    assert [entry["name"] for entry in selection.train_left_out] == ["bad_s1", "bad_s2"]


def test_a_failed_clip_counts_in_its_half(path, tmp_path):
    """So whether a skeleton can be read moves no other clip."""
    copy = tmp_path / "copy.h5"
    copy.write_bytes(path.read_bytes())
    with edited(copy) as h5:
        h5["failed/action"][:] = np.array(["a0", "a0"], object)
    selection = select(SkeletonStore(copy), SelectionSettings(protocol="sysu_setting1"))
    left_out = {entry["name"] for entry in selection.train_left_out + selection.test_left_out}
    assert left_out == {"bad_s1", "bad_s2"}
    of_a0 = selection.train[:8].sum() + len(selection.train_left_out)
    assert of_a0 == 5  # of ten
