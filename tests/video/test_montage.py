import itertools

import numpy as np
import pytest
from rectangles import draw

from mmcl import store
from mmcl.settings.jobs import Montages
from mmcl.settings.video import MontageSettings
from mmcl.video import jpeg
from mmcl.video.montage import concatenate_frames, join

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
SETTINGS = Montages(montage=MontageSettings(), jpeg_quality=95, batch=2)


def crops(sizes=((30, 80), (125, 460), (96, 480), (7, 5), (300, 100))):
    return [np.full((h, w, 3), colour, np.uint8) for (w, h), colour in zip(sizes, COLOURS, strict=True)]


def test_five_strips_left_to_right():
    picture = join(crops(), MontageSettings())
    assert picture.shape == (480, 480, 3)
    for i, colour in enumerate(COLOURS):
        strip = picture[:, 96 * i : 96 * (i + 1)]
        assert (strip == colour).all()


def test_other_sizes_leave_no_gap():
    picture = join(crops(), MontageSettings(size=224))
    for left, right, colour in zip([0, 44, 89, 134, 179], [44, 89, 134, 179, 224], COLOURS, strict=True):
        assert (picture[:, left:right] == colour).all()


def test_strips_are_stretched_bicubic():
    ramp = np.repeat(np.linspace(0, 255, 48, dtype=np.uint8)[None, :, None], 3, 2).repeat(10, 0)
    strip = join([ramp] * 5, MontageSettings())[200, :96, 0].astype(int)
    np.testing.assert_allclose(strip, np.clip((np.arange(96) + 0.5) / 2 - 0.5, 0, 47) * 255 / 47, atol=2.5)


def test_keeping_the_aspect_leaves_black():
    picture = join(crops(), MontageSettings(keep_aspect=True))
    first, third, fourth = picture[:, :96], picture[:, 192:288], picture[:, 288:384]
    # 30×80 grows by 3.2 to 96×256, centred
    assert (first[112:368] == COLOURS[0]).all()
    assert not first[:112].any()
    assert not first[368:].any()
    assert (third == COLOURS[2]).all()
    # 7×5 grows to 96×69
    assert fourth.any((1, 2)).sum() == 69


@pytest.mark.parametrize(
    ("count", "borders"),
    [
        (1, [0, 480]),
        (2, [0, 240, 480]),
        (7, [0, 68, 137, 205, 274, 342, 411, 480]),
        (16, list(range(0, 481, 30))),
    ],
)
@pytest.mark.parametrize("keep_aspect", [False, True])
def test_strips_follow_the_number_of_crops(count, borders, keep_aspect):
    """Crop i from ⌊i S/m⌋ to ⌊(i + 1) S/m⌋."""
    greys = [np.full((480, 10, 3), 10 + 10 * i, np.uint8) for i in range(count)]
    picture = join(greys, MontageSettings(keep_aspect=keep_aspect))
    for i, (left, right) in enumerate(itertools.pairwise(borders)):
        strip = picture[:, left:right]
        if not keep_aspect:
            assert (strip == 10 + 10 * i).all()
            continue
        # the crop is as high as the strip and keeps its ten columns, in the middle
        start = (right - left - 10) // 2
        assert (strip[:, start : start + 10] == 10 + 10 * i).all()
        assert not strip[:, :start].any()
        assert not strip[:, start + 10 :].any()


def test_a_single_wide_crop_keeps_its_aspect():
    picture = join([np.full((100, 200, 3), 255, np.uint8)], MontageSettings(keep_aspect=True))
    assert (picture[120:360] == 255).all()
    assert not picture[:120].any()
    assert not picture[360:].any()


def write_crops(path, clips: dict[str, list[np.ndarray]], failed: dict[str, str]):
    def work(names):
        good = [name for name in names if name in clips]
        images = [[jpeg.encode(image, 95) for image in clips[name]] for name in good]
        bad = {name: failed[name] for name in names if name in failed}
        numbers = {
            "boxes": np.zeros((len(good), 5, 4)),
            "scores": np.ones((len(good), 5)),
            "frame": np.zeros((len(good), 5)),
        }
        return store.Batch(good, {"images": images, **numbers}, bad)

    columns = store.columns("mmcl.crops/1", boxes=(5, 4), scores=(5,), frame=(5,), images=(5,))
    names = sorted([*clips, *failed])
    store.write(
        path, schema="mmcl.crops/1", settings={}, names=names, columns=columns, batch_size=3, work=work
    )
    return path


def test_a_shard_of_montages(tmp_path):
    black = [draw(size=(20, 40))] * 5
    path = write_crops(tmp_path / "crops.h5", {"a": crops(), "c": black, "d": crops()}, {"b": "no person"})
    concatenate_frames(path, tmp_path / "montages.h5", SETTINGS)
    table = store.Shards([tmp_path / "montages.h5"], "mmcl.montages/1")
    assert table.names == ["a", "c", "d"]
    assert table.failed == {"b": "no person"}
    assert table.settings["montage"] == {"size": 480, "keep_aspect": False}
    picture = jpeg.decode(table.row("images", "a")).astype(int)
    for i, colour in enumerate(COLOURS):
        assert np.abs(picture[10:-10, 96 * i + 10 : 96 * i + 86] - colour).max() <= 3
    assert jpeg.decode(table.row("images", "c")).max() == 0


@pytest.mark.parametrize("names", [[], ["a"]])
def test_a_shard_may_be_empty(tmp_path, names):
    path = write_crops(tmp_path / "crops.h5", {}, dict.fromkeys(names, "no video"))
    concatenate_frames(path, tmp_path / "montages.h5", SETTINGS)
    table = store.Shards([tmp_path / "montages.h5"], "mmcl.montages/1")
    assert table.names == []
    assert list(table.failed) == names
