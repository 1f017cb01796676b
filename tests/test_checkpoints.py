"""Checkpoints: what does not fit is named, nothing is executed, published ones go in and out unchanged."""

import json
import logging
import pickle
from pathlib import Path

import pytest
import torch
from made_terms import fam, frm

from mmcl import checkpoints
from mmcl.colearn.learner import CoLearner
from mmcl.errors import UserError
from mmcl.models import build_backbone
from mmcl.models.cnn import CNN
from mmcl.settings.tables import BACKBONES

GOLDEN = Path(__file__).parent / "golden"


def net(name="ctrgcn", seed=0, **more):
    torch.manual_seed(seed)
    made = build_backbone(name, 3, **{"layout": "utd20", "persons": 1, "width": 0.125, **more})
    for value in made.state_dict().values():
        if value.dtype == torch.float32:  # initial values are equal in too many places
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return made


def unchanged(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.equal(value, expected[name]), name


def test_every_problem_is_named():
    state = checkpoints.reference_state(net())
    del state["fc.bias"], state["l3.gcn1.PA"]
    state["l11.gcn1.PA"] = torch.zeros(1)
    state["l2.gcn1.alpha"] = torch.zeros(2)
    state["l4.gcn1.convs.1.conv3.weight"] = torch.zeros(8, 8, 1)
    state["fc.weight"][0] = float("nan")
    with pytest.raises(UserError) as caught:
        checkpoints.load_reference(net(), state)
    lines = str(caught.value).splitlines()
    assert lines[0] == "state dict does not fit CTRGCN:"
    assert lines[1:] == [
        "  missing: fc.bias",
        "  missing: l3.gcn1.PA",
        "  left over: l11.gcn1.PA",
        "  not finite: fc.weight",
        "  wrong shape: l2.gcn1.alpha (2,) for (1,)",
        "  wrong shape: l4.gcn1.convs.1.conv3.weight (8, 8, 1) for (8, 8, 1, 1)",
    ]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"persons": 2}, r"data_bn.weight \(60,\) for \(120,\)"),
        ({"layout": "ntu25"}, r"l1.gcn1.PA \(3, 20, 20\) for \(3, 25, 25\)"),
        ({"width": 0.25}, r"fc.weight \(3, 32\) for \(3, 64\)"),
    ],
)
def test_a_checkpoint_of_other_data_does_not_fit(other, what):
    with pytest.raises(UserError, match=what):
        checkpoints.load_reference(net(**other), checkpoints.reference_state(net()))


@pytest.mark.parametrize(
    ("name", "file", "more"),
    [
        ("ctrgcn", "ctrgcn_ntu120", {}),
        ("ctrs", "ctr_baseline_ntu120", {}),
        ("hdgcn", "hdgcn_com1_ntu120", {"graph": "hd1"}),
        ("infogcn", "infogcn_k1_ntu120", {"k": 1}),
        ("stgcn16", "stgcn16_ikem_ntu60", {}),
    ],
)
def test_saved_as_released(name, file, more):
    """Names and shapes of the released model, all of them."""
    classes = 60 if file.endswith("60") else 120
    found = checkpoints.reference_state(build_backbone(name, classes, **more))
    assert {entry: list(value.shape) for entry, value in found.items()} == json.loads(
        (GOLDEN / f"{file}.json").read_text()
    )["keys"]


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("layout", ["ntu25", "utd20"])
def test_out_and_in_again(name, layout):
    more = {"layout": layout, "width": 0.25, "graph": "hd21" if name == "hdgcn" else "natural"}
    source, target = net(name, **more), net(name, seed=1, **more)
    state = checkpoints.reference_state(source)
    assert checkpoints.load_reference(target, state) == []
    unchanged(target.state_dict(), source.state_dict())
    for value in state.values():
        value.zero_()
    unchanged(target.state_dict(), source.state_dict())  # nothing is shared with what was read or written


def test_original_stgcn_calls_its_classifier_a_convolution():
    state = checkpoints.reference_state(net("stgcn"))
    assert state["fcn.weight"].shape == (3, 32, 1, 1)
    assert state["st_gcn_networks.9.tcn.2.weight"].shape == (32, 32, 9, 1)


def test_files_from_before_batches_were_counted():
    source, target = net("stgcn"), net("stgcn", seed=1)
    state = checkpoints.reference_state(source)
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    checkpoints.load_reference(target, old)
    unchanged(target.state_dict(), source.state_dict())


def test_a_graph_that_is_not_learned_must_be_the_layout_s():
    state = checkpoints.reference_state(net("stgcn"))
    state["A"] = state["A"] + 0.1
    with pytest.raises(UserError, match="another graph than the layout's: A"):
        checkpoints.load_reference(net("stgcn"), state)
    del state["A"]
    with pytest.raises(UserError, match="missing: A"):
        checkpoints.load_reference(net("stgcn"), state)


def test_second_names_may_be_there_or_not_but_not_differ():
    hdgcn = net("hdgcn", graph="hd21", width=0.25)
    state = checkpoints.reference_state(hdgcn)
    aliases = hdgcn.reference_aliases()
    assert len(aliases) == 270
    for alias, name in aliases.items():
        assert torch.equal(state[alias], state[name])
    target = net("hdgcn", graph="hd21", width=0.25, seed=1)
    checkpoints.load_reference(target, {k: v for k, v in state.items() if k not in aliases})
    unchanged(target.state_dict(), hdgcn.state_dict())
    alias = "l2.gcn1.conv_d.0.0.bias"
    state[alias] = state[alias] + 1
    with pytest.raises(UserError, match=f"two values for one entry: {alias} and l2.gcn1.conv.") as caught:
        checkpoints.load_reference(target, state)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"state_dict": state},
        lambda state: {"model_state_dict": state, "epoch": 7, "optimizer": {"lr": 0.1}},
        lambda state: {"epoch": 7, "model": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {f"encoder.module.{k}": v for k, v in state.items()},
    ],
)
def test_published_wrappings(wrapped, tmp_path):
    source, target = net(), net(seed=1)
    torch.save(wrapped(checkpoints.reference_state(source)), tmp_path / "published.pt")
    checkpoints.load_reference(target, tmp_path / "published.pt")
    unchanged(target.state_dict(), source.state_dict())


def test_no_state_dict():
    for content in ({"epoch": 3}, {"state_dict": {"a": 1}}):
        with pytest.raises(UserError, match="state dict: no state dict"):
            checkpoints.load_reference(net(), content)
    twice = {"encoder_q.module.fc.bias": torch.zeros(1), "encoder_k.module.fc.bias": torch.zeros(1)}
    with pytest.raises(UserError, match="several networks"):
        checkpoints.load_reference(net(), twice)


def released_mmcl():
    """A state of MMCL's release: its 1,412 names, every value another."""
    random, state = torch.Generator().manual_seed(0), {}
    for line in (GOLDEN / "mmcl_state_dict_keys.tsv").read_text().splitlines():
        name, shape, _ = line.split("\t")
        sizes = [int(size) for size in shape.strip("()").split(",") if size.strip()]
        state[name] = torch.rand(sizes, generator=random) if sizes else torch.tensor(5)
    assert len(state) == 1412
    return state


def test_mmcl_goes_in_and_out_whole():
    models = pytest.importorskip("torchvision.models")
    inception = models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    model = CoLearner(
        build_backbone("ctrgcn", 120), [fam(1000, 256, CNN(inception, 299, 1000)), frm(120, 3)], 0.0
    )
    state = released_mmcl()
    dropped = checkpoints.load_reference(model, {f"module.{name}": value for name, value in state.items()})
    assert len(dropped) == 14
    assert all(name.startswith("inception_v3.AuxLogits.") for name in dropped)
    unchanged(checkpoints.reference_state(model), {k: v for k, v in state.items() if k not in dropped})
    assert torch.equal(model.frm.matrices[1], state["NegMatrix"])
    assert torch.equal(model.frm.phi[2].weight, state["mlp.2.weight"])
    assert torch.equal(model.fam.align[0].bias, state["FAM_Aligh.mlp.0.bias"])
    assert torch.equal(
        inception.Mixed_6c.branch7x7_2.conv.weight, state["inception_v3.Mixed_6c.branch7x7_2.conv.weight"]
    )


def test_what_a_model_has_no_use_for_is_dropped_and_named(caplog):
    caplog.set_level(logging.INFO, "mmcl.checkpoints")
    state = released_mmcl()
    own = {name for name in state if name.startswith(("l", "data_bn", "fc"))}
    backbone = build_backbone("ctrgcn", 120)
    assert checkpoints.load_reference(backbone, state) == [name for name in state if name not in own]
    assert torch.equal(backbone.head.weight, state["fc.weight"])
    assert "PosMatrix, NegMatrix, " in caplog.text
    assert "inception_v3 (580 entries)" in caplog.text
    model = CoLearner(backbone, [fam(1000, 256), frm(120, 3)], 0.0)
    dropped = checkpoints.load_reference(model, state)
    assert {name.partition(".")[0] for name in dropped} == {"inception_v3"}
    assert len(dropped) == 580
    assert len(checkpoints.load_reference(CoLearner(backbone, [frm(120, 3)], 0.0), state)) == 584
    with pytest.raises(UserError, match="left over: head"):
        checkpoints.load_reference(backbone, state | {"head": torch.zeros(1)})


def test_what_the_release_lacks_cannot_be_saved_or_loaded():
    model = CoLearner(build_backbone("ctrgcn", 120), [fam(1000, 256), frm(120, 3, input="hidden")], 0.0)
    with pytest.raises(UserError, match=r"lacks: frm\.norm\.bias, frm\.norm\.weight"):
        checkpoints.reference_state(model)
    with pytest.raises(UserError, match=r"not in the reference: frm\.norm\.bias"):
        checkpoints.load_reference(model, released_mmcl())


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


def test_a_full_disk_is_named_and_keeps_the_old_file(tmp_path):
    checkpoints.save(tmp_path / "a.pt", {"x": torch.ones(2)})
    for count in (10, 1_000_000):  # reported when the file is closed, and while torch writes
        (tmp_path / "a.tmp.pt").symlink_to("/dev/full")
        with pytest.raises(
            UserError, match=r"a\.pt: disk full; nothing was written, free space and run again"
        ):
            checkpoints.save(tmp_path / "a.pt", {"x": torch.zeros(count)})
    assert checkpoints.read(tmp_path / "a.pt")["x"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
