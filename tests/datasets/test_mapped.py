"""A store as a network sees it that was trained on another data set's."""

import numpy as np
import pytest
from made_stores import make_stores

from mmcl.datasets.mapped import seen_as
from mmcl.datasets.prepare import SkeletonStore
from mmcl.errors import UserError
from mmcl.skeleton.cleaning import motion
from mmcl.skeleton.mapping import map_joints


def test_clips_are_mapped_and_all_else_is_kept(tmp_path):
    source = SkeletonStore(make_stores(tmp_path, "ntu25", persons=2)["skeletons"])
    assert (source.people, seen_as(source, "ntu25", 2)) == (2, source)
    mapped = seen_as(source, "utd20", 1)
    assert (mapped.layout, mapped.people, mapped.names) == ("utd20", 1, source.names)
    assert mapped.fingerprint == source.fingerprint
    most = int(np.argmax([motion(person) for person in source.clip(3).swapaxes(0, 1)]))
    np.testing.assert_array_equal(mapped.clip(3), map_joints(source.clip(3)[:, [most]], "ntu25", "utd20"))
    np.testing.assert_array_equal(next(mapped.read_clips([3])), mapped.clip(3))
    more = seen_as(source, "ntu25", 3)  # persons whom no clip has: absent later on
    assert (more.people, more.clip(3).shape) == (3, source.clip(3).shape)
    np.testing.assert_allclose(more.clip(3), source.clip(3))


def test_a_layout_that_cannot_be_made_is_refused_at_once(tmp_path):
    source = SkeletonStore(make_stores(tmp_path)["skeletons"])
    with pytest.raises(UserError, match="no joint layout 'nothing'"):
        seen_as(source, "nothing", 1)
