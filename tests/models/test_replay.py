"""Functions as CUDA graphs; a stand-in for the graph runs the function on the tensors that it was captured with."""

import pytest
import torch
from torch import nn

from mmcl.models import replay
from mmcl.models.replay import Captured, Replayed


class StandIn:
    def __init__(self, function, inputs, output):
        self.function, self.inputs, self.output = function, inputs, output

    def replay(self):
        self.output.copy_(self.function(*self.inputs))


@pytest.fixture
def captures(monkeypatch):
    """Shapes that are captured."""
    found = []

    def capture(self, inputs):
        found.append(inputs[0].shape[0])
        with torch.inference_mode(False), torch.no_grad():
            static = [one.clone() for one in inputs]
            output = self.function(*static)
        return Captured(StandIn(self.function, static, output), static, output)

    monkeypatch.setattr(replay, "possible", lambda device: True)
    monkeypatch.setattr(Replayed, "_capture", capture)
    return found


def test_shapes_are_captured_when_they_come_again(captures):
    function = nn.Linear(3, 2)
    run = Replayed(function)
    with torch.no_grad():
        kept = []
        for count in (4, 5, 4, 4, 5, 4):
            x = torch.randn(count, 3)
            found = run(x)
            torch.testing.assert_close(found, function(x))
            kept.append((found, found.clone()))
    assert captures == [4, 5]
    assert all(torch.equal(found, at_once) for found, at_once in kept)  # no later replay writes into a result
    run.forget()
    run(x)
    assert captures == [4, 5]
    run(x)
    assert captures == [4, 5, 4]


def test_graphs_made_in_inference_mode_serve_outside_of_it(captures):
    run = Replayed(torch.exp)
    x = torch.randn(3)
    with torch.inference_mode():
        run(x.clone())
        run(x.clone())
    torch.testing.assert_close(run(x + 1), (x + 1).exp())
    assert captures == [3]


def test_there_are_so_many_graphs_and_no_more(captures, monkeypatch):
    monkeypatch.setattr(replay, "GRAPHS", 2)
    run = Replayed(torch.exp)
    for _ in range(3):
        for count in (1, 2, 3):
            x = torch.randn(count)
            torch.testing.assert_close(run(x), x.exp())
    assert captures == [1, 2]


def test_after_a_capture_that_failed_it_runs_as_it_is(captures, monkeypatch, caplog):
    def failing(self, inputs):
        captures.append(len(inputs[0]))
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(Replayed, "_capture", failing)
    run = Replayed(torch.exp)
    for count in (1, 1, 1, 2, 2):
        x = torch.randn(count)
        torch.testing.assert_close(run(x), x.exp())
    assert captures == [1]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "operation not permitted when stream is capturing"
    ]


def test_a_cpu_is_left_alone():
    run = Replayed(torch.exp)
    for _ in range(3):
        run(torch.ones(2))
    assert not run._graphs
