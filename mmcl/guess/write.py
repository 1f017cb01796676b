"""A description as files of a working directory: the table of clips, and sections of config.yaml."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mmcl import paths
from mmcl.config import Config, with_demo
from mmcl.errors import UserError
from mmcl.files import write_text
from mmcl.guess.describe import Description
from mmcl.guess.finding import Finding
from mmcl.naming import find
from mmcl.settings.base import narrowed
from mmcl.settings.loading import read_config
from mmcl.settings.merging import Plain, merge
from mmcl.settings.training import TrainSettings

QUICK: Plain = {
    "epochs": 40,
    "learning_rate": 0.05,
    "warmup_epochs": 5,
    "steps": [30],
    "window": 32,
    "min_crop": 16,
}
"""A training that shows on a CPU whether all fits together."""
WIDTH = 110
"""Of comments."""


def write_project(described: Description, folder: Path) -> list[Path]:
    """Write the table, a layout of one's own, and the data set's sections in config.yaml.

    Args:
        described: what was guessed.
        folder: the working directory, with a config.yaml.

    Returns:
        The files that were written or changed.

    Raises:
        UserError: config.yaml has a data set or benchmark of this name, or has a form that cannot be added to.
    """
    path = folder / "config.yaml"
    name, old = described.name, read_config(path)
    check_name(name, old, path)
    text = path.read_text(encoding="utf-8")
    new = merge(old, sections(described, old))
    for group, block in _blocks(described, sections(described, old)).items():
        text = _inserted(text, group, block)
    try:
        same = yaml.safe_load(text) == new
    except yaml.YAMLError:
        same = False
    if not same:
        added = yaml.safe_dump(sections(described, old), sort_keys=False)
        raise UserError(f"{path}: has a form that cannot be added to; add by hand:\n{added}")
    done = []
    if described.rows:
        done.append(_written(folder / f"{name}.csv", _table(described.rows)))
    if described.layout:
        done.append(_written(folder / f"{name}-layout.json", _layout(described.layout)))
    Config(with_demo(new))
    done.append(_written(path, text))
    return done


def check_name(name: str, config: Plain, path: Path) -> None:
    """Raises: UserError: the configuration or the demo's below it has a data set or benchmark of this name."""
    there = with_demo(config)
    for group in ("datasets", "benchmarks"):
        if name in (there.get(group) or {}):
            raise UserError(f"{path}: {group}.{name} is there already; choose another name with --name")


def _written(path: Path, text: str) -> Path:
    write_text(path, text)
    return path


def _table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _layout(tree: dict[str, str]) -> str:
    root = next(joint for joint, parent in tree.items() if joint == parent)
    source = (
        "made by `mmcl init --data`: the tree with the shortest bones; names and parents are to be corrected"
    )
    return json.dumps({"source": source, "centre": root, "joints": tree}, indent=2) + "\n"


def sections(described: Description, config: Plain) -> Plain:
    """What is added to a configuration: data set, protocol, benchmark."""
    name = described.name
    added: Plain = {"datasets": {name: described.dataset}}
    if not described.protocol:
        return added
    if described.rule:
        added["protocols"] = {described.protocol: described.rule.dump()}
    model: Plain = {"width": 0.25}
    if not _modules(described, config):
        model |= {"fam": {"enabled": False}, "frm": {"enabled": False}}
    added["benchmarks"] = {
        name: {
            "dataset": name,
            "protocol": described.protocol,
            "threads": 2,
            "model": model,
            "train": narrowed_plain({**QUICK, **described.train}),
            "ensemble": {"members": [{"stream": "joint"}, {"stream": "bone"}], "weights": "equal"},
        }
    }
    return added


def narrowed_plain(train: Plain) -> Plain:
    """Settings of a training, checked, as they are written."""
    narrowed(TrainSettings, TrainSettings.model_validate(train))
    return train


def _modules(described: Description, config: Plain) -> bool:
    """Whether FAM and FRM can be used: there are videos, and the weights of their networks."""
    if "videos" not in described.dataset or "poses" in described.dataset:
        return False
    named = (("video", "detector"), ("vlm",), ("model", "fam", "cnn"))
    places = []
    for path in named:
        section: Any = config
        for key in path:
            section = (section or {}).get(key) or {}
        places.append(section.get("weights"))
    return all(place and find(place).exists() for place in places)


# ------------------------------------------------------------------------------------------------ text


def _blocks(described: Description, added: Plain) -> dict[str, str]:
    """Section of config.yaml → lines to put into it."""
    said = [f"{one.what}: {one.value or 'not known'} ({one.why})" for one in described.findings]
    checks = [f"check {one.what}: {one.check}" for one in described.findings if one.check]
    guessed = ["Added by `mmcl init --data`, which guessed:", *said, *checks]
    blocks = {"datasets": _comment(guessed) + _body(added["datasets"])}
    if "benchmarks" in added:
        about = [
            "Small, for a first result in minutes; without model.width, train and ensemble the papers' settings hold."
        ]
        if described.rule and described.rule.folds:
            place = f"results/{described.name}"
            about.append(f"{place}/ensemble.json is of the first fold, {place}/folds.json of all.")
        if added["benchmarks"][described.name]["model"].get("fam"):
            about.append(
                "FAM and FRM are off, as they need videos."
                if "videos" not in described.dataset
                else "FAM and FRM are off: with videos they need the weights that config.yaml names (`mmcl fetch`)."
            )
        blocks["benchmarks"] = _comment(about) + _body(added["benchmarks"])
    if "protocols" in added:
        blocks["protocols"] = _body(added["protocols"])
    return blocks


def _comment(lines: Sequence[str]) -> str:
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False)
    ]
    return "".join(f"  # {line}\n" for line in wrapped)


def _body(section: Plain) -> str:
    text = ""
    for name, values in section.items():
        text += f"  {name}:\n"
        for key, value in values.items():
            if key == "options":
                text += f"    {key}:\n"
                text += "".join(f"      {option}: {_inline(stated)}\n" for option, stated in value.items())
            else:
                text += f"    {key}: {_inline(value)}\n"
    return text


def _inline(value: Any) -> str:
    """A value as YAML in one line."""
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return str(dumped).removesuffix("\n").removesuffix("...").strip()


def _inserted(text: str, group: str, block: str) -> str:
    """A config file's text with more lines at the beginning of a section, or with the section at its end."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.split("#")[0].rstrip() == f"{group}:":
            return "".join([*lines[: number + 1], block, "\n", *lines[number + 1 :]])
    return f"{text.rstrip()}\n\n{group}:\n{block}"


# ---------------------------------------------------------------------------------------------- report


def next_command(described: Description) -> str:
    """What a user runs next in the working directory."""
    if described.protocol:
        steps = [*described.needed, f"snakemake --cores 2 results/{described.name}/ensemble.json"]
    else:
        steps = [*described.needed]
        if "poses" in described.dataset:
            [store] = paths.shards(paths.POSES, 1, dataset=described.name)
            steps.append(f"snakemake --cores 2 {store}")
        steps.append(f"mmcl predict MODEL {described.name}")
    return " && ".join(steps)


def as_json(described: Description, written: Sequence[Path]) -> Plain:
    """The guesses for programs."""

    def plain(one: Finding) -> dict[str, str]:
        return one._asdict()

    return {
        "name": described.name,
        "dataset": described.dataset,
        "protocol": described.protocol or None,
        "clips": max(0, len(described.rows) - 1) or None,
        "guesses": [plain(one) for one in described.findings],
        "needed": described.needed,
        "next": next_command(described),
        "written": [str(path) for path in written],
    }
