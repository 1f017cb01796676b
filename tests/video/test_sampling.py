import pytest

from mmcl.video.sampling import nearest_found, search_order, segment_centres, uniform_indices


@pytest.mark.parametrize(
    ("F", "expected"),
    [
        (0, []),
        (1, [0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 1, 1]),
        (3, [0, 0, 1, 1, 2]),
        (4, [0, 0, 1, 2, 3]),
        (5, [0, 1, 2, 3, 4]),
        (6, [0, 1, 2, 3, 4]),
        (7, [0, 1, 2, 3, 4]),
        (8, [0, 1, 2, 3, 4]),
        (9, [0, 1, 2, 3, 4]),
        (10, [0, 2, 4, 6, 8]),
        (11, [0, 2, 4, 6, 8]),
        (12, [0, 2, 4, 6, 8]),
        (50, [0, 10, 20, 30, 40]),
        (103, [0, 20, 40, 60, 80]),
    ],
)
def test_uniform_indices(F, expected):
    assert uniform_indices(F, 5) == expected


def test_segment_centres():
    assert segment_centres(50, 5) == [5, 15, 25, 35, 45]
    assert segment_centres(5, 5) == [0, 1, 2, 3, 4]
    assert segment_centres(7, 5) == [0, 2, 3, 4, 6]
    assert segment_centres(2, 5) == [0, 0, 1, 1, 1]
    assert segment_centres(1, 5) == [0, 0, 0, 0, 0]
    assert segment_centres(0, 5) == []


@pytest.mark.parametrize(
    ("F", "count", "uniform", "centres"),
    [
        (50, 1, [0], [25]),
        (1, 1, [0], [0]),
        (50, 2, [0, 25], [12, 37]),
        (1, 2, [0, 0], [0, 0]),
        (50, 7, [0, 7, 14, 21, 28, 35, 42], [3, 10, 17, 25, 32, 39, 46]),
        (3, 7, [0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 2]),
        (
            50,
            16,
            [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45],
            [1, 4, 7, 10, 14, 17, 20, 23, 26, 29, 32, 35, 39, 42, 45, 48],
        ),
        (
            7,
            16,
            [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6],
            [0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6],
        ),
    ],
)
def test_other_numbers_of_frames(F, count, uniform, centres):
    """Worked out by hand: k = ⌊F/m⌋ apart from the first on, or ⌊(i + ½) F/m⌋; frames repeat where F < m."""
    assert uniform_indices(F, count) == uniform
    assert segment_centres(F, count) == centres


def test_search_order_is_nearest_and_earlier_first_within_half_a_step():
    assert search_order(20, 50, 5) == [19, 21, 18, 22, 17, 23, 16, 24, 15, 25]
    assert search_order(0, 50, 5) == [1, 2, 3, 4, 5]
    assert search_order(4, 10, 5) == [3, 5]
    assert search_order(10, 27, 5) == [9, 11, 8, 12]  # k = 5: half of it is 2.5
    assert search_order(2, 9, 5) == []
    assert search_order(1, 3, 5) == []
    assert search_order(0, 9, 1) == [1, 2, 3, 4]  # a single frame is searched for in half of the clip
    assert search_order(4, 9, 1) == [3, 5, 2, 6, 1, 7, 0, 8]
    assert search_order(6, 50, 16) == [5, 7]


def test_nearest_found():
    indices = [0, 10, 20, 30, 40]
    assert nearest_found(2, indices, [True, False, False, True, True]) == 3
    assert nearest_found(2, indices, [True, True, False, True, True]) == 1  # as near: the earlier
    assert nearest_found(0, indices, [False, False, False, False, True]) == 4
    assert nearest_found(0, indices, [False] * 5) is None
