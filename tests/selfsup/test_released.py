"""Checkpoints of CrosSCLR and IKEM."""

import pytest
import torch
from models import golden
from small import ENCODER, description, pretrainer, pretraining

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.selfsup import EXCHANGE, MANDATORY, MODALITIES, Distiller, Pretrainer
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.released import load_encoder
from mmcl.settings.selfsup import DistillationSettings, EncoderSettings


def learned(net):
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("modalities", "joint_weight", "entries", "parameters"),
    [(MODALITIES, 1, 2208, 10_248_216), (MANDATORY, 1, 1104, 3_499_788), (MANDATORY, 0, 1092, 2_760_204)],
)
def test_pre_training_has_the_released_entries(modalities, joint_weight, entries, parameters):
    settings = pretraining(modalities, dim=128, memory=64, joint_weight=joint_weight)
    net = Pretrainer(settings, EncoderForm.of(EncoderSettings(), "ntu25", 2))
    net.enter(EXCHANGE)
    state = checkpoints.reference_state(net)
    assert (len(state), learned(net)) == (entries, parameters)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes["encoder_q.fc.0.weight"] == (256, 256)
    assert shapes["encoder_k_motion.fc.2.weight"] == (128, 256)
    assert shapes["encoder_q_bone.st_gcn_networks.4.tcn.2.weight"] == (32, 32, 9, 1)
    assert shapes["encoder_k.edge_importance.3"] == shapes["encoder_k.A"] == (3, 25, 25)
    assert shapes["queue"] == shapes["queue_motion"] == (128, 64)
    assert shapes["queue_ptr_bone"] == (1,)
    wide = 128 * len(modalities)
    assert shapes.get("mlp2b.0.weight") == ((wide, 256) if joint_weight else None)
    assert ("encoder_q_omega.data_bn.weight" in shapes) == (len(modalities) == 6)


@pytest.mark.parametrize(
    ("modalities", "early", "entries", "parameters"),
    [(MODALITIES, False, 1643, 4_828_044), (MANDATORY, True, 732, None)],
)
def test_distillation_has_the_released_entries(modalities, early, entries, parameters):
    teachers = description(modalities, 128, layout="ntu25", persons=2, width=1.0)
    settings = DistillationSettings(early=early, memory=64)
    net = Distiller(teachers, settings)
    state = checkpoints.reference_state(net)
    # the release saves the teachers' joined queue besides
    wide = 128 * len(modalities)
    state |= {"queue_teacher": torch.zeros(wide, 64), "queue_ptr_teacher": torch.zeros(1, dtype=torch.int64)}
    assert len(state) == entries
    assert parameters in (None, learned(net))
    name = "encoder_student" if early else "encoder_student_m"
    assert state[f"{name}.fc.0.weight"].shape == (wide, 256)
    assert state[f"{name}.data_bn.weight"].shape == (225 if early else 75,)
    target = Distiller(teachers, settings)
    assert checkpoints.load_reference(target, state) == ["queue_teacher", "queue_ptr_teacher"]
    same(target, net)


def same(one, other):
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_out_and_in_again():
    source = pretrainer(MODALITIES, keys_start_apart=True)
    source.memory.pointer.fill_(7)
    target = pretrainer(MODALITIES, seed=1)
    state = {f"module.{name}": value for name, value in checkpoints.reference_state(source).items()}
    checkpoints.load_reference(target, state)
    same(target, source)
    # the modalities' order decides which part of the memory is whose
    torch.testing.assert_close(state["module.queue_omega"], source.memory.keys[5])
    torch.testing.assert_close(
        state["module.mlp2r.2.bias"], source.joint_heads["rotation_axis"].layers[2].bias.detach()
    )


def test_a_checkpoint_of_another_training_does_not_fit():
    state = checkpoints.reference_state(pretrainer(MODALITIES))
    with pytest.raises(UserError, match=r"left over: mlp2j.0.weight"):
        checkpoints.load_reference(pretrainer(MODALITIES, joint_weight=0), state)
    with pytest.raises(UserError, match=r"wrong shape: queue_motion \(8, 24\) for \(8, 32\)"):
        checkpoints.load_reference(pretrainer(MODALITIES, memory=32), state)
    with pytest.raises(UserError, match="two values for one entry: queue_ptr_bone and queue_ptr"):
        checkpoints.load_reference(pretrainer(MODALITIES), state | {"queue_ptr_bone": torch.tensor([3])})
    with pytest.raises(UserError, match="in the order joint, joint_motion, bone"):
        checkpoints.load_reference(pretrainer(("bone", "joint")), state)
    with pytest.raises(UserError, match="no published checkpoint has the modality bone_motion"):
        checkpoints.reference_state(pretrainer(("joint", "bone_motion")))


def test_a_classifier_of_linear_evaluation():
    """The encoder of one modality computes the released features and logits."""
    released, x, arrays = golden.load("stgcn16_ikem_ntu60")
    state = {f"encoder_q_motion.{name}": value for name, value in released.items()}
    state |= {f"encoder_q.{name}": torch.zeros_like(value) for name, value in released.items()}
    net = build_backbone("stgcn16", 60).eval()
    assert load_encoder(net, state, "joint_motion")
    with torch.no_grad():
        torch.testing.assert_close(
            net.features(x), torch.from_numpy(arrays["features"]), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(net(x), torch.from_numpy(arrays["logits"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("modality", "role"), [("joint", "query"), ("bone", "key"), ("angular_velocity", "query")]
)
def test_an_encoder_of_pre_training(modality, role):
    source = pretrainer(MODALITIES, keys_start_apart=True)
    net = build_backbone("stgcn16", 5, layout="utd20", persons=1, width=ENCODER["width"])
    head = net.head.weight.clone()
    assert not load_encoder(net, checkpoints.reference_state(source), modality, role)
    expected = (source.queries if role == "query" else source.keys)[modality].backbone_state()
    found = {name: value for name, value in net.state_dict().items() if name in expected}
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(net.head.weight, head, rtol=0, atol=0)


def test_absent_encoders_are_named():
    state = checkpoints.reference_state(pretrainer(("joint", "bone")))
    net = build_backbone("stgcn16", 5)
    with pytest.raises(
        UserError, match="no encoder_student_j in it; encoders there: encoder_k, encoder_k_bone"
    ):
        load_encoder(net, state, "joint", "student")
    with pytest.raises(UserError, match="no query encoder of speed"):
        load_encoder(net, state, "speed")
    with pytest.raises(UserError, match=r"missing: data_bn.bias"):
        load_encoder(net, {k: v for k, v in state.items() if k != "encoder_q.data_bn.bias"}, "joint")
