"""config.yaml: validation against its closed schema, defaults, overrides and cross-checks.

Light to import: the Snakefile is parsed anew by every cluster job.
"""

import copy
import difflib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from mmcl.errors import UserError
from mmcl.naming import NO_QUESTION, PROJECT, slug

SCHEMA = PROJECT / "workflow" / "schemas" / "config.schema.yaml"
PROTOCOLS = PROJECT / "resources" / "protocols.json"
SECTIONS = ("vlm", "model", "train", "ensemble", "zero_shot", "seeds")
"""Top-level sections that a benchmark may override."""

Settings = dict[str, Any]


class ConfigError(UserError):
    """A mistake in the configuration; the message starts with the key's path."""


class Config:
    """The configuration with defaults filled in, and each benchmark's and data set's own view of it.

    Args:
        raw: config.yaml as loaded.

    Raises:
        ConfigError: an unknown key, a wrong type or value, or a name that is not defined.
    """

    def __init__(self, raw: Settings):
        schema = load_schema()
        validate(raw, schema)
        self.values = fill_defaults(copy.deepcopy(raw), schema, schema)
        for name in self.values["datasets"]:
            self.dataset(name)
        for name in self.values["benchmarks"]:
            self._check_benchmark(name)
        self.vlms = self._by_name(lambda b: b["vlm"], "vlm")
        self.cnns = self._by_name(lambda b: b["model"]["fam"]["cnn"], "model.fam.cnn")

    @property
    def instruction(self) -> str:
        """The question put to the vision-language model."""
        return self.values["instruction"]

    @cached_property
    def benchmarks(self) -> dict[str, Settings]:
        """Every benchmark with its overrides applied, by name."""
        return {name: self._resolve(name) for name in self.values["benchmarks"]}

    def benchmark(self, name: str) -> Settings:
        """A benchmark's settings: dataset, protocol, threads and every section of SECTIONS."""
        return self.benchmarks[name]

    def dataset(self, name: str, key: str = "datasets") -> Settings:
        """A data set's settings; `video` holds the common settings with its own on top."""
        if name not in self.values["datasets"]:
            raise ConfigError(f"{key}: no data set {name!r}{_meant(name, self.values['datasets'])}")
        dataset = copy.deepcopy(self.values["datasets"][name])
        dataset["video"] = merge(self.values["video"], dataset.get("video", {}))
        return dataset

    def question(self, benchmark: str) -> str:
        """The <question> part of a benchmark's paths."""
        return slug(self.instruction) if self.benchmark(benchmark)["model"]["frm"]["enabled"] else NO_QUESTION

    def uses_pictures(self, benchmark: str) -> bool:
        """Whether training sees the videos."""
        model = self.benchmark(benchmark)["model"]
        return model["fam"]["enabled"] or model["frm"]["enabled"]

    def _resolve(self, name: str, below: tuple[str, ...] = ()) -> Settings:
        if name in below:
            raise ConfigError(f"benchmarks.{below[0]}.like: goes in a circle: {' → '.join([*below, name])}")
        own = self.values["benchmarks"][name]
        if "like" in own:
            if own["like"] not in self.values["benchmarks"]:
                known = _known(own["like"], self.values["benchmarks"])
                raise ConfigError(f"benchmarks.{name}.like: no benchmark {own['like']!r}{known}")
            base = self._resolve(own["like"], (*below, name))
        else:
            base = {section: copy.deepcopy(self.values[section]) for section in SECTIONS} | {"threads": 8}
        resolved = merge(base, {key: value for key, value in own.items() if key != "like"})
        # class maps are chosen as a whole: a benchmark's targets replace the common ones
        if "targets" in own.get("zero_shot", {}):
            resolved["zero_shot"]["targets"] = own["zero_shot"]["targets"]
        for member in resolved["ensemble"]["members"]:
            member.setdefault("graph", "natural")
            member.setdefault("backbone", resolved["model"]["backbone"])
        return resolved

    def _check_benchmark(self, name: str) -> None:
        path = f"benchmarks.{name}"
        benchmark = self.benchmark(name)
        for key in ("dataset", "protocol"):
            if key not in benchmark:
                raise ConfigError(f"{path}: needs {key} (or a benchmark to be like)")
        self.dataset(benchmark["dataset"], f"{path}.dataset")
        protocols = [key for key in json.loads(PROTOCOLS.read_text()) if not key.startswith("_")]
        if benchmark["protocol"] not in protocols:
            known = _known(benchmark["protocol"], protocols)
            raise ConfigError(f"{path}.protocol: no protocol {benchmark['protocol']!r}{known}")
        for target, class_map in benchmark["zero_shot"]["targets"].items():
            self.dataset(target, f"{path}.zero_shot.targets")
            if not (PROJECT / "resources" / "class_maps" / f"{class_map}.json").exists():
                raise ConfigError(
                    f"{path}.zero_shot.targets.{target}: no file resources/class_maps/{class_map}.json"
                )
        ensemble = benchmark["ensemble"]
        if ensemble["weights"] == "preset" and len(ensemble["preset"]) != len(ensemble["members"]):
            counts = f"{len(ensemble['preset'])} weights for {len(ensemble['members'])} members"
            raise ConfigError(f"{path}.ensemble.preset: {counts}")
        train = benchmark["train"]
        if train["crop"][0] > train["crop"][1]:
            raise ConfigError(
                f"{path}.train.crop: the smallest part {train['crop'][0]} exceeds {train['crop'][1]}"
            )

    def _by_name(self, pick: Any, key: str) -> dict[str, Settings]:
        """Settings of all benchmarks that share a name in paths; they must agree."""
        found: dict[str, tuple[str, Settings]] = {}
        for name in self.values["benchmarks"]:
            settings = pick(self.benchmark(name))
            first, known = found.setdefault(settings["name"], (name, settings))
            if known != settings:
                raise ConfigError(
                    f"benchmarks.{name}.{key}: differs from that of {first} but has the same name"
                    f" {settings['name']!r}; give it a name of its own, as it names folders below results/"
                )
        return {name: settings for name, (_, settings) in found.items()}


def load_schema() -> Settings:
    """The schema of config.yaml, with what the package's tables hold filled in."""
    import yaml

    from mmcl.datasets import ANNOUNCED, READERS
    from mmcl.models import BACKBONES
    from mmcl.vlm import ADAPTERS

    tables = {"READERS": [*READERS, *ANNOUNCED], "ADAPTERS": [*ADAPTERS], "BACKBONES": [*BACKBONES]}

    def filled(node: Any) -> Any:
        if isinstance(node, list):
            return [filled(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {k: tables[v] if k == "enum" and isinstance(v, str) else filled(v) for k, v in node.items()}

    return filled(yaml.safe_load(SCHEMA.read_text()))


def load(path: str | Path) -> Config:
    """Read and check a config file outside Snakemake."""
    import yaml

    return Config(yaml.safe_load(Path(path).read_text()))


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
            return f"{key}: unknown key{_meant(unknown, allowed)}; allowed here: {', '.join(allowed)}"
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


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _known(word: str, known: Iterable[str]) -> str:
    return f"{_meant(word, known)}; known: {', '.join(sorted(known))}"


def canonical(settings: Settings) -> Settings:
    """The same settings with the keys of every dict sorted: Snakemake compares params by their text."""
    return json.loads(json.dumps(settings, sort_keys=True))


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
