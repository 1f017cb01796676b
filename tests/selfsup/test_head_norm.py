"""A batch norm between the features and the heads that see them."""

import torch
from seeds import shifted
from small import description, distiller, form, pretrainer, views

from mmcl.selfsup import EXCHANGE, MANDATORY
from mmcl.selfsup.encoder import build_encoder
from mmcl.selfsup.files import load_encoders, save_encoders

NORMED = {"head_norm": True, "dropout": 0.0}
X = views(["joint"], clips=16)["joint"]


def encoder(**settings):
    torch.manual_seed(shifted(0))
    return build_encoder(form(**settings), 64)  # wide, so that the mean embedding hardly depends on the seed


def test_heads_see_features_without_what_all_clips_have_in_common():
    plain, normed = encoder(dropout=0.0), encoder(**NORMED)
    (q, features), (q_normed, h) = plain.train()(X), normed.train()(X)
    deviation, mean = torch.std_mean(features, 0, correction=0)
    varied = deviation > 0.05  # beside what keeps the norm from dividing by zero
    assert varied.sum() > 10
    torch.testing.assert_close(h[:, varied], ((features - mean) / deviation)[:, varied], rtol=1e-2, atol=1e-2)
    assert q_normed.mean(0).norm() < 0.95 * q.mean(0).norm()


def test_keys_follow_joint_heads_see_them_and_files_hold_them(tmp_path):
    net = pretrainer(MANDATORY, encoder=NORMED, key_momentum=0.5)
    net.enter(EXCHANGE)
    losses = net(views(MANDATORY, 1), views(MANDATORY, 2))
    losses.total.backward()
    norm = net.queries["joint_motion"].norm
    assert norm.weight.grad.abs().max() > 0
    with torch.no_grad():
        norm.weight += 1
    net.advance(losses.carry)
    assert (net.keys["joint_motion"].norm.weight == 1.5).all()

    save_encoders(tmp_path / "model.pt", net.queries, description(MANDATORY, **NORMED))
    assert list(load_encoders(tmp_path / "model.pt").backbones) == list(MANDATORY)
    students = distiller(MANDATORY, encoder=NORMED)
    students.teachers.load_state_dict(net.queries.state_dict())
    assert students.students["joint"].norm.num_features == 64
