"""config.yaml: defaults, recipes, overrides and cross-checks.

Light to import: the Snakefile is parsed anew by every cluster job.
"""

import copy
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmcl.datasets import LISTED
from mmcl.datasets.protocols import Rule, among, find_rule, protocols
from mmcl.errors import UserError
from mmcl.models import GRAPHS, default_graph
from mmcl.naming import NO_QUESTION, PROJECT, slug
from mmcl.recipes import NONE, Recipe, open_recipe
from mmcl.schema import ConfigError, Settings, fill_defaults, known, load_schema, meant, merge, validate

SECTIONS = ("vlm", "model", "train", "ensemble", "zero_shot", "selfsup", "seeds")
"""Top-level sections that a benchmark may override."""


class Config:
    """The configuration with defaults filled in, and each benchmark's and data set's own view of it.

    Args:
        raw: config.yaml as loaded.

    Raises:
        ConfigError: an unknown key, a wrong type or value, or a name that is not defined.
    """

    def __init__(self, raw: Settings):
        self.schema = load_schema()
        validate(raw, self.schema)
        self.raw = copy.deepcopy(raw)
        self._recipes: dict[str, Recipe] = {}
        self.values = self._filled(raw.get("recipe", NONE))
        for name, rule in self.values["protocols"].items():
            _check_rule(f"protocols.{name}", name, rule)
        for name in self.values["datasets"]:
            _check_poses(f"datasets.{name}", self.dataset(name))
        for name in self.values["benchmarks"]:
            self._check_benchmark(name)
        self.vlms = self._by_name(lambda b: b["vlm"], "vlm")
        self.cnns = self._by_name(_cnn, "model.fam.cnn")

    @property
    def instruction(self) -> str:
        """The question put to the vision-language model."""
        return self.values["instruction"]

    @cached_property
    def benchmarks(self) -> dict[str, Settings]:
        """Every benchmark with its overrides applied, by name."""
        return {name: self._resolve(name) for name in self.values["benchmarks"]}

    def benchmark(self, name: str) -> Settings:
        """A benchmark's settings: dataset, protocol, threads, gpus, recipe, sections of SECTIONS, maybe exclude."""
        return self.benchmarks[name]

    def own_rule(self, protocol: str) -> Rule | None:
        """The rule of a protocol under `protocols`, without its source; None for a published one."""
        rule = self.values["protocols"].get(protocol.partition("/")[0])
        return rule and {key: value for key, value in rule.items() if key != "source"}

    def dataset(self, name: str, key: str = "datasets") -> Settings:
        """A data set's settings; `video` holds the common settings with its own on top."""
        if name not in self.values["datasets"]:
            raise ConfigError(f"{key}: no data set {name!r}{meant(name, self.values['datasets'])}")
        return _dataset(self.values, name)

    def recipe(self, name: str) -> Recipe:
        """A recipe in resources/recipes."""
        if name not in self._recipes:
            self._recipes[name] = open_recipe(name, self.schema)
        return self._recipes[name]

    def recipe_report(self, benchmark: str, sections: tuple[str, ...]) -> Settings | None:
        """What a benchmark's recipe did to these sections, `video` and `datasets` among them; None without a recipe."""
        used = self.benchmark(benchmark)
        if used["recipe"] == NONE:
            return None
        recipe = self.recipe(used["recipe"])
        source, plain = used["dataset"], self._resolve(benchmark, NONE)
        rows = recipe.settings_for(self.raw["datasets"], used["protocol"])
        return recipe.report(
            rows,
            {**used, **_shared(self.values, source)},
            {**plain, **_shared(self._filled(NONE), source)},
            sections,
        )

    def question(self, benchmark: str) -> str:
        """The <question> part of a benchmark's paths."""
        return slug(self.instruction) if self.benchmark(benchmark)["model"]["frm"]["enabled"] else NO_QUESTION

    def uses_pictures(self, benchmark: str) -> bool:
        """Whether training sees the videos."""
        model = self.benchmark(benchmark)["model"]
        return model["fam"]["enabled"] or model["frm"]["enabled"]

    def _filled(self, recipe: str, protocol: str | None = None) -> Settings:
        """The configuration with the rows of a recipe, then the schema's defaults, where it says nothing."""
        raw = self.raw
        if recipe != NONE:
            raw = merge(self.recipe(recipe).settings_for(raw["datasets"], protocol), raw)
        return fill_defaults(copy.deepcopy(raw), self.schema, self.schema)

    def _chain(self, name: str, below: tuple[str, ...] = ()) -> list[Settings]:
        """What a benchmark and those it is like state, its own last."""
        if name in below:
            raise ConfigError(f"benchmarks.{below[0]}.like: goes in a circle: {' → '.join([*below, name])}")
        own = self.values["benchmarks"][name]
        if "like" not in own:
            return [own]
        if own["like"] not in self.values["benchmarks"]:
            others = known(own["like"], self.values["benchmarks"])
            raise ConfigError(f"benchmarks.{name}.like: no benchmark {own['like']!r}{others}")
        return [*self._chain(own["like"], (*below, name)), own]

    def _resolve(self, name: str, recipe: str | None = None) -> Settings:
        """A benchmark's settings, with another recipe than its own if one is given."""
        chain = self._chain(name)
        stated = {key: value for own in chain for key, value in own.items()}
        recipe = recipe or str(stated.get("recipe", self.values["recipe"]))
        base = self._filled(recipe, stated.get("protocol"))
        resolved = {section: base[section] for section in SECTIONS} | {"threads": 8, "gpus": 1}
        for own in chain:
            resolved = merge(resolved, {key: value for key, value in own.items() if key != "like"})
            # class maps are chosen as a whole: a benchmark's targets replace the common ones
            if "targets" in own.get("zero_shot", {}):
                resolved["zero_shot"]["targets"] = own["zero_shot"]["targets"]
        # `pretrain`, `init` and `distil` may be null above and begin here, with their own defaults
        for section in ("model", "train"):
            fill_defaults(resolved[section], self.schema["$defs"][section], self.schema)
        for member in resolved["ensemble"]["members"]:
            member.setdefault("backbone", resolved["model"]["backbone"])
            member.setdefault("graph", default_graph(member["backbone"]))
        return resolved | {"recipe": recipe}

    def _check_benchmark(self, name: str) -> None:
        path = f"benchmarks.{name}"
        benchmark = self.benchmark(name)
        for key in ("dataset", "protocol"):
            if key not in benchmark:
                raise ConfigError(f"{path}: needs {key} (or a benchmark to be like)")
        self.dataset(benchmark["dataset"], f"{path}.dataset")
        try:
            find_rule(benchmark["protocol"], self.values["protocols"])
        except UserError as unknown:
            raise ConfigError(f"{path}.protocol: {unknown}") from None
        for target, class_map in benchmark["zero_shot"]["targets"].items():
            self.dataset(target, f"{path}.zero_shot.targets")
            if not (PROJECT / "resources" / "class_maps" / f"{class_map}.json").exists():
                raise ConfigError(
                    f"{path}.zero_shot.targets.{target}: no file resources/class_maps/{class_map}.json"
                )
        ensemble = benchmark["ensemble"]
        for member in ensemble["members"]:
            backbone, graph = member["backbone"], member["graph"]
            if graph not in GRAPHS.get(backbone, (graph,)):
                allowed = ", ".join(GRAPHS[backbone])
                raise ConfigError(f"{path}.ensemble.members: {backbone} takes graph {allowed}, not {graph}")
        if ensemble["weights"] == "preset" and len(ensemble["preset"]) != len(ensemble["members"]):
            counts = f"{len(ensemble['preset'])} weights for {len(ensemble['members'])} members"
            raise ConfigError(f"{path}.ensemble.preset: {counts}")
        self._check_pretrain(benchmark, path)
        train = benchmark["train"]
        if train["crop"][0] > train["crop"][1]:
            raise ConfigError(
                f"{path}.train.crop: the smallest part {train['crop'][0]} exceeds {train['crop'][1]}"
            )
        if train["batch"] % benchmark["gpus"]:
            raise ConfigError(
                f"{path}.gpus: {benchmark['gpus']} cannot share train.batch {train['batch']} out evenly"
            )
        _check_selfsup(benchmark["selfsup"], f"{path}.selfsup")
        self._check_sources(name)

    def _check_sources(self, name: str) -> None:
        """The benchmarks whose encoders or ensemble a benchmark takes are there, and do not wait for it in turn."""
        benchmark, path = self.benchmark(name), f"benchmarks.{name}"
        sources = {
            "selfsup.probe": benchmark["selfsup"]["probe"],
            "train.init": benchmark["train"]["init"],
            "train.distil": benchmark["train"]["distil"],
        }
        for key, section in sources.items():
            # not a matter of the schema: a benchmark that is like another states but what it changes
            if section and "from" not in section:
                raise ConfigError(f"{path}.{key}: the key 'from' is missing")
            source = section and section["from"]
            if source and source not in self.values["benchmarks"]:
                others = known(source, self.values["benchmarks"])
                raise ConfigError(f"{path}.{key}.from: no benchmark {source!r}{others}")
            theirs = self.benchmark(source) if source else benchmark
            if theirs.get("dataset") == benchmark["dataset"] and theirs["protocol"] != benchmark["protocol"]:
                raise ConfigError(
                    f"{path}.{key}.from: {source} trains on {theirs['dataset']} by protocol {theirs['protocol']},"
                    f" which may hold test clips of {benchmark['protocol']}"
                )
        below = [name]
        while distil := self.benchmark(below[-1])["train"]["distil"]:
            below.append(distil.get("from"))
            if below[-1] in below[:-1]:
                raise ConfigError(f"{path}.train.distil.from: goes in a circle: {' → '.join(below)}")
            if below[-1] not in self.values["benchmarks"]:
                break  # said where that one is checked

    def _check_pretrain(self, benchmark: Settings, path: str) -> None:
        cnn = benchmark["model"]["fam"]["cnn"]
        if not cnn["pretrain"]:
            return
        key = f"{path}.model.fam.cnn"
        if cnn["weights"] is not None:
            raise ConfigError(
                f"{key}.weights: `pretrain` trains the network from random weights; set weights to null"
            )
        if not cnn["frozen"]:
            raise ConfigError(f"{key}.frozen: a network of `pretrain` is used frozen; set frozen to true")
        protocol = cnn["pretrain"].get("protocol")
        if protocol is None:
            raise ConfigError(f"{key}.pretrain: the key 'protocol' is missing")
        if protocol != benchmark["protocol"]:
            raise ConfigError(
                f"{key}.pretrain.protocol: {protocol} is not the benchmark's protocol {benchmark['protocol']}, "
                "so it might see test clips"
            )

    def _by_name(self, pick: Any, key: str) -> dict[str, Settings]:
        """Settings of all benchmarks that share a name in paths; they must agree."""
        found: dict[str, tuple[str, Settings]] = {}
        for name in self.values["benchmarks"]:
            settings = pick(self.benchmark(name))
            first, agreed = found.setdefault(settings["name"], (name, settings))
            if agreed != settings:
                raise ConfigError(
                    f"benchmarks.{name}.{key}: differs from that of {first} but has the same name"
                    f" {settings['name']!r}; give it a name of its own, as it names folders below results/"
                )
        return {name: settings for name, (_, settings) in found.items()}


def load(path: str | Path) -> Config:
    """Read and check a config file outside Snakemake."""
    import yaml

    return Config(yaml.safe_load(Path(path).read_text()))


def canonical(settings: Settings) -> Settings:
    """The same settings with the keys of every dict sorted: Snakemake compares params by their text."""
    return json.loads(json.dumps(settings, sort_keys=True))


def _check_rule(path: str, name: str, rule: Rule) -> None:
    """What the schema cannot say of a protocol."""
    if name in protocols():
        raise ConfigError(f"{path}: a published protocol has this name; choose another")
    if ("by" in rule) == ("random" in rule):
        raise ConfigError(f"{path}: needs either by or random")
    by_number = rule.get("by", "split") != "split"
    for side in ("train", "test"):
        if by_number and side not in rule:
            raise ConfigError(f"{path}: the key {side!r} is missing")
        if not by_number and side in rule:
            raise ConfigError(f"{path}.{side}: goes with by: subject, camera or setup alone")
    if by_number:
        lists = [rule[side] for side in ("train", "test") if not isinstance(rule[side], str)]
        # 1 and 2 stand for all the odd and even numbers
        numbers = np.array([1, 2, *(number for one in lists for number in one)])
        both = numbers[among(numbers, rule["train"]) & among(numbers, rule["test"])]
        if len(both):
            raise ConfigError(f"{path}.test: {rule['by']} {max(both)} is among train too")


def _check_poses(path: str, dataset: Settings) -> None:
    """What the schema cannot say of a data set whose skeletons a pose estimator makes."""
    if "poses" not in dataset:
        return
    if dataset["skeletons"]:
        raise ConfigError(f"{path}.poses: makes the skeletons, so set {path}.skeletons to null")
    if dataset["reader"] not in LISTED:
        readers = " or ".join(LISTED)
        raise ConfigError(
            f"{path}.poses: goes with reader {readers}, which lists clips without skeleton files"
        )


def _check_selfsup(selfsup: Settings, path: str) -> None:
    """What the schema cannot say of pre-training and distillation."""
    after = selfsup["exchange_after"]
    if len(selfsup["modalities"]) < 2 and after is not None and after < selfsup["epochs"]:
        raise ConfigError(
            f"{path}.exchange_after: {selfsup['modalities'][0]} alone has no other modality to exchange knowledge "
            "with; set it to null"
        )
    if not (selfsup["mining_weight"] or selfsup["joint_weight"]):
        raise ConfigError(f"{path}.joint_weight: of mining_weight and joint_weight one must not be 0")
    if selfsup["augmentation"]["crop"][0] > selfsup["augmentation"]["crop"][1]:
        raise ConfigError(f"{path}.augmentation.crop: the smallest part exceeds the largest")
    if selfsup["topk"] > selfsup["memory"]:
        raise ConfigError(f"{path}.topk: {selfsup['topk']} exceeds the {selfsup['memory']} keys of memory")
    for key, batch in (("batch", selfsup["batch"]), ("student.batch", selfsup["student"]["batch"])):
        if batch > selfsup["memory"]:
            raise ConfigError(f"{path}.{key}: {batch} clips do not fit into a memory of {selfsup['memory']}")
    encoder = selfsup["encoder"]
    for key, own in (("encoder", encoder), ("student.encoder", encoder | selfsup["student"]["encoder"])):
        backbone, graph = own["backbone"], own.get("graph", default_graph(own["backbone"]))
        if graph not in GRAPHS.get(backbone, (graph,)):
            allowed = ", ".join(GRAPHS[backbone])
            raise ConfigError(f"{path}.{key}.graph: {backbone} takes {allowed}, not {graph}")


def _cnn(benchmark: Settings) -> Settings:
    """The CNN of a benchmark; one that is trained here follows from the clips left out, too."""
    cnn = benchmark["model"]["fam"]["cnn"]
    if not (cnn["pretrain"] and benchmark.get("exclude")):
        return cnn
    return {**cnn, "pretrain": {**cnn["pretrain"], "exclude": benchmark["exclude"]}}


def _dataset(values: Settings, name: str) -> Settings:
    dataset = copy.deepcopy(values["datasets"][name])
    dataset["video"] = merge(values["video"], dataset.get("video", {}))
    return dataset


def _shared(values: Settings, dataset: str) -> Settings:
    """What a benchmark has from its data set, in the form of config.yaml."""
    own = _dataset(values, dataset)
    return {"video": own["video"], "datasets": {dataset: own}}
