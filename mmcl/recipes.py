"""Recipes: sets of defaults that take the place of the models' (`recipe` in config.yaml, files in resources/recipes).

A file holds
    settings: a piece of config.yaml. Entries of `datasets` hold for the data set of that name and reader, entries of
        `benchmarks` for every benchmark with that protocol.
    quirks: rows of these settings that are accidents of the reproduced code → what they do.
    kept: rows where nothing can be reproduced and ours stays → why.
A row is a key with its path, such as model.fam.chunk.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmcl.naming import PROJECT
from mmcl.settings.jobs import RecipeReport
from mmcl.settings.merging import Plain, flat, merge

FOLDER = PROJECT / "resources" / "recipes"
NONE = "none"


@dataclass(frozen=True)
class Recipe:
    """A recipe by its name; see the module for the rest."""

    name: str
    settings: Plain
    quirks: dict[str, str]
    kept: dict[str, str]

    def settings_for(self, datasets: Plain, protocol: str | None) -> Plain:
        """The piece of config.yaml that holds for these data sets, with a protocol's own rows in its sections."""
        common = {key: value for key, value in self.settings.items() if key not in ("datasets", "benchmarks")}
        for benchmark in self.settings.get("benchmarks", {}).values():
            if benchmark["protocol"] == protocol:
                common = merge(common, {key: value for key, value in benchmark.items() if key != "protocol"})
        common["datasets"] = {
            name: dataset
            for name, dataset in self.settings.get("datasets", {}).items()
            if name in datasets and datasets[name].get("reader") == dataset["reader"]
        }
        return common

    def report(self, rows: Plain, used: Plain, plain: Plain, sections: tuple[str, ...]) -> RecipeReport:
        """What the recipe changed, as it is written into a result's settings.

        Args:
            rows: what it holds, from `settings_for`.
            used: the settings in use.
            plain: those without the recipe.
            sections: the sections that matter for the result.

        Returns:
            name; changed: rows that are otherwise than without it; overridden: rows where something else is in
            use; quirks in use; kept: see the module.
        """
        values = {row: value for row, value in flat(rows).items() if row.split(".")[0] in sections}
        now, before = flat(used), flat(plain)
        # what belongs to other data sets is not in use; of those in use, a row may be left to the reader's default
        own = tuple(f"datasets.{name}." for name in used.get("datasets", {}))
        values = {row: value for row, value in values.items() if row in now or row.startswith(own)}
        held = [row for row, value in values.items() if now.get(row) == value]
        return RecipeReport(
            name=self.name,
            changed=tuple(sorted(row for row in held if before.get(row) != now[row])),
            overridden=tuple(sorted(set(values) - set(held))),
            quirks=tuple(sorted(row for row in self.quirks if row in held)),
            kept=tuple(
                sorted(row for row in self.kept if row.split(".")[0] in sections and row not in values)
            ),
        )


@cache
def open_recipe(name: str) -> Recipe:
    """Read resources/recipes/<name>.yaml."""
    import yaml

    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Recipe(name, content["settings"], content["quirks"], content["kept"])


def names(folder: Path = FOLDER) -> list[str]:
    """The recipes that there are, `none` first."""
    return [NONE, *sorted(path.stem for path in folder.glob("*.yaml"))]
