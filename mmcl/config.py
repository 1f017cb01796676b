"""config.yaml → settings: recipes and overrides are merged as plain mappings, then validated once.

Light to import: the Snakefile is parsed anew by every cluster job.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from mmcl.datasets.protocols import find_rule, protocols
from mmcl.errors import UserError, known, meant, shown
from mmcl.naming import NO_QUESTION, PROJECT, slug
from mmcl.recipes import NONE, names, open_recipe
from mmcl.settings.base import narrowed, replaced
from mmcl.settings.benchmark import BenchmarkSettings
from mmcl.settings.dataset import DatasetSettings
from mmcl.settings.explain import ConfigError, KeyPath, validated
from mmcl.settings.file import OVERRIDDEN, ConfigFile
from mmcl.settings.jobs import RecipeReport
from mmcl.settings.loading import check_size, read_config
from mmcl.settings.merging import Plain, merge, states
from mmcl.settings.model import CnnSettings
from mmcl.settings.protocol import Rule
from mmcl.settings.vlm import VlmSettings

V = TypeVar("V")

MAPS = PROJECT / "resources" / "class_maps"
DEMO = PROJECT / "resources" / "demo" / "config.yaml"


@dataclass(frozen=True)
class NamedCnn:
    """A CNN by its name in paths; one that is trained here follows from the clips left out, too."""

    settings: CnnSettings
    exclude: str | None = None


class Config:
    """The configuration: every data set and benchmark with all that it inherits.

    Args:
        raw: config.yaml as loaded.

    Attributes:
        datasets: name → settings; `video` holds the common settings with its own on top.
        benchmarks: name → settings with everything inherited.
        protocols: the user's own, by name.
        demo_weights: how the demo's small networks are trained.
        tensorboard: whether trainings write event files.
        vlms, cnns: what benchmarks call by the same name in paths.

    Raises:
        ConfigError: an unknown key, a wrong type or value, or a name that is not defined.
    """

    def __init__(self, raw: Plain):
        self.raw = raw
        check_size(raw)
        recipe = raw.get("recipe", NONE) if isinstance(raw, dict) else NONE
        _check_recipe(recipe, "recipe")
        self.file = validated(ConfigFile, self._merged(recipe), where=self._origin([], recipe))
        self.protocols: dict[str, Rule] = self.file.protocols
        self.demo_weights = self.file.demo_weights
        self.tensorboard = self.file.tensorboard
        if self.tensorboard and not find_spec("tensorboard"):
            raise ConfigError(
                "tensorboard: the package is missing; install the extra: pip install 'mmcl[tensorboard]'"
            )
        for name in self.protocols:
            if name in protocols():
                raise ConfigError(f"protocols.{name}: a published protocol has this name; choose another")
        self.datasets = {name: self._dataset(name, recipe) for name in self.file.datasets}
        self.benchmarks = {name: self._resolve(name) for name in self.file.benchmarks}
        for name in self.benchmarks:
            self._check_benchmark(name)
        self.vlms = self._by_name(lambda b: (b.vlm.name, narrowed(VlmSettings, b.vlm)), "vlm")
        self.cnns = self._by_name(_cnn, "model.fam.cnn")

    def benchmark(self, name: str) -> BenchmarkSettings:
        """A benchmark's settings; of `name/3` those of the third fold of its protocol.

        Raises:
            UserError: there is no such benchmark.
        """
        base, _, fold = name.partition("/")
        if base not in self.benchmarks:
            raise UserError(f"no benchmark {base!r}{known(base, self.benchmarks)}")
        settings = self.benchmarks[base]
        return replaced(settings, protocol=f"{settings.protocol}/{fold}") if fold else settings

    def dataset(self, name: str, key: str = "datasets") -> DatasetSettings:
        """A data set's settings.

        Raises:
            ConfigError: there is no such data set; names `key`, which refers to it.
        """
        if name not in self.datasets:
            raise ConfigError(f"{key}: no data set {name!r}{meant(name, self.datasets)}")
        return self.datasets[name]

    def own_rule(self, protocol: str) -> Rule | None:
        """The rule of a protocol under `protocols`, without its source; None for a published one."""
        rule = self.protocols.get(protocol.partition("/")[0])
        return rule and rule.model_copy(update={"source": ""})

    @cached_property
    def questions(self) -> dict[str, str]:
        """Every question that may be asked, by its name in paths: instructions and further questions."""
        texts = [self.file.instruction]
        for benchmark in self.benchmarks.values():
            texts += [benchmark.instruction, *benchmark.vlm.also_ask]
        return {slug(text): text for text in texts}

    def further_questions(self, vlm: str) -> list[str]:
        """The texts that a vision-language model is asked in the same pass, of all benchmarks that use it."""
        asked = (b.vlm.also_ask for b in self.benchmarks.values() if b.vlm.name == vlm)
        return list(dict.fromkeys(text for texts in asked for text in texts))

    def question(self, benchmark: str) -> str:
        """The name of a benchmark's question in paths; NO_QUESTION where no answer is used."""
        settings = self.benchmark(benchmark)
        return slug(settings.instruction) if settings.model.frm.enabled else NO_QUESTION

    def recipe_report(self, benchmark: str, sections: tuple[str, ...]) -> RecipeReport | None:
        """What a benchmark's recipe did to these sections, `video` and `datasets` among them; None without a recipe."""
        used = self.benchmark(benchmark)
        if used.recipe == NONE:
            return None
        recipe, source = open_recipe(used.recipe), used.dataset
        plain = self._resolve(benchmark.partition("/")[0], NONE)
        rows = recipe.settings_for(self.file.datasets, used.protocol)
        return recipe.report(
            rows,
            {**used.dump(), **_shared(source, self.datasets[source])},
            {**plain.dump(), **_shared(source, self._dataset(source, NONE))},
            sections,
        )

    # ------------------------------------------------------------------------------------------- merging

    def _merged(self, recipe: str, protocol: str | None = None) -> Plain:
        """config.yaml with the rows of a recipe where it states nothing."""
        if recipe == NONE or not isinstance(self.raw.get("datasets"), dict):
            return self.raw
        return merge(open_recipe(recipe).settings_for(self.raw["datasets"], protocol), self.raw)

    def _dataset(self, name: str, recipe: str) -> DatasetSettings:
        merged = self._merged(recipe)
        own = merged["datasets"][name]
        video = own.get("video") or {}
        if isinstance(video, dict):
            video = merge(merged.get("video") or {}, video)
        settings = {**own, "video": video}
        return validated(DatasetSettings, settings, where=self._origin([("datasets", name)], recipe))

    def _chain(self, name: str, below: tuple[str, ...] = ()) -> list[str]:
        """A benchmark and those that it is like, itself last."""
        if name in below:
            raise ConfigError(f"benchmarks.{below[0]}.like: goes in a circle: {' → '.join([*below, name])}")
        like = self.file.benchmarks[name].get("like")
        if like is None:
            return [name]
        if not isinstance(like, str) or like not in self.file.benchmarks:
            others = known(str(like), self.file.benchmarks)
            raise ConfigError(f"benchmarks.{name}.like: no benchmark {shown(like)}{others}")
        return [*self._chain(like, (*below, name)), name]

    def _resolve(self, name: str, recipe: str | None = None) -> BenchmarkSettings:
        """A benchmark's settings, with another recipe than its own if one is given."""
        chain = self._chain(name)
        stated: Plain = {}
        for link in chain:
            stated |= self.file.benchmarks[link]
        for key in ("dataset", "protocol"):
            if key not in stated:
                raise ConfigError(f"benchmarks.{name}: needs {key} (or a benchmark to be like)")
        recipe = recipe or stated.get("recipe", self.file.recipe)
        _check_recipe(recipe, f"benchmarks.{name}.recipe")
        base = self._merged(recipe, stated["protocol"])
        resolved: Plain = {section: base[section] for section in OVERRIDDEN if section in base}
        for link in chain:
            own = self.file.benchmarks[link]
            resolved = merge(resolved, {key: value for key, value in own.items() if key != "like"})
            # class maps are chosen as a whole: a benchmark's targets replace the common ones
            if isinstance(own.get("zero_shot"), dict) and "targets" in own["zero_shot"]:
                resolved["zero_shot"]["targets"] = own["zero_shot"]["targets"]
        resolved["recipe"] = recipe
        above = [("benchmarks", link) for link in reversed(chain)]
        return validated(BenchmarkSettings, resolved, where=self._origin(above, recipe))

    def _origin(self, above: list[tuple[str, str]], recipe: str) -> Callable[[KeyPath], KeyPath]:
        """A function: path in merged settings → where the user stated it.

        Args:
            above: what was merged on top of the common sections, the last one first; the first is blamed for what is
                stated nowhere.
            recipe: whose rows lie below everything.
        """

        def origin(path: KeyPath) -> KeyPath:
            # a missing key has no place of its own, so where its section is stated
            for reach in (path, path[:-1]):
                for group, name in above:
                    if states(self.raw, (group, name, *reach)) and reach:
                        return group, name, *path
                if reach and states(self.raw, reach):
                    return path
                if reach and recipe != NONE and states(open_recipe(recipe).settings, reach):
                    return f"resources/recipes/{recipe}.yaml: settings", *path
            return (*above[0], *path) if above else path

        return origin

    # -------------------------------------------------------------------------------------------- checks

    def _check_benchmark(self, name: str) -> None:
        path, benchmark = f"benchmarks.{name}", self.benchmarks[name]
        self.dataset(benchmark.dataset, f"{path}.dataset")
        try:
            find_rule(benchmark.protocol, self.protocols)
        except UserError as unknown:
            raise ConfigError(f"{path}.protocol: {unknown}") from None
        for target, class_map in benchmark.zero_shot.targets.items():
            self.dataset(target, f"{path}.zero_shot.targets")
            if not (MAPS / f"{class_map}.json").exists():
                raise ConfigError(
                    f"{path}.zero_shot.targets.{target}: no file resources/class_maps/{class_map}.json"
                )
        self._check_sources(name)

    def _check_sources(self, name: str) -> None:
        """The benchmarks whose encoders or ensemble a benchmark takes are there, and do not wait for it in turn."""
        benchmark, path = self.benchmarks[name], f"benchmarks.{name}"
        train = benchmark.train
        sources = {
            "selfsup.probe": benchmark.selfsup.probe.from_,
            "train.init": train.init.from_ if train.init else None,
            "train.distil": train.distil.from_ if train.distil else None,
        }
        for key, source in sources.items():
            if not source:
                continue
            if source not in self.benchmarks:
                raise ConfigError(
                    f"{path}.{key}.from: no benchmark {source!r}{known(source, self.benchmarks)}"
                )
            theirs = self.benchmarks[source]
            if theirs.dataset == benchmark.dataset and theirs.protocol != benchmark.protocol:
                raise ConfigError(
                    f"{path}.{key}.from: {source} trains on {theirs.dataset} by protocol {theirs.protocol},"
                    f" which may hold test clips of {benchmark.protocol}"
                )
        baseline = benchmark.report.baseline
        if baseline and baseline not in self.benchmarks:
            raise ConfigError(
                f"{path}.report.baseline: no benchmark {baseline!r}{known(baseline, self.benchmarks)}"
            )
        theirs = self.benchmarks[baseline or name]
        if (theirs.dataset, theirs.protocol, theirs.exclude) != (
            benchmark.dataset,
            benchmark.protocol,
            benchmark.exclude,
        ):
            raise ConfigError(
                f"{path}.report.baseline: {baseline} tests other clips ({theirs.dataset}, {theirs.protocol})"
            )
        init, distil = train.init, train.distil
        if init and init.what == "stream" and self.benchmarks[init.from_].dataset == benchmark.dataset:
            raise ConfigError(
                f"{path}.train.init.from: {init.from_} trains on {benchmark.dataset}, too; a stream begins from one of "
                "another data set"
            )
        if distil and self.benchmarks[distil.from_].ensemble.normalise:
            raise ConfigError(
                f"{path}.train.distil.from: {distil.from_} normalises scores; a stream learns from raw ones"
            )
        self._check_circle(name, (name,))

    def _check_circle(self, start: str, below: tuple[str, ...]) -> None:
        """A benchmark whose streams are trained from another's does not wait for itself."""
        if below[-1] not in self.benchmarks:
            return  # reported where that one is checked
        train = self.benchmarks[below[-1]].train
        sources = {"distil": train.distil.from_} if train.distil else {}
        if train.init and train.init.what == "stream":
            sources["init"] = train.init.from_
        for key, source in sources.items():
            if source == start:
                circle = " → ".join([*below, source])
                raise ConfigError(f"benchmarks.{start}.train.{key}.from: goes in a circle: {circle}")
            if source not in below:
                self._check_circle(start, (*below, source))

    def _by_name(self, pick: Callable[[BenchmarkSettings], tuple[str, V]], key: str) -> dict[str, V]:
        """Settings of all benchmarks that share a name in paths; they must agree."""
        found: dict[str, tuple[str, V]] = {}
        for name, benchmark in self.benchmarks.items():
            called, settings = pick(benchmark)
            first, agreed = found.setdefault(called, (name, settings))
            if agreed != settings:
                raise ConfigError(
                    f"benchmarks.{name}.{key}: differs from that of {first} but has the same name {called!r}; give it"
                    " a name of its own, as it names folders below results/"
                )
        return {name: settings for name, (_, settings) in found.items()}


def with_demo(raw: Plain) -> Plain:
    """A configuration on top of the demo's data sets and benchmarks, as the Snakefile loads both."""
    import yaml

    return merge(yaml.safe_load(DEMO.read_text(encoding="utf-8")), raw)


def load(*paths: str | Path) -> Config:
    """Read and check config files outside Snakemake, each on top of those before it, and all on top of the demo's."""
    return Config(_read(paths))


def find_dataset(name: str, files: Sequence[Path]) -> DatasetSettings | None:
    """The data set of this name in config files; None where they have none, whatever else is wrong with them."""
    raw = _read(files)
    return Config(raw).dataset(name) if name in (raw.get("datasets") or {}) else None


def _read(paths: Sequence[str | Path]) -> Plain:
    return with_demo(reduce(merge, map(read_config, paths)))


def config_files(given: Sequence[Path] | None = None, folder: Path = Path()) -> list[Path]:
    """The files of a command's configuration, each on top of those before it, as with Snakemake's `--configfile`.

    Args:
        given: of `--config`.
        folder: the working directory. Its config.yaml is the first of them; the project's where there is no other.

    Raises:
        UserError: there is no such file.
    """
    own = folder / "config.yaml"
    files = [*([own] if own.is_file() else ()), *(given or ())] or [PROJECT / "config.yaml"]
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"{missing[0]}: no such config file")
    return files


def _check_recipe(name: object, key: str) -> None:
    if name not in names():
        options = ", ".join(json.dumps(one) for one in names())
        raise ConfigError(f"{key}: {json.dumps(name, default=str)} is not allowed; allowed: {options}")


def _cnn(benchmark: BenchmarkSettings) -> tuple[str, NamedCnn]:
    cnn = benchmark.model.fam.cnn
    return cnn.name, NamedCnn(cnn, benchmark.exclude if cnn.pretrain else None)


def _shared(name: str, dataset: DatasetSettings) -> Plain:
    """What a benchmark has from its data set, in the form of config.yaml."""
    dumped = dataset.dump()
    return {"video": dumped["video"], "datasets": {name: dumped}}
