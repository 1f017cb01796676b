"""Pre-training: stages, key encoders, memory."""

import naive
import pytest
import torch
from pydantic import ValidationError
from small import CLIPS, DIM, pretrainer, views

from mmcl.errors import UserError
from mmcl.selfsup import CONTRAST, EXCHANGE, MANDATORY, MODALITIES
from mmcl.settings.tables import BACKBONES

FIRST, SECOND = views(MODALITIES, 1), views(MODALITIES, 2)


def outputs(net):
    """q, k and z of the two views."""
    found = {name: encoder(FIRST[name]) for name, encoder in net.queries.items()}
    k = torch.stack([encoder(SECOND[name])[0] for name, encoder in net.keys.items()])
    z = [head(found[name][1]) for name, head in net.joint_heads.items()]
    return torch.stack([q for q, _ in found.values()]), k, torch.stack(z)


def named(parts, modalities):
    """Term → (U), as the history has them."""
    return {
        f"{term}_{name}": loss
        for term, losses in parts.items()
        for name, loss in zip(modalities, losses, strict=True)
    }


@pytest.mark.parametrize("modalities", [MANDATORY, MODALITIES])
@pytest.mark.parametrize("weights", [(1, 1), (0.5, 2)])
def test_both_stages_give_the_losses_as_written(modalities, weights):
    mining, joint = weights
    net = pretrainer(modalities, mining_weight=mining, joint_weight=joint).eval()
    q, k, z = outputs(net)
    memory = net.memory.keys
    assert z.shape == (len(modalities), CLIPS, DIM * len(modalities))
    torch.testing.assert_close(z.norm(dim=2), torch.ones(z.shape[:2]))
    losses = net(FIRST, SECOND)
    parts = {"contrast": naive.info_nce(q, k, memory, 0.07)}
    torch.testing.assert_close(losses.terms, named(parts, modalities))
    torch.testing.assert_close(losses.total, parts["contrast"].sum())
    torch.testing.assert_close(losses.carry, k)
    net.enter(EXCHANGE)
    losses = net(FIRST, SECOND)
    parts = {
        "mining": naive.knowledge_mining(q, k, memory, 0.07),
        "joint": naive.joint_embedding(z, k, memory, 0.07),
    }
    torch.testing.assert_close(losses.terms, named(parts, modalities))
    torch.testing.assert_close(losses.total, mining * parts["mining"].sum() + joint * parts["joint"].sum())


def test_a_forward_pass_leaves_memory_and_key_encoders_alone():
    net = pretrainer(MANDATORY).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(FIRST, SECOND).total.backward()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_key_encoders_follow_and_the_locked_ones_are_frozen():
    net = pretrainer(MODALITIES, key_momentum=0.75)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for stage, locked in ((CONTRAST, ()), (EXCHANGE, ("joint", "bone", "rotation_axis"))):
        net.enter(stage)
        keys = {name: value.clone() for name, value in net.keys.named_parameters()}
        losses = net(FIRST, SECOND)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        net.advance(losses.carry)
        queries = dict(net.queries.named_parameters())
        for name, value in net.keys.named_parameters():
            frozen = name.partition(".")[0] in locked
            expected = keys[name] if frozen else 0.75 * keys[name] + 0.25 * queries[name]
            torch.testing.assert_close(value, expected, rtol=0, atol=0 if frozen else 1e-6)
            assert frozen or not torch.equal(value, keys[name])
            assert value.grad is None
    # locked modalities are remembered like the others
    assert net.memory.pointer.tolist() == [2 * CLIPS]
    torch.testing.assert_close(net.memory.keys[:, :, CLIPS : 2 * CLIPS], losses.carry.transpose(1, 2))


def test_key_encoders_begin_as_copies_unless_configured_otherwise():
    for apart in (False, True):
        net = pretrainer(("joint",), keys_start_apart=apart)
        query, key = (dict(part["joint"].named_parameters()) for part in (net.queries, net.keys))
        same = [torch.equal(query[name], key[name]) for name in query if name.endswith("weight")]
        assert not any(same) if apart else all(same)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_s_weights_learn_in_their_stage(backbone):
    width = 0.25 if backbone == "stgcn16" else 0.125
    net = pretrainer(MANDATORY, encoder={"backbone": backbone, "width": width})
    for stage in (CONTRAST, EXCHANGE):
        net.enter(stage)
        net.zero_grad()
        net(FIRST, SECOND).total.backward()
        idle = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == []  # other processes would wait for their gradients
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
            losses = net(FIRST, SECOND)
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
            found.append(losses.total.item())
        assert found[-1] < 0.9 * found[0]


def test_a_training_goes_on_from_its_state():
    net, other = pretrainer(MANDATORY).eval(), pretrainer(MANDATORY, seed=1).eval()
    net.advance(net(FIRST, SECOND).carry)
    other.load_state_dict(net.state_dict())
    other.enter(EXCHANGE)
    net.enter(EXCHANGE)
    assert other(FIRST, SECOND).total == net(FIRST, SECOND).total
    assert other.memory.pointer.tolist() == [CLIPS]


def test_losses_are_exact_whatever_the_networks_compute_in():
    net = pretrainer(MANDATORY).eval()
    net.enter(EXCHANGE)
    with torch.autocast("cpu", torch.bfloat16):
        losses = net(FIRST, SECOND)
    assert losses.total.dtype == losses.carry.dtype == torch.float32
    torch.testing.assert_close(losses.total, net(FIRST, SECOND).total, rtol=0.1, atol=0)
    losses.total.backward()


def test_impossible_trainings_are_refused():
    net = pretrainer(("joint",))
    assert len(net.joint_heads) == 0
    with pytest.raises(UserError, match="joint alone has no other modality"):
        net.enter(EXCHANGE)
    with pytest.raises(ValidationError, match="has non-unique elements"):
        pretrainer(("joint", "joint"))
    with pytest.raises(ValidationError, match=r"modalities\n.*at least 1 item"):
        pretrainer(())
    with pytest.raises(ValidationError, match=r"depth\n.*Extra inputs are not permitted"):
        pretrainer(("joint",), encoder={"depth": 3})
