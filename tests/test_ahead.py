import threading

import pytest
import torch

from mmcl.ahead import ahead, depth


def test_results_are_in_order():
    batches = [[3, 1, 2], [], [5], [4, 6]]
    for threads, further in ((1, 0), (3, 0), (2, 2), (4, 9)):
        assert list(ahead(batches, lambda x: 10 * x, threads, further)) == [
            [10 * x for x in batch] for batch in batches
        ]


def test_further_batches_are_made_before_they_are_asked_for():
    made = {number: threading.Event() for number in range(4)}
    results = ahead([[number] for number in made], lambda number: made[number].set() or number, 1, 2)
    assert next(results) == [0]
    for number in (1, 2):
        assert made[number].wait(10)
    results.close()
    assert not made[3].is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_what_is_raised_is_raised_with_its_batch():
    results = ahead([[1], [0], [2]], lambda x: 1 / x, 2, 2)
    assert next(results) == [1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_on_few_cores_nothing_is_made_ahead():
    assert [depth(torch.device("cpu"), threads) for threads in (1, 2, 3)] == [0, 0, 2]
    assert depth(torch.device("cuda"), 1) == 2
