"""Backbone, FAM and FRM together."""

import pytest
import torch
import torch.nn.functional as F
from seeds import shifted
from torch import nn

from mmcl.checkpoints import load_reference, reference_state
from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.models.colearn import CoLearner
from mmcl.models.fam import FAM
from mmcl.models.frm import FRM

YES, NO = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)


def made(**more):
    torch.manual_seed(shifted(0))
    backbone = build_backbone("ctrgcn", 3, layout="utd20", persons=1, width=0.125)
    return CoLearner(backbone, FAM(6, 32), FRM(3, 5), fam_weight=0.3, frm_weight=0.7, **more)


def batch():
    torch.manual_seed(shifted(1))
    x = torch.randn(4, 3, 8, 20, 1)
    return {
        "x": x,
        "labels": torch.tensor([0, 1, 2, 0]),
        "picture": torch.randn(4, 6),
        "answer": torch.randn(4, 5),
    }


def test_the_total_is_the_weighted_sum_and_inference_is_the_backbone():
    model, data = made(), batch()
    losses = model.losses(**data, has_picture=YES, has_answer=YES)
    assert losses.fam > 0
    assert losses.frm > 0
    assert losses.total.item() == pytest.approx(
        (losses.cls + 0.3 * losses.fam + 0.7 * losses.frm).item(), rel=1e-6
    )
    torch.testing.assert_close(losses.cls, F.cross_entropy(losses.logits, data["labels"]))
    model.eval()
    torch.testing.assert_close(model(data["x"]), model.backbone(data["x"]))


def test_masked_clips_are_trained_by_classification_alone():
    model, data = made(), batch()
    masked = model.losses(**data, has_picture=NO, has_answer=NO)
    assert masked.fam == 0
    assert masked.frm == 0
    assert masked.total == masked.cls
    masked.total.backward()
    assert all(p.grad is None for part in (model.fam, model.frm) for p in part.parameters())
    one = model.losses(**data, has_picture=NO, has_answer=torch.tensor([True, False, False, False]))
    assert one.frm.item() == pytest.approx(
        F.cross_entropy(one.logits[:1], data["labels"][:1]).item(), rel=1e-5
    )


def test_labels_are_smoothed_in_the_classification_loss_alone():
    sharp, smooth = (
        made(label_smoothing=share).losses(**batch(), has_picture=YES, has_answer=YES) for share in (0, 0.1)
    )
    logs = sharp.logits.log_softmax(1)
    expected = 0.9 * F.nll_loss(logs, batch()["labels"]) - 0.1 * logs.mean()
    assert smooth.cls.item() == pytest.approx(expected.item(), rel=1e-5)
    assert smooth.cls != sharp.cls
    assert (smooth.fam, smooth.frm) == (sharp.fam, sharp.frm)


def test_what_a_backbone_adds_is_added(monkeypatch):
    model, data = made(), batch()
    plain = model.losses(**data, has_picture=YES, has_answer=YES)
    assert plain.aux == 0
    monkeypatch.setattr(
        type(model.backbone), "auxiliary_loss", lambda self, features, labels: features.sum() + labels.sum()
    )
    more = model.losses(**data, has_picture=YES, has_answer=YES)
    features = model.backbone.features(data["x"])
    assert more.aux.item() == pytest.approx((features.sum() + 3).item(), rel=1e-4)
    assert more.total.item() == pytest.approx((plain.total + more.aux).item(), rel=1e-4)
    assert more._fields[-1] == "logits"


class Means(nn.Module):
    """A CNN that is as simple as can be, and notes how many pictures it saw."""

    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 6)
        self.seen = []

    def forward(self, images):
        self.seen.append(len(images))
        return self.layer(images.float().mean((1, 2)) / 255)


def test_a_cnn_trained_along_sees_only_pictures_that_are_there():
    model, data = made(cnn=Means()), batch()
    data["picture"] = torch.randint(0, 255, (4, 8, 8, 3), dtype=torch.uint8)
    has = torch.tensor([True, False, True, True])
    model.losses(**data, has_picture=has, has_answer=YES).total.backward()
    assert model.cnn.seen == [3]
    assert model.cnn.layer.weight.grad.abs().sum() > 0
    for few in (NO, torch.tensor([False, True, False, False])):
        assert model.losses(**data, has_picture=few, has_answer=YES).fam == 0
    assert model.cnn.seen == [3]


def test_a_checkpoint_of_mmcl_loads_with_its_heads():
    torch.manual_seed(shifted(2))
    source = CoLearner(build_backbone("ctrgcn", 3, width=0.125), FAM(10, 32), FRM(3, 3))
    own = source.state_dict()
    state = {"inception_v3.fc.weight": torch.zeros(2, 2), **reference_state(source)}
    assert {"PosMatrix", "NegMatrix", "mlp.0.weight", "FAM_Aligh.mlp.2.bias", "l1.gcn1.PA"} <= state.keys()
    target = CoLearner(build_backbone("ctrgcn", 3, width=0.125), FAM(10, 32), FRM(3, 3))
    load_reference(target, {f"module.{name}": value for name, value in state.items()})
    for name, value in target.state_dict().items():
        torch.testing.assert_close(value, own[name])


def test_refining_needs_an_frm():
    with pytest.raises(UserError, match="without FRM"):
        CoLearner(nn.Identity()).refined(torch.zeros(1, 3), torch.zeros(1, 5))
