"""The JSON schema of config.yaml, generated from the models: for editors, and for readers who look a key up.

`python -m mmcl.settings.schema` writes workflow/schemas/config.schema.json; a test compares the two.
"""

import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pydantic.json_schema import models_json_schema

from mmcl.naming import PROJECT
from mmcl.settings import tables
from mmcl.settings.base import Options, Section
from mmcl.settings.benchmark import BenchmarkSettings
from mmcl.settings.dataset import DatasetSettings
from mmcl.settings.file import ConfigFile

FILE = PROJECT / "workflow" / "schemas" / "config.schema.json"

STATED_IN_PARTS = ("BenchmarkSettings", "InitSettings", "DistilSettings", "PretrainSettings")
"""Models whose required keys may be stated by the benchmark that another is like."""

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema, JSON Schema 2020-12."""
    backbones = {name: _own(entry.path, "Options") for name, entry in tables.BACKBONES.items()}
    terms = {
        name: _own(path, "Settings")
        for name, path in tables.TERMS.items()
        if name not in ("fam", "frm", "distil")
    }
    readers = {name: _own(path, "Options") for name, path in tables.READERS.items()}
    adapters = {
        name: getattr(resolve_name(path), "Options", Options) for name, path in tables.ADAPTERS.items()
    }
    models: list[type[Section]] = [ConfigFile, DatasetSettings, BenchmarkSettings]
    models += [*backbones.values(), *terms.values(), *readers.values(), *adapters.values()]
    refs, schema = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/$defs/{model}"
    )
    defs = schema["$defs"]
    by_model = {model: ref for (model, _), ref in refs.items()}
    for name in STATED_IN_PARTS:
        defs[name].pop("required", None)
    top = defs.pop("ConfigFile")
    for key, model in (("datasets", DatasetSettings), ("benchmarks", BenchmarkSettings)):
        [pattern] = top["properties"][key]["patternProperties"]
        top["properties"][key] |= {
            "patternProperties": {pattern: by_model[model]},
            "additionalProperties": False,
        }
    for name, key, chosen_by in (("DatasetSettings", "reader", readers), ("VlmSection", "adapter", adapters)):
        del defs[name]["properties"]["options"]["$ref"]
        defs[name]["allOf"] = [
            {
                "if": {"properties": {key: {"const": choice}}, "required": [key]},
                "then": {"properties": {"options": by_model[model]}},
            }
            for choice, model in chosen_by.items()
        ]
    for section, chosen in (("options", backbones), ("terms", terms)):
        node = defs["ModelSettings"]["properties"][section]
        node["properties"] = {name: by_model[model] for name, model in chosen.items()}
        node["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": "mmcl configuration",
        "$defs": defs,
    }


def _own(path: str, attribute: str) -> type[Section]:
    model: type[Section] = getattr(resolve_name(path), attribute)
    return model


def write(file: Path = FILE) -> None:
    """Write the schema."""
    file.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
