"""Parameters and multiplications."""

import pytest
import torch

from mmcl.models import build_backbone
from mmcl.models.describe import describe


def test_ctrgcn_counted_by_hand():
    found = describe(build_backbone("ctrgcn", 120), (3, 64, 25))
    assert found.whole.parameters == 1_462_092
    assert found.feature_dim == 256
    assert found.shape == (1, 3, 64, 25, 2)
    assert [part.parameters for part in found.parts if part.name.startswith("blocks.")] == [
        *[12_052, 26_308, 26_308, 26_308, 78_084, 97_844, 97_844, 301_748, 382_228, 382_228]
    ]

    def block(source, target, frames, stride, reduced, skip):
        people, joints = 2, 25
        points, kept = people * joints * frames, people * joints * frames // stride
        graph = 6 * reduced * source * people * joints  # q, p of the time means
        graph += (
            3 * target * (reduced + 2) * people * joints**2
        )  # refined; the bias and A are two channels more
        graph += 3 * target * source * points + 3 * target * joints * points  # values, aggregated
        graph += target * source * points if source != target else 0
        time = 3 * target * target // 4 * points + target * target // 4 * kept  # 1×1 of the branches
        time += 2 * 5 * (target // 4) ** 2 * kept
        return graph + time + (target * source * kept if skip and (source != target or stride > 1) else 0)

    expected = [block(3, 64, 64, 1, 8, False), *[block(64, 64, 64, 1, 8, True)] * 3]
    expected += [block(64, 128, 64, 2, 8, True), *[block(128, 128, 32, 1, 16, True)] * 2]
    expected += [block(128, 256, 32, 2, 16, True), *[block(256, 256, 16, 1, 32, True)] * 2]
    assert [part.macs for part in found.parts if part.name.startswith("blocks.")] == expected
    assert found.whole.macs == sum(expected) + 256 * 120 == 1_779_711_520


@pytest.mark.parametrize(
    ("name", "graph", "published"),
    # as counted in the released models, in 10⁹; ours takes some means before the products
    [
        ("ctrgcn", "natural", 1.95),
        ("ctrs", "natural", 2.53),
        ("hdgcn", "hd1", 1.87),
        ("infogcn", "natural", 1.81),
    ],
)
def test_near_what_is_published(name, graph, published):
    found = describe(build_backbone(name, 120, graph=graph), (3, 64, 25))
    assert 0.9 * published < found.whole.macs / 1e9 < 1.005 * published
    assert sum(part.parameters for part in found.parts) == found.whole.parameters
    assert (
        0 <= found.whole.macs - sum(part.macs for part in found.parts) < 1e6
    )  # some lies outside the modules


def test_linear_in_time_and_leaves_the_network_as_it_was():
    net = build_backbone("stgcn16", 5, "utd20", 1).train()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    one, two, three = (describe(net, (3, frames, 20)).whole.macs for frames in (32, 64, 96))
    assert three - two == two - one > 0.99 * one
    assert net.training
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
