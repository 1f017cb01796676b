import numpy as np
from rectangles import Reader, draw, entry

from mmcl.errors import UserError
from mmcl.settings.base import Options
from mmcl.settings.video import CropSettings
from mmcl.video.locate import Picture, open_source


def picture(frame: int, frames: int) -> Picture:
    return Picture(entry("a"), frame, frames, draw())


def source(reader: Reader, **settings):
    return open_source(
        CropSettings.model_validate({"boxes": "projected_joints", "margin": 0.0, **settings}),
        reader,
        threads=1,
    )


def test_joints_of_the_same_moment(tmp_path):
    locate = source(Reader(tmp_path, None, Options()))
    # ten skeleton frames; the box starts at x = 10 + skeleton frame
    for frames, moments in {10: range(10), 5: [1, 3, 5, 7, 9], 20: [i // 2 for i in range(20)]}.items():
        people = locate([picture(frame, frames) for frame in range(frames)])
        assert [int(p[0, 0]) - 10 for p in people] == list(moments)


def test_unusable_joints_leave_nobody(tmp_path, caplog):
    class Damaged(Reader):
        def pixel_joints(self, entry, width, height):
            raise UserError("a.skeleton: breaks off")

    people = source(Damaged(tmp_path, None, Options()))([picture(0, 5), picture(1, 5)])
    assert [p.shape for p in people] == [(0, 5), (0, 5)]
    assert "a.skeleton: breaks off" in caplog.text
    assert len(caplog.records) == 1


def test_whole_frame(tmp_path):
    people = source(Reader(tmp_path, None, Options()), boxes="whole_frame")([picture(0, 5)])
    np.testing.assert_array_equal(people[0], [[0, 0, 64, 48, 1]])
