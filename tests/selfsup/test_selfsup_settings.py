"""The section `selfsup` of config.yaml: its defaults, what a recipe changes, and what stages depend on."""

from types import SimpleNamespace

import pytest
import torch
import yaml
from small import form, pretrainer

from mmcl.config import Config
from mmcl.plan import Plan
from mmcl.selfsup import MODALITIES, Pretrainer
from mmcl.selfsup.encoder import EncoderForm
from mmcl.selfsup.files import new_encoders, save_encoders
from mmcl.selfsup.train import build_distiller
from mmcl.settings.explain import ConfigError
from mmcl.settings.jobs import DistilledSettings
from mmcl.settings.merging import merge
from mmcl.settings.selfsup import SelfsupSettings, StudentEncoderSettings
from mmcl.stages import VERSIONS

FIRST = SimpleNamespace(benchmark="ntu60_xsub", seed="3")


@pytest.fixture
def raw(project):
    return yaml.safe_load((project / "config.yaml").read_text())


def changed(raw, **selfsup):
    return Config(merge(raw, {"benchmarks": {"ntu60_xsub": {"selfsup": selfsup}}}))


@pytest.mark.parametrize("benchmark", ["ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset"])
def test_the_shipped_config_holds_the_papers_settings(raw, benchmark):
    used = Config(raw).benchmark(benchmark).selfsup
    assert (used.epochs, used.exchange_after, used.steps, used.batch) == (300, 150, (250,), 128)
    assert (used.learning_rate, used.momentum, used.weight_decay) == (0.1, 0.9, 1e-4)
    assert (used.memory, used.dim, used.temperature, used.key_momentum) == (32768, 128, 0.07, 0.999)
    assert (used.window, used.augmentation.padding, used.augmentation.shear) == (50, 6, 0.5)
    student = used.student
    assert (student.epochs, student.steps, student.batch) == (150, (125,), 128)
    assert student.modalities == ("joint", "joint_motion", "bone")
    # what config.yaml writes out are the defaults
    assert used == SelfsupSettings()


def test_a_recipe_does_what_the_released_code_did_and_reports_it(raw):
    raw["benchmarks"]["released"] = {"like": "ntu60_xsub", "recipe": "reference"}
    plan = Plan(Config(raw))
    where = SimpleNamespace(benchmark="released", seed="1")
    given = plan.student_settings(where)
    used = given["selfsup"]
    assert (used["convention"], used["facing"], used["augmentation"]["same"]) == ("ikem", "clip", True)
    assert used["keys_start_apart"] is True
    student = used["student"]
    assert (student["teachers_train"], student["wrong_memory"], student["fill_memory"]) == (True, True, False)
    quirks = [f"selfsup.{key}" for key in ("augmentation.same", "encoder.head_spread", "facing")]
    quirks.append("selfsup.keys_start_apart")
    more = [f"selfsup.student.{key}" for key in ("fill_memory", "teachers_train", "wrong_memory")]
    assert [row for row in given["recipe"]["quirks"] if row.startswith("selfsup")] == quirks + more
    assert "selfsup.true_timeline" in given["recipe"]["kept"]
    assert "recipe" not in plan.student_settings(FIRST)


def test_the_networks_are_built_as_the_released_ones_if_configured(tmp_path):
    quirks = {"student": {"wrong_memory": True, "teachers_train": True, "batch": 2}, "keys_start_apart": True}
    small = {"encoder": {"width": 0.25, "head_spread": 0.02}, "memory": 8, "batch": 2, "dim": 32, **quirks}
    for modalities, wrong in ((MODALITIES, True), (("joint", "bone"), False)):
        used = DistilledSettings.model_validate({"modalities": modalities, **small})
        net = Pretrainer(used, EncoderForm.of(used.encoder, "utd20", 1))
        apart = (net.queries["joint"].hidden.weight - net.keys["joint"].hidden.weight).abs().max()
        assert apart > 0.01
        begun = [net.queries["bone"].hidden.weight, net.joint_heads["bone"].layers[2].weight]
        assert [float(weight.detach().std()) for weight in begun] == pytest.approx([0.02, 0.02], rel=0.15)
        save_encoders(tmp_path / "model.pt", net.queries, net.description)
        students = build_distiller(tmp_path / "model.pt", used.distillation)
        assert (students.compared_with is not None) == wrong
        assert students.teachers.training
        assert torch.equal(students.teachers["bone"].hidden.weight, net.queries["bone"].hidden.weight)


@pytest.mark.parametrize(
    ("stated", "changed"),
    [
        ({}, {}),
        ({"dropout": None}, {"dropout": None}),
        ({"width": None, "dropout": 0.1}, {"dropout": 0.1}),
        ({"backbone": "hdgcn"}, {"backbone": "hdgcn", "graph": "hd21"}),
        (
            {"backbone": "ctrgcn", "graph": "hd1", "width": 0.5},
            {"backbone": "ctrgcn", "graph": "hd1", "width": 0.5},
        ),
    ],
)
def test_a_students_network_is_the_teachers_except_for_what_is_stated(stated, changed):
    teachers = form(dropout=0.3, head_norm=True)
    own = StudentEncoderSettings.model_validate(stated)
    assert teachers.of_student(own) == form(**{"dropout": 0.3, "head_norm": True, **changed})
    assert StudentEncoderSettings.model_validate(own.dump()).dump() == own.dump() == stated


def test_a_stage_is_given_what_it_depends_on_and_no_more(raw):
    plan, other = Plan(Config(raw)), Plan(changed(raw, student={"epochs": 7}))
    assert plan.pretrain_streams_settings(FIRST) == other.pretrain_streams_settings(FIRST)
    assert plan.student_settings(FIRST) != other.student_settings(FIRST)
    other = Plan(changed(raw, augmentation={"shear": 0.1}))
    assert plan.pretrain_streams_settings(FIRST) != other.pretrain_streams_settings(FIRST)
    member = plan.config.benchmark("ntu60_xsub").members[0]
    assert plan.folder_of("ntu60_xsub", member, 1) == other.folder_of("ntu60_xsub", member, 1)
    given = plan.pretrain_streams_settings(FIRST)
    assert (given["seed"], given["protocol"], given["version"]) == (
        3,
        "ntu60_xsub",
        VERSIONS["pretrain_streams"],
    )
    assert "student" not in given["selfsup"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"modalities": ["bone"]}, "exchange_after: bone alone has no other modality"),
        ({"memory": 64}, "batch: 128 clips do not fit into a memory of 64"),
        ({"batch": 32, "memory": 64}, "student.batch: 128 clips do not fit"),
        ({"mining_weight": 0, "joint_weight": 0}, "one must not be 0"),
        ({"augmentation": {"crop": [0.9, 0.5]}}, "augmentation.crop: the smallest part"),
        ({"topk": 40000}, "topk: 40000 exceeds the 32768 keys"),
        ({"encoder": {"graph": "hd1"}}, "encoder.graph: stgcn16 takes natural, not hd1"),
        ({"student": {"encoder": {"backbone": "hdgcn", "graph": "natural"}}}, "student.encoder.graph: hdgcn"),
        ({"modalities": ["joints"]}, "selfsup.modalities"),
    ],
)
def test_mistakes_are_named(raw, wrong, message):
    with pytest.raises(ConfigError, match=r"benchmarks\.ntu60_xsub\.selfsup\.|one of") as error:
        changed(raw, **wrong)
    assert message in str(error.value)


def test_one_modality_that_never_exchanges_is_skeletonclr(raw):
    used = changed(raw, modalities=["joint"], exchange_after=None).benchmark("ntu60_xsub").selfsup
    assert used.modalities == ("joint",)


def test_dropout_is_the_backbones_own_unless_configured():
    """But none where the backbone has none, as in its first block."""
    found = []
    for dropout in (None, 0.25):
        net = pretrainer(MODALITIES, encoder={"dropout": dropout})
        for encoders in (net.queries, net.keys, new_encoders(net.description)):
            blocks = encoders["bone"].backbone.blocks
            found.append([block.dropout.p for block in blocks][:3])
    assert found == [[0, 0.5, 0.5]] * 3 + [[0, 0.25, 0.25]] * 3
