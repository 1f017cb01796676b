"""A model file that lacks a part, or whose parts do not fit each other, is refused in one sentence."""

import pytest
import torch
from made_stores import changed, make_stores, stream_settings, train

from mmcl import checkpoints
from mmcl.errors import UserError
from mmcl.training.trained import load_model

FRM = {"enabled": True, "hidden": 8}
GONE = object()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    off = {"model__fam__enabled": False, "model__frm__enabled": False}
    return train(make_stores(folder), folder / "run", stream_settings(train__epochs=1, **off))


def first(content, change):
    name = next(iter(content["state"]))
    return {"state": {**content["state"], name: change(content["state"][name])}}


def with_settings(content, **values):
    return {"settings": changed(content["settings"], **values)}


CASES = {
    "settings": (lambda c: {"settings": GONE}, "the key 'settings' is missing"),
    "state": (lambda c: {"state": GONE}, "state: no tensors by name"),
    "numbers": (lambda c: first(c, lambda x: 1), "state: no tensors by name"),
    "repeated": (lambda c: first(c, lambda x: torch.zeros(()).expand(10**12)), "state: no tensors by name"),
    "tensor": (
        lambda c: {"state": dict(list(c["state"].items())[1:])},
        r"its weights are not those of the network that it describes: backbone\.input_norm\.weight is missing",
    ),
    "further": (lambda c: {"state": {**c["state"], "x\n": torch.zeros(1)}}, r"'x\\n' is left over"),
    "double": (
        lambda c: first(c, lambda x: x.double()),
        r"input_norm\.weight is float64 \(60,\), not float32 \(60,\)",
    ),
    "nan": (
        lambda c: first(c, lambda x: x * float("nan")),
        r"values of 1 of 332 tensors are not finite: backbone\.input_norm\.weight",
    ),
    "classes": (lambda c: {"num_classes": 10**9}, "num_classes: 1000000000 with 4 classes"),
    "names": (lambda c: {"class_names": ["a"] * 3}, "num_classes: 4 with 3 class_names"),
    "ids": (lambda c: {"classes": ["a"] * 4}, "classes: an id is there twice"),
    "head": (
        lambda c: {"num_classes": 5, "classes": list("abcde"), "class_names": list("abcde")},
        r"backbone\.head\.weight is float32 \(4, 32\), not float32 \(5, 32\), and 1 more",
    ),
    "layout": (
        lambda c: {"layout": "ntu25"},
        r"backbone\.input_norm\.weight is float32 \(60,\), not float32 \(75,\), and 13 more",
    ),
    "no layout": (lambda c: {"layout": "x"}, "no joint layout 'x'"),
    "persons": (lambda c: {"persons": 1000}, r"not float32 \(60000,\)"),
    "more persons": (lambda c: {"persons": 10**30}, "persons: 10{30} is greater"),
    "no persons": (lambda c: {"persons": 0}, "persons: 0 is less than the minimum of 1"),
    "width": (lambda c: with_settings(c, model__width=4.0), "and 268 more entries do not fit"),
    "shapes": (lambda c: with_settings(c, model__frm=FRM), r"cannot be built \(KeyError"),
    "wide": (
        lambda c: with_settings(c, model__frm=FRM) | {"shapes": {"answer": [10**9]}},
        r"frm\.\S+ is missing, and \d more",
    ),
    "best": (lambda c: {"best_on_test": {"epoch": 0, "top1": 1.0}}, r"best_on_test\.epoch: 0 is less than"),
    "key": (lambda c: {"note": 1}, "note: unknown key"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_lacks_a_part_or_holds_odd_values_is_refused(content, tmp_path, case):
    change, said = CASES[case]
    edited = {**content, **change(content)}
    path = tmp_path / "model.pt"
    checkpoints.save(path, {key: value for key, value in edited.items() if value is not GONE})
    with pytest.raises(UserError, match=rf"model\.pt: .*{said}") as caught:
        load_model(path)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_statistics_of_the_training_clips_are_checked_and_may_be_absent(content, tmp_path):
    path = tmp_path / "model.pt"
    for change in ({"bones": [0.2]}, {**content["training_clips"], "clips": 0}):
        checkpoints.save(path, {**content, "training_clips": change})
        with pytest.raises(UserError, match=r"model\.pt: training_clips"):
            load_model(path)
    checkpoints.save(path, {key: value for key, value in content.items() if key != "training_clips"})
    assert load_model(path).training_clips is None


def test_scoring_is_no_coarser_than_tf32(content, tmp_path):
    path = tmp_path / "model.pt"
    for training, scoring in (("fp32", "fp32"), ("bf16", "tf32")):
        checkpoints.save(path, {**content, **with_settings(content, train__precision=training)})
        assert load_model(path).precision == scoring


def test_networks_for_inference_are_made_once(content, tmp_path):
    path = tmp_path / "model.pt"
    checkpoints.save(path, content)
    trained = load_model(path)
    assert trained.inference("fp32") is trained.inference("tf32")
    assert trained.inference("fp32").dtype is None
    assert trained.inference("bf16") is trained.inference("bf16")
    assert trained.inference("bf16").dtype == torch.bfloat16
