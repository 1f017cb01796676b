"""Settings models: what is dumped, read back, and generated for editors."""

import json
import re

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from mmcl.config import with_demo
from mmcl.settings import schema
from mmcl.settings.base import OFF, Section, narrowed, replaced
from mmcl.settings.benchmark import BenchmarkSettings
from mmcl.settings.dataset import DatasetSettings
from mmcl.settings.merging import flat, merge, states
from mmcl.settings.model import FamSettings, ModelSettings
from mmcl.settings.protocol import Rule, is_among
from mmcl.settings.selfsup import StudentEncoderSettings
from mmcl.settings.training import TrainSettings

PLAIN = {"dataset": "demo", "protocol": "odd_subjects", "instruction": "is it so?"}


def test_the_generated_schema_is_the_committed_one():
    assert json.loads(schema.FILE.read_text()) == schema.json_schema(), "run: python -m mmcl.settings.schema"


def test_the_schema_accepts_the_shipped_configuration_and_refuses_a_typo(project):
    raw = with_demo(yaml.safe_load((project / "config.yaml").read_text()))
    validator = jsonschema.Draft202012Validator(schema.json_schema())
    assert [error.message for error in validator.iter_errors(raw)] == []
    raw["benchmarks"]["demo_xsub"]["train"]["epoch"] = 3
    raw["datasets"]["demo"]["options"]["max_acton"] = 3
    paths = {tuple(error.absolute_path) for error in validator.iter_errors(raw)}
    assert paths == {("benchmarks", "demo_xsub", "train"), ("datasets", "demo", "options")}


def test_every_key_is_described_and_closed():
    undescribed = []
    for name, node in schema.json_schema()["$defs"].items():
        assert "properties" not in node or node["additionalProperties"] is False, name
        for key, sub in node.get("properties", {}).items():
            if "description" not in sub and "$ref" not in sub:
                undescribed.append(f"{name}.{key}")
    assert undescribed == []


def test_what_is_off_is_left_out_and_read_back():
    plain = BenchmarkSettings.model_validate(PLAIN)
    dumped = plain.dump()
    assert not {"init", "distil", "labels"} & set(dumped["train"])
    assert not {"options", "terms"} & set(dumped["model"])
    assert dumped["train"]["learning_rate"] == 0.1
    assert list(dumped) == sorted(dumped)
    assert BenchmarkSettings.model_validate(dumped) == plain
    used = BenchmarkSettings.model_validate(
        {
            **PLAIN,
            "train": {"labels": 0.5, "init": {"from": "x"}},
            "model": {"options": {"infogcn": {"k": 3}}},
        }
    )
    assert used.dump()["train"]["init"] == {"from": "x", "modality": None, "what": "pretrain"}
    assert used.dump()["model"]["options"] == {"infogcn": {"k": 3}}
    assert BenchmarkSettings.model_validate(used.dump()) == used


def test_a_key_that_is_added_switched_off_changes_no_dump():
    class Before(Section):
        rate: float

    class After(Section):
        rate: float
        extra: int | None = None
        marked: float = 1.0

    class Marked(Section):
        rate: float
        extra: int = 0

    Marked.model_fields["extra"].metadata.append(OFF)
    assert Before(rate=0.5).dump() == Marked(rate=0.5).dump() == {"rate": 0.5}
    assert Marked(rate=0.5, extra=2).dump() == {"extra": 2, "rate": 0.5}
    assert After(rate=0.5).dump() == {"extra": None, "marked": 1.0, "rate": 0.5}


def test_options_of_readers_and_networks_are_their_own():
    ntu = DatasetSettings.model_validate({"reader": "ntu", "options": {"max_action": 60}})
    assert (ntu.options.max_action, ntu.options.max_setup) == (60, 32)
    assert ntu.dump()["options"] == {"max_action": 60}
    assert DatasetSettings.model_validate(ntu.dump()) == ntu
    with pytest.raises(ValidationError):
        DatasetSettings.model_validate({"reader": "nw_ucla", "options": {"max_action": 60}})
    model = ModelSettings.model_validate({"options": {"infogcn": {"noise": 0.1}}})
    assert model.own_options("infogcn")["infogcn"].noise == 0.1
    assert model.own_options("ctrgcn") == {}


def test_settings_do_not_change_and_take_no_other_types():
    train = TrainSettings()
    with pytest.raises(ValidationError):
        train.epochs = 3
    for wrong in ({"epochs": 3.0}, {"epochs": True}, {"nesterov": 1}, {"learning_rate": "0.1"}, {"steps": 3}):
        with pytest.raises(ValidationError):
            TrainSettings.model_validate(wrong)
    assert replaced(train, epochs=3).epochs == 3
    with pytest.raises(ValidationError):
        replaced(train, epochs=0)


def test_terms_that_take_part():
    model = ModelSettings()
    assert list(model.enabled_terms) == ["fam", "frm"]
    off = replaced(model, fam=FamSettings(enabled=False))
    assert list(off.enabled_terms) == ["frm"]
    assert narrowed(FamSettings, model.fam, weight=0.5).weight == 0.5


def test_a_students_encoder_states_what_differs():
    own = StudentEncoderSettings.model_validate({"dropout": None})
    assert own.dump() == {"dropout": None}
    assert StudentEncoderSettings.model_validate(own.dump()).model_fields_set == {"dropout"}
    assert StudentEncoderSettings().dump() == {}


def test_numbers_of_a_protocol():
    assert [n for n in range(5) if is_among(n, "odd")] == [1, 3]
    assert [n for n in range(5) if is_among(n, (0, 4))] == [0, 4]
    with pytest.raises(ValidationError, match=re.escape("camera 3 is among train too")):
        Rule.model_validate({"by": "camera", "train": "odd", "test": [2, 3]})


def test_plain_mappings():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge(base, {"a": {"c": [9]}}) == {"a": {"b": 1, "c": [9]}, "d": 3}
    assert base["a"]["c"] == [1, 2]
    assert flat(base) == {"a.b": 1, "a.c": [1, 2], "d": 3}
    assert states(base, ("a", "c", 0))
    assert not states(base, ("a", "x"))
