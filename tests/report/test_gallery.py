import numpy as np
import pytest
from PIL import Image

from mmcl.errors import UserError
from mmcl.evaluation.answers import Asked, Request
from mmcl.report.gallery import draw_gallery, gather, said, spread


@pytest.fixture
def request_of(stores):
    """Two questions about the made clips, both answered by the same store."""
    asked = tuple(Asked("vlm", question, (stores["answers"],)) for question in ("one", "two"))
    return Request("b", "made", stores["skeletons"], asked, (stores["montages"],))


def test_every_question_and_class_is_shown(request_of, tmp_path):
    found = gather(request_of)
    assert [vlm for vlm, _ in found.questions] == ["vlm", "vlm"]
    assert len({one.action for one in found.clips}) == 4
    assert len(found.clips) == 12
    assert all(len(one.answers) == 2 for one in found.shown)
    assert draw_gallery(found, tmp_path / "g.jpg") == len(found.shown)
    with Image.open(tmp_path / "g.jpg") as sheet:
        assert sheet.format == "JPEG"
    assert len(gather(request_of, each=1).clips) == 4


def test_nothing_to_show(request_of):
    with pytest.raises(UserError, match="no montages"):
        gather(Request("b", "made", request_of.skeletons, request_of.asked))


def test_clips_are_spread_evenly():
    assert spread(list("abcdefg"), 3) == ["a", "d", "g"]
    assert spread(["a"], 3) == ["a"]
    assert spread([], 3) == []


def test_what_was_said():
    assert said(None) == "not asked"
    assert said(("yes", 0.25)) == '"yes"  p(yes) 0.250'
    assert said(("a cup", np.nan)) == '"a cup"'
