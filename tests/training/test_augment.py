"""Changes of montages, pixel by pixel."""

import pytest
import torch
from seeds import shifted

from mmcl.settings.training import AugmentSettings
from mmcl.training.augment import MontageDraw, augment, draw_montages

SETTINGS = AugmentSettings(mirror=True, shift=0.05, contrast=0.2, brightness=0.1, erase=0.5)
OFF = AugmentSettings(mirror=False, shift=0.0, contrast=0.0, brightness=0.0, erase=0.0)


def numbered(size: int = 20) -> torch.Tensor:
    """One picture whose red tells the column, whose green tells the row."""
    line = torch.arange(size, dtype=torch.uint8)
    return torch.stack(
        [line.expand(size, size), line[:, None].expand(size, size), 0 * line.expand(size, size)], 2
    )[None]


def change(**entries) -> MontageDraw:
    still = {
        "mirror": [False],
        "shift": [[0.0, 0.0]],
        "contrast": [1.0],
        "brightness": [0.0],
        "erase": [[0.0] * 4],
    }
    return MontageDraw(**{key: torch.tensor(value) for key, value in {**still, **entries}.items()})


def test_no_change_is_no_change():
    assert torch.equal(augment(numbered(), change(), 5), numbered())


def test_every_strip_is_mirrored_within_itself():
    seen = augment(numbered(), change(mirror=[True]), 5)[0]
    assert seen[0, :, 0].tolist() == [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]
    assert torch.equal(seen[:, :, 1], numbered()[0, :, :, 1])


def test_strips_of_a_side_that_five_does_not_divide():
    seen = augment(numbered(12), change(mirror=[True]), 5)[0]
    assert seen[0, :, 0].tolist() == [1, 0, 3, 2, 6, 5, 4, 8, 7, 11, 10, 9]


def test_a_shift_repeats_the_border_of_each_strip():
    seen = augment(numbered(), change(shift=[[0.1, 0.05]]), 5)[0]
    assert seen[:5, 0, 1].tolist() == [0, 0, 0, 1, 2]
    assert seen[0, :8, 0].tolist() == [0, 0, 1, 2, 4, 4, 5, 6]
    seen = augment(numbered(), change(shift=[[-0.1, -0.05]], mirror=[True]), 5)[0]
    assert seen[-4:, 0, 1].tolist() == [18, 19, 19, 19]
    # moved on the screen, whatever is mirrored: what comes in at the right is what lies left in the picture
    assert seen[0, :8, 0].tolist() == [2, 1, 0, 0, 6, 5, 4, 4]


@pytest.mark.parametrize(
    ("strips", "mirrored", "shifted_right"),
    [
        (1, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (2, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6], [0, 0, 0, 1, 2, 3, 6, 6, 6, 7, 8, 9]),
        # a strip of two columns moves by one of them and not by two, which would leave its border alone
        (6, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10], [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10]),
    ],
)
def test_other_numbers_of_strips(strips, mirrored, shifted_right):
    assert augment(numbered(12), change(mirror=[True]), strips)[0, 0, :, 0].tolist() == mirrored
    assert augment(numbered(12), change(shift=[[0.0, 2 / 12]]), strips)[0, 0, :, 0].tolist() == shifted_right


def test_contrast_and_brightness():
    image = torch.full((1, 20, 20, 3), 100, dtype=torch.uint8)
    assert augment(image, change(contrast=[1.2], brightness=[-0.2]), 5)[0, 3, 3].tolist() == [69] * 3
    assert augment(image, change(contrast=[3.0]), 5)[0, 3, 3].tolist() == [255] * 3
    assert augment(image, change(brightness=[-1.0]), 5)[0, 3, 3].tolist() == [0] * 3


def test_an_erased_rectangle_has_the_mean_colour():
    seen = augment(numbered() * 0, change(erase=[[0.1, 0.2, 0.3, 0.4]]), 5)[0]
    assert seen[2, 4].tolist() == [124, 116, 104]
    where = seen[:, :, 0].nonzero()
    assert (where.min(0).values.tolist(), where.max(0).values.tolist()) == ([2, 4], [7, 11])
    assert len(where) == 6 * 8


def test_what_is_drawn():
    count = 4000
    seen = draw_montages(count, SETTINGS, torch.Generator().manual_seed(shifted(0)))
    assert seen.mirror.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert seen.shift.abs().max().item() == pytest.approx(0.05, abs=0.001)
    assert seen.contrast.min().item() == pytest.approx(0.8, abs=0.005)
    assert seen.contrast.max().item() == pytest.approx(1.2, abs=0.005)
    assert seen.brightness.abs().max().item() == pytest.approx(0.1, abs=0.002)
    erased = seen.erase[seen.erase[:, 2] > 0]
    assert len(erased) / count == pytest.approx(0.5, abs=0.03)
    assert erased[:, 2:].min() >= 0.1
    assert erased[:, 2:].max() <= 0.4
    assert (erased[:, :2] + erased[:, 2:]).max() <= 1
    off = draw_montages(count, OFF, torch.Generator().manual_seed(shifted(0)))
    assert not off.mirror.any()
    assert torch.equal(off.contrast, torch.ones(count))
    assert not off.erase[:, 2:].any()


def test_pictures_of_a_batch_change_each_by_themselves():
    images = numbered().repeat(3, 1, 1, 1)
    changes = draw_montages(3, SETTINGS, torch.Generator().manual_seed(shifted(3)))
    together = augment(images, changes, 5)
    for i in range(3):
        alone = augment(images[i : i + 1], MontageDraw(*(part[i : i + 1] for part in changes)), 5)
        assert torch.equal(together[i : i + 1], alone)
