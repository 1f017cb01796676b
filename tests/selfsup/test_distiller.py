"""Distillation: teachers stand still, students learn."""

import naive
import pytest
import torch
from small import CLIPS, DIM, distiller, pretrainer, views

from mmcl.errors import UserError
from mmcl.selfsup import EARLY, MANDATORY, MODALITIES, STUDENTS

FIRST, SECOND = views(MODALITIES, 1), views(MANDATORY, 2)


def outputs(net):
    """t and z of the two views."""
    t = torch.stack([encoder(FIRST[name])[0] for name, encoder in net.teachers.items()])
    z = [
        net.students[name](torch.cat([SECOND[modality] for modality in fused], 1))[0]
        for name, fused in net.inputs.items()
    ]
    return t, torch.stack(z)


@pytest.mark.parametrize(
    ("modalities", "students", "more"),
    [
        (MODALITIES, STUDENTS, {}),
        (MODALITIES, EARLY, {"topk": 2}),
        (MANDATORY, EARLY, {}),
        (MODALITIES, STUDENTS, {"wrong_memory": True}),
    ],
)
def test_the_loss_as_written(modalities, students, more):
    net = distiller(modalities, students, **more).eval()
    t, z = outputs(net)
    assert z.shape == (len(students), CLIPS, DIM * len(modalities))
    wrong = torch.tensor([0, 1, 2, 3, 4, 2]) if more.get("wrong_memory") else None
    expected = naive.relational(z, t, net.memory.keys, 0.07, more.get("topk", 1), wrong)
    step = net(FIRST, SECOND)
    torch.testing.assert_close(step.parts["relational"], expected)
    torch.testing.assert_close(step.total, expected.sum())
    torch.testing.assert_close(step.keys, t)
    if wrong is not None:
        assert (expected - naive.relational(z, t, net.memory.keys, 0.07)).abs().max() > 1e-4


@pytest.mark.parametrize("teachers_train", [False, True])
def test_teachers_do_not_learn(teachers_train):
    net = distiller(MODALITIES, teachers_train=teachers_train)
    assert [net.teachers.training, net.students.training] == [teachers_train, True]
    before = {name: value.clone() for name, value in net.teachers.state_dict().items()}
    step = net(FIRST, SECOND)
    step.total.backward()
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


def test_impossible_distillations_are_refused():
    with pytest.raises(UserError, match="wrong_memory: among the teachers is no angular_velocity"):
        distiller(MANDATORY, wrong_memory=True)
    with pytest.raises(UserError, match="every student a modality"):
        distiller(MANDATORY, {"joint": ()})
