"""Clips as an audit opens them."""

from pathlib import Path

import numpy as np
from datasets.made_recordings import joints, skeleton_text
from made_readers import recordings

from mmcl.audit import audit, open_folder, open_store
from mmcl.datasets.prepare import SkeletonStore


def test_ntu_clips_keep_the_frames_that_cleaning_drops(tmp_path: Path) -> None:
    name = "S001C001P001R001A001"
    there = [*range(5), *range(9, 30)]
    (tmp_path / f"{name}.skeleton").write_text(skeleton_text(30, {"72057594037931101": (there, joints(26))}))
    source = open_folder(recordings("ntu", tmp_path))
    clip = source.read(0)
    assert clip.shape == (30, 1, 25, 3)
    assert np.flatnonzero(~clip.any((1, 2, 3))).tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(clip[there, 0], joints(26), atol=1e-5)
    found = {finding.kind: finding.detail for finding in audit(source).findings}
    assert found["empty_frames"] == "4 of 30 frames are all zero"


def test_stores_are_read_clip_by_clip(stores: dict[str, Path]) -> None:
    source, whole = open_store(stores["skeletons"]), SkeletonStore(stores["skeletons"])
    assert list(source.clips.names) == whole.names
    for i in (0, 7, len(whole) - 1):
        np.testing.assert_array_equal(source.read(i), whole.clip(i))


def test_left_out_and_missing_clips_are_reported(tmp_path: Path) -> None:
    from scipy.io import savemat

    for name in ("a1_s1_t1", "noname"):
        savemat(
            tmp_path / f"{name}_skeleton.mat", {"d_skel": np.random.default_rng(1).normal(size=(20, 3, 9))}
        )
    source = open_folder(recordings("utd_mhad", tmp_path))
    assert list(source.clips.names) == ["a1_s1_t1"]
    assert source.left_out == {"noname": "name is not a<action>_s<subject>_t<trial>"}
