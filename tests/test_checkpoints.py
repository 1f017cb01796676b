"""Checkpoints: what does not fit is named, nothing is executed."""

import pickle

import pytest
import torch

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.models import build_backbone


def net():
    return build_backbone("ctrgcn", 3, layout="utd20", persons=1, width=0.125)


def reference_state(source):
    """Zeros in the reference's shapes."""
    state = {}
    for name, parts in source.reference_names().items():
        value = source.state_dict()[name]
        for part in parts:
            state[part] = torch.zeros(()) if value.dim() == 0 else torch.zeros(value.numel() // len(parts))
    return state


def test_every_problem_is_named():
    state = reference_state(net())
    del state["fc.bias"], state["l3.gcn1.PA"]
    state["l11.gcn1.PA"] = torch.zeros(1)
    with pytest.raises(UserError) as caught:
        checkpoints.load_reference(net(), state)
    lines = str(caught.value).splitlines()
    assert lines[1:] == ["  missing: fc.bias", "  missing: l3.gcn1.PA", "  left over: l11.gcn1.PA"]


def test_a_wrong_shape_is_named():
    state = reference_state(net())
    state["l2.gcn1.alpha"] = torch.zeros(2)
    with pytest.raises(UserError, match=r"wrong shape: l2\.gcn1\.alpha \(2,\) for \(1,\)"):
        checkpoints.load_reference(net(), state)


def test_mmcl_heads_are_no_part_of_a_backbone(tmp_path):
    state = reference_state(net()) | {"PosMatrix": torch.ones(3), "inception_v3.fc.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "mmcl.pt")
    target = net()
    checkpoints.load_reference(target, tmp_path / "mmcl.pt")
    assert not target.head.weight.any()


class Harm:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_is_executed(tmp_path, capsys):
    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"state": Harm()}))
    torch.save({"state": Harm()}, tmp_path / "worse.pt")
    for name in ("bad.pt", "worse.pt", "none.pt"):
        with pytest.raises(UserError, match=name):
            checkpoints.read(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / "a.pt", {"x": torch.ones(2)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"a\.pt: cannot be written .*No space"):
        checkpoints.save(tmp_path / "a.pt", {"x": torch.zeros(2)})
    assert checkpoints.read(tmp_path / "a.pt")["x"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
