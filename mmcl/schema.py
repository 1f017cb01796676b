"""The closed schema of config.yaml: what it allows, its defaults, and messages that name the key."""

import copy
import difflib
import json
from collections.abc import Iterable
from typing import Any

from mmcl.errors import UserError
from mmcl.naming import PROJECT

SCHEMA = PROJECT / "workflow" / "schemas" / "config.schema.yaml"

Settings = dict[str, Any]


class ConfigError(UserError):
    """A mistake in the configuration; the message starts with the key's path."""


def load_schema() -> Settings:
    """The schema of config.yaml, with what the package's tables hold filled in."""
    import yaml

    from mmcl.datasets import READERS
    from mmcl.models import BACKBONES
    from mmcl.recipes import names
    from mmcl.video.pose import ESTIMATORS
    from mmcl.vlm import ADAPTERS

    tables = {
        "READERS": list(READERS),
        "ADAPTERS": [*ADAPTERS],
        "ESTIMATORS": [*ESTIMATORS],
        "BACKBONES": [*BACKBONES],
        "RECIPES": names(),
    }

    def filled(node: Any) -> Any:
        if isinstance(node, list):
            return [filled(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {k: tables[v] if k == "enum" and isinstance(v, str) else filled(v) for k, v in node.items()}

    return filled(yaml.safe_load(SCHEMA.read_text()))


def validate(raw: Settings, schema: Settings) -> None:
    """Check a configuration against the schema.

    Raises:
        ConfigError: names the key's path, what is wrong and what is allowed; the first mistake only.
    """
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(schema).iter_errors(raw), key=lambda e: [str(p) for p in e.absolute_path]
    )
    if errors:
        raise ConfigError(_explain(errors[0]))


def _explain(error: Any) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    described = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    about = f" ({described})" if described else ""
    value = json.dumps(error.instance, ensure_ascii=False, default=str)
    match error.validator:
        case "additionalProperties":
            allowed = sorted(error.schema.get("properties", {}))
            unknown = sorted(set(error.instance) - set(allowed))[0]
            key = f"{path}.{unknown}" if path else unknown
            return f"{key}: unknown key{meant(unknown, allowed)}; allowed here: {', '.join(allowed)}"
        case "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            return f"{path or 'config'}: the key {missing!r} is missing"
        case "enum":
            options = ", ".join(json.dumps(option) for option in error.validator_value)
            return f"{path}: {value} is not allowed; allowed: {options}{about}"
        case "type":
            types = error.validator_value
            wanted = " or ".join(types) if isinstance(types, list) else types
            return f"{path}: {value} is not of type {wanted}{about}"
        case _:
            return f"{path}: {error.message}{about}"


def meant(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a name much like it, if there is one."""
    close = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def known(word: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: what was meant, and all there are."""
    return f"{meant(word, names)}; known: {', '.join(sorted(names))}"


def fill_defaults(value: Any, schema: Settings, root: Settings) -> Any:
    """Fill in the schema's defaults, in place; overrides inside benchmarks and data sets stay as written."""
    node = dict(schema)
    if "$ref" in node:
        node = {**root["$defs"][node.pop("$ref").removeprefix("#/$defs/")], **node}
    if not isinstance(value, dict):
        return value
    for key, sub in node.get("properties", {}).items():
        if key not in value and "default" in sub:
            value[key] = copy.deepcopy(sub["default"])
        if key in value and not _overrides(node, key):
            fill_defaults(value[key], sub, root)
    # the entries of datasets; a benchmark states overrides only
    more = node.get("additionalProperties")
    if isinstance(more, dict) and more.get("$ref") != "#/$defs/benchmark":
        for entry in value.values():
            fill_defaults(entry, more, root)
    return value


def _overrides(node: Settings, key: str) -> bool:
    """Whether a key of a data set states overrides of a top-level section."""
    return "reader" in node.get("properties", {}) and key == "video"


def merge(base: Settings, over: Settings) -> Settings:
    """`over` on top of `base`: dicts are merged key by key, everything else is replaced. Neither is changed."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
