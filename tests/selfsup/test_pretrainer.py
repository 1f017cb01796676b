"""Pre-training: stages, key encoders, memory."""

import naive
import pytest
import torch
from small import CLIPS, DIM, SETTINGS, pretrainer, views

from mmcl.errors import UserError
from mmcl.models import BACKBONES
from mmcl.selfsup import CONTRAST, EXCHANGE, MANDATORY, MODALITIES

FIRST, SECOND = views(MODALITIES, 1), views(MODALITIES, 2)


def outputs(net):
    """q, k and z of the two views."""
    found = {name: encoder(FIRST[name]) for name, encoder in net.queries.items()}
    k = torch.stack([encoder(SECOND[name])[0] for name, encoder in net.keys.items()])
    z = [head(found[name][1]) for name, head in net.joint_heads.items()]
    return torch.stack([q for q, _ in found.values()]), k, torch.stack(z)


@pytest.mark.parametrize("modalities", [MANDATORY, MODALITIES])
@pytest.mark.parametrize("weights", [(1, 1), (0.5, 2)])
def test_both_stages_give_the_losses_as_written(modalities, weights):
    mining, joint = weights
    net = pretrainer(modalities, mining_weight=mining, joint_weight=joint).eval()
    q, k, z = outputs(net)
    memory = net.memory.keys
    assert z.shape == (len(modalities), CLIPS, DIM * len(modalities))
    torch.testing.assert_close(z.norm(dim=2), torch.ones(z.shape[:2]))
    step = net(FIRST, SECOND)
    torch.testing.assert_close(step.total, naive.info_nce(q, k, memory, 0.07).sum())
    torch.testing.assert_close(step.keys, k)
    net.enter(EXCHANGE)
    step = net(FIRST, SECOND)
    parts = {
        "mining": naive.knowledge_mining(q, k, memory, 0.07),
        "joint": naive.joint_embedding(z, k, memory, 0.07),
    }
    torch.testing.assert_close(step.parts, parts)
    torch.testing.assert_close(step.total, mining * parts["mining"].sum() + joint * parts["joint"].sum())


def test_a_forward_pass_leaves_memory_and_key_encoders_alone():
    net = pretrainer(MANDATORY).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(FIRST, SECOND).total.backward()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_key_encoders_follow_and_the_locked_ones_stand_still():
    net = pretrainer(MODALITIES, momentum=0.75)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for stage, locked in ((CONTRAST, ()), (EXCHANGE, ("joint", "bone", "rotation_axis"))):
        net.enter(stage)
        keys = {name: value.clone() for name, value in net.keys.named_parameters()}
        step = net(FIRST, SECOND)
        optimizer.zero_grad()
        step.total.backward()
        optimizer.step()
        net.advance(step.keys)
        queries = dict(net.queries.named_parameters())
        for name, value in net.keys.named_parameters():
            still = name.partition(".")[0] in locked
            expected = keys[name] if still else 0.75 * keys[name] + 0.25 * queries[name]
            torch.testing.assert_close(value, expected, rtol=0, atol=0 if still else 1e-6)
            assert still or not torch.equal(value, keys[name])
            assert value.grad is None
    # locked modalities are remembered like the others
    assert net.memory.pointer.tolist() == [2 * CLIPS]
    torch.testing.assert_close(net.memory.keys[:, :, CLIPS : 2 * CLIPS], step.keys.transpose(1, 2))


def test_key_encoders_begin_as_copies_unless_told_otherwise():
    for apart in (False, True):
        net = pretrainer(("joint",), keys_start_apart=apart)
        query, key = (dict(part["joint"].named_parameters()) for part in (net.queries, net.keys))
        same = [torch.equal(query[name], key[name]) for name in query if name.endswith("weight")]
        assert not any(same) if apart else all(same)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_s_weights_learn_in_their_stage(backbone):
    settings = SETTINGS | {"backbone": backbone, "width": 0.125}
    if backbone == "stgcn16":
        settings["width"] = 0.25
    net = pretrainer(MANDATORY, settings=settings)
    for stage in (CONTRAST, EXCHANGE):
        net.enter(stage)
        net.zero_grad()
        net(FIRST, SECOND).total.backward()
        idle = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == []  # else other processes would wait for them
        heads = [p.grad for p in net.joint_heads.parameters()]
        assert all((gradient is not None) == (stage == EXCHANGE) for gradient in heads)


def test_descent_lowers_the_losses_of_both_stages():
    net = pretrainer(MANDATORY, keys_start_apart=True)
    for layer in net.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    for stage in (CONTRAST, EXCHANGE):
        net.enter(stage)
        found = []
        for _ in range(6):
            step = net(FIRST, SECOND)
            optimizer.zero_grad()
            step.total.backward()
            optimizer.step()
            found.append(step.total.item())
        assert found[-1] < 0.9 * found[0]


def test_a_training_goes_on_from_its_state():
    net, other = pretrainer(MANDATORY).eval(), pretrainer(MANDATORY, seed=1).eval()
    net.advance(net(FIRST, SECOND).keys)
    other.load_state_dict(net.state_dict())
    other.enter(EXCHANGE)
    net.enter(EXCHANGE)
    assert other(FIRST, SECOND).total == net(FIRST, SECOND).total
    assert other.memory.pointer.tolist() == [CLIPS]


def test_losses_are_exact_whatever_the_networks_compute_in():
    net = pretrainer(MANDATORY).eval()
    net.enter(EXCHANGE)
    with torch.autocast("cpu", torch.bfloat16):
        step = net(FIRST, SECOND)
    assert step.total.dtype == step.keys.dtype == torch.float32
    torch.testing.assert_close(step.total, net(FIRST, SECOND).total, rtol=0.1, atol=0)
    step.total.backward()


def test_impossible_trainings_are_refused():
    net = pretrainer(("joint",))
    assert len(net.joint_heads) == 0
    with pytest.raises(UserError, match="joint alone has no other modality"):
        net.enter(EXCHANGE)
    with pytest.raises(UserError, match="at least one is needed, and none twice"):
        pretrainer(("joint", "joint"))
    with pytest.raises(UserError, match="no setting 'depth' of an encoder; there are: backbone, layout"):
        pretrainer(("joint",), settings={"depth": 3})
