"""Distillation: teachers are frozen, students learn."""

import naive
import pytest
import torch
from pydantic import ValidationError
from small import CLIPS, DIM, distiller, pretrainer, views

from mmcl.selfsup import MANDATORY, MODALITIES

FIRST, SECOND = views(MODALITIES, 1), views(MANDATORY, 2)


def outputs(net):
    """t and z of the two views."""
    t = torch.stack([encoder(FIRST[name])[0] for name, encoder in net.teachers.items()])
    z = [
        net.students[name](torch.cat([SECOND[modality] for modality in fused], 1))[0]
        for name, fused in net.description.inputs.items()
    ]
    return t, torch.stack(z)


@pytest.mark.parametrize(
    ("modalities", "more"),
    [
        (MODALITIES, {}),
        (MODALITIES, {"early": True, "topk": 2}),
        (MANDATORY, {"early": True}),
        (MODALITIES, {"wrong_memory": True}),
    ],
)
def test_the_loss_as_written(modalities, more):
    net = distiller(modalities, **more).eval()
    t, z = outputs(net)
    names = ["early"] if more.get("early") else list(MANDATORY)
    assert z.shape == (len(names), CLIPS, DIM * len(modalities))
    wrong = torch.tensor([0, 1, 2, 3, 4, 2]) if more.get("wrong_memory") else None
    expected = naive.relational(z, t, net.memory.keys, 0.07, more.get("topk", 1), wrong)
    losses = net(FIRST, SECOND)
    assert list(losses.terms) == [f"relational_{name}" for name in names]
    torch.testing.assert_close(torch.stack([*losses.terms.values()]), expected)
    torch.testing.assert_close(losses.total, expected.sum())
    torch.testing.assert_close(losses.carry, t)
    if wrong is not None:
        assert (expected - naive.relational(z, t, net.memory.keys, 0.07)).abs().max() > 1e-4


@pytest.mark.parametrize("teachers_train", [False, True])
def test_teachers_do_not_learn(teachers_train):
    net = distiller(MODALITIES, teachers_train=teachers_train)
    assert [net.teachers.training, net.students.training] == [teachers_train, True]
    before = {name: value.clone() for name, value in net.teachers.state_dict().items()}
    net(FIRST, SECOND).total.backward()
    assert all(p.grad is None for p in net.teachers.parameters())
    assert all(p.grad is not None and p.grad.any() for p in net.students.parameters())
    changed = [
        name for name, value in net.teachers.state_dict().items() if not torch.equal(value, before[name])
    ]
    assert all("running" in name or "num_batches" in name for name in changed)
    assert bool(changed) is teachers_train


def test_teachers_come_from_pre_training_and_fill_the_memory():
    source = pretrainer(MODALITIES, seed=3).eval()
    net = distiller(MODALITIES).eval()
    net.teachers.load_state_dict(source.queries.state_dict())
    net.advance(net.teach(FIRST))
    q = torch.stack([encoder(FIRST[name])[0] for name, encoder in source.queries.items()])
    torch.testing.assert_close(net.memory.keys[:, :, :CLIPS], q.transpose(1, 2))
    assert net.memory.pointer.tolist() == [CLIPS]


def test_wrong_memory_needs_the_modalities_that_it_swaps():
    assert distiller(MANDATORY, wrong_memory=True).compared_with is None
    assert distiller(MODALITIES).compared_with is None


def test_impossible_distillations_are_refused():
    with pytest.raises(ValidationError, match=r"modalities\n.*at least 1 item"):
        distiller(MANDATORY, students=())
