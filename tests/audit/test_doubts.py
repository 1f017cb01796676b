"""Labels that copies or neighbours contradict."""

import numpy as np
from made_bodies import body

from mmcl.audit.copies import find_copies, fingerprint
from mmcl.audit.labels import find_conflicts, find_doubts
from mmcl.layouts import get_layout

UCLA = get_layout("ucla20")


def test_copies_under_different_labels() -> None:
    clips = [
        body(1),
        body(1),
        body(2),
        body(2) + 1,
        body(3),
        body(3),
        np.concatenate([body(4), body(5)]),
        body(6),
    ]
    clips.append(np.concatenate([body(6)[:4], body(7)]))
    found = find_copies([fingerprint(clip, UCLA) for clip in clips], UCLA, clips.__getitem__, 0.01)
    names = [f"c{i}" for i in range(9)]
    action = np.array(["a1", "a1", "a1", "a2", "a3", "a4", "a5", "a6", "a7"], object)
    reported = {finding.clips: finding.detail for finding in find_conflicts(found, names, action)}
    # c0 and c1 have one label; c7 and c8 have a few frames in common, as recordings cut from one may have
    assert set(reported) == {("c2", "c3"), ("c4", "c5")}
    assert reported["c4", "c5"] == "identical: c4 is a3, c5 is a4"
    assert reported["c2", "c3"].startswith("copy: a1 and a2; poses in common: 40")


def test_a_wrong_label_among_similar_clips() -> None:
    rng = np.random.default_rng(1)
    near = np.concatenate([rng.normal(centre, 0.05, (30, 5)) for centre in (0, 1, 2)])
    action = np.repeat(np.array(["a1", "a2", "a3"], object), 30)
    names = [f"c{i}" for i in range(90)]
    assert find_doubts(near, names, action) == []
    action[7], action[70] = "a3", "a1"
    found = find_doubts(near, names, action)
    assert {finding.clips for finding in found} == {("c7",), ("c70",)}
    assert "is a3; 10 of its 10 nearest clips are a1, the nearest 0." in next(
        finding.detail for finding in found if finding.clips == ("c7",)
    )


def test_neighbours_need_enough_clips_and_positions() -> None:
    names, action = ["c"] * 9, np.array(["a1"] * 8 + ["a2"], object)
    assert find_doubts(np.zeros((9, 3)), names, action) == []
    near = np.zeros((30, 3))
    near[3] = np.nan
    assert find_doubts(near, ["c"] * 30, np.array(["a1"] * 3 + ["a2"] + ["a1"] * 26, object)) == []
    assert find_doubts(np.zeros((30, 0)), ["c"] * 30, np.array(["a1"] * 30, object)) == []
