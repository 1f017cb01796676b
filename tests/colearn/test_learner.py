"""A backbone and its terms together."""

import pytest
import torch
import torch.nn.functional as F
from made_terms import batch, fam, frm
from seeds import shifted
from torch import nn

from mmcl.checkpoints import load_reference, reference_state
from mmcl.colearn.learner import CoLearner, class_weights
from mmcl.errors import UserError
from mmcl.models import build_backbone

NO = torch.zeros(4, dtype=torch.bool)


def made(cnn=None, label_smoothing=0.0):
    torch.manual_seed(shifted(0))
    backbone = build_backbone("ctrgcn", 3, layout="utd20", persons=1, width=0.125)
    return CoLearner(backbone, [fam(6, 32, cnn, weight=0.3), frm(3, 5, weight=0.7)], label_smoothing)


def clips():
    torch.manual_seed(shifted(1))
    x = torch.randn(4, 3, 8, 20, 1)
    return {
        "x": x,
        "labels": torch.tensor([0, 1, 2, 0]),
        "picture": torch.randn(4, 6),
        "answer": torch.randn(4, 5),
    }


def test_the_total_is_the_weighted_sum_and_inference_is_the_backbone():
    model, data = made(), clips()
    losses = model.losses(batch(**data))
    terms = losses.terms
    assert [*terms] == ["cls", "fam", "frm", "accuracy"]
    assert terms["fam"] > 0
    assert terms["frm"] > 0
    assert losses.total.item() == pytest.approx(
        (terms["cls"] + 0.3 * terms["fam"] + 0.7 * terms["frm"]).item(), rel=1e-6
    )
    logits = model(data["x"])
    torch.testing.assert_close(terms["cls"], F.cross_entropy(logits, data["labels"]))
    assert terms["accuracy"] == (logits.argmax(1) == data["labels"]).float().mean()
    model.eval()
    torch.testing.assert_close(model(data["x"]), model.backbone(data["x"]))


def test_masked_clips_are_trained_by_classification_alone():
    model, data = made(), clips()
    masked = model.losses(batch(**data, has_picture=NO, has_answer=NO))
    assert masked.terms["fam"] == 0
    assert masked.terms["frm"] == 0
    assert masked.total == masked.terms["cls"]
    masked.total.backward()
    assert all((p.grad == 0).all() for part in (model.fam, model.frm) for p in part.parameters())
    first = torch.tensor([True, False, False, False])
    one = model.losses(batch(**data, has_picture=NO, has_answer=first))
    expected = F.cross_entropy(model(data["x"])[:1], data["labels"][:1])
    assert one.terms["frm"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_labels_are_smoothed_in_the_classification_loss_alone():
    sharp, smooth = (made(label_smoothing=share).losses(batch(**clips())).terms for share in (0, 0.1))
    logs = made()(clips()["x"]).log_softmax(1)
    expected = 0.9 * F.nll_loss(logs, clips()["labels"]) - 0.1 * logs.mean()
    assert smooth["cls"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert smooth["cls"] != sharp["cls"]
    assert (smooth["fam"], smooth["frm"]) == (sharp["fam"], sharp["frm"])


def test_what_a_backbone_adds_is_added(monkeypatch):
    model, data = made(), clips()
    plain = model.losses(batch(**data))
    assert "aux" not in plain.terms
    monkeypatch.setattr(
        type(model.backbone), "auxiliary_loss", lambda self, features, labels: features.sum() + labels.sum()
    )
    model = made()
    more = model.losses(batch(**data))
    features = model.backbone.features(data["x"])
    assert [*more.terms] == ["cls", "fam", "frm", "aux", "accuracy"]
    assert more.terms["aux"].item() == pytest.approx((features.sum() + 3).item(), rel=1e-4)
    assert more.total.item() == pytest.approx((plain.total + more.terms["aux"]).item(), rel=1e-4)
    assert model.state_dict().keys() == made().state_dict().keys()


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
    model, data = made(cnn=Means()), clips()
    data["picture"] = torch.randint(0, 255, (4, 8, 8, 3), dtype=torch.uint8)
    has = torch.tensor([True, False, True, True])
    model.losses(batch(**data, has_picture=has)).total.backward()
    assert model.fam.cnn.seen == [3]
    assert model.fam.cnn.layer.weight.grad.abs().sum() > 0
    for few in (NO, torch.tensor([False, True, False, False])):
        assert model.losses(batch(**data, has_picture=few)).terms["fam"] == 0
    assert model.fam.cnn.seen == [3]


def test_a_checkpoint_of_mmcl_loads_with_its_heads():
    torch.manual_seed(shifted(2))
    source = CoLearner(build_backbone("ctrgcn", 3, width=0.125), [fam(10, 32), frm(3, 3)], 0.0)
    own = source.state_dict()
    state = {"inception_v3.fc.weight": torch.zeros(2, 2), **reference_state(source)}
    assert {"PosMatrix", "NegMatrix", "mlp.0.weight", "FAM_Aligh.mlp.2.bias", "l1.gcn1.PA"} <= state.keys()
    target = CoLearner(build_backbone("ctrgcn", 3, width=0.125), [fam(10, 32), frm(3, 3)], 0.0)
    load_reference(target, {f"module.{name}": value for name, value in state.items()})
    for name, value in target.state_dict().items():
        torch.testing.assert_close(value, own[name])


def test_refining_needs_an_frm():
    with pytest.raises(UserError, match="without FRM"):
        CoLearner(build_backbone("ctrgcn", 3, width=0.125), [], 0.0).refined(
            torch.zeros(1, 3), torch.zeros(1, 5)
        )


def test_balanced_weights_are_inverse_to_the_training_clips():
    labels = torch.tensor([0] * 6 + [1] * 2 + [3] * 4)
    weights = class_weights("balanced", labels, ["a", "b", "c", "d"], ["w", "x", "y", "z"])
    torch.testing.assert_close(weights, torch.tensor([12 / 18, 12 / 6, 1.0, 12 / 12]))
    assert weights[labels].mean().item() == pytest.approx(1)


def test_weights_by_name_or_id():
    made = class_weights({"x": 3.0, "c": 0.5}, torch.tensor([0]), ["a", "b", "c"], ["w", "x", "y"])
    assert made.tolist() == [1.0, 3.0, 0.5]
    with pytest.raises(UserError, match=r"train\.class_weights: no class 'xx'; did you mean 'x'"):
        class_weights({"xx": 3.0}, torch.tensor([0]), ["a", "b"], ["w", "x"])
    with pytest.raises(UserError, match="'x' and 'b' are one class"):
        class_weights({"x": 3.0, "b": 1.0}, torch.tensor([0]), ["a", "b"], ["w", "x"])


def test_weights_matter_on_an_uneven_set():
    """Clips that tell nothing are given the classes' shares: 9 to 1, with balanced weights equal ones."""
    labels = torch.tensor([0] * 18 + [1] * 2)
    x = torch.ones(20, 3, 8, 20, 1)
    shares = {}
    for weights in (None, class_weights("balanced", labels, ["a", "b"], ["a", "b"])):
        torch.manual_seed(0)
        backbone = build_backbone("stgcn16", 2, layout="utd20", persons=1, width=0.125)
        model = CoLearner(backbone, [], 0.0, weights).eval()
        assert "class_weights" not in model.state_dict()
        optimizer = torch.optim.LBFGS(
            model.backbone.head.parameters(), line_search_fn="strong_wolfe", max_iter=50
        )

        def closure(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            total = model.losses(batch(x=x, labels=labels)).total
            total.backward()
            return total

        optimizer.step(closure)
        shares[weights is None] = model(x[:1]).softmax(1)[0, 1].item()
    assert shares[True] == pytest.approx(0.1, abs=0.01)
    assert shares[False] == pytest.approx(0.5, abs=0.01)
