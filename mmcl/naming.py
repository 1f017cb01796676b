"""Names of files: question slugs, shards, weights. Standard library only."""

import hashlib
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from mmcl.errors import UserError

PACKAGE = Path(str(files("mmcl"))).resolve()
"""The folder of the package."""


def _project() -> Path:
    """In an installed package the folder that setup.py made inside it, in a checkout the one around it."""
    inside = PACKAGE / "_project"
    return inside if inside.is_dir() else PACKAGE.parent


PROJECT = _project()
"""The folder that holds Snakefile, workflow/ and resources/."""

NO_QUESTION = "no-question"
"""The <question> part of a path whose benchmark uses no answers (FRM off)."""

MODEL_FILES = (".json", ".jinja", ".model", ".pth", ".safetensors", ".txt")
"""Suffixes of the files that a model's folder is read from: weights, configuration, vocabulary."""


def slug(text: str) -> str:
    """A question's name in paths: its first four words and 8 hex digits of the sha256 of the exact text.

    The text is not normalised: two questions that differ in case or punctuation may be answered
    differently, so they get different names.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())[:4]
    return "-".join([*words, hashlib.sha256(text.encode()).hexdigest()[:8]])


def shard_names(count: int) -> list[str]:
    """The names of `count` shards: `000-of-032`, `001-of-032`, …"""
    return [f"{i:03d}-of-{count:03d}" for i in range(count)]


def parse_shard(name: str) -> tuple[int, int]:
    """`007-of-032` to (7, 32)."""
    index, count = name.split("-of-")
    return int(index), int(count)


def member_name(backbone: str, graph: str, stream: str) -> str:
    """A stream's name in paths and tables, such as ctrgcn-natural-joint."""
    return f"{backbone}-{graph}-{stream}"


def members(names: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """The names in shard (i, n): every n-th of the sorted list, from the i-th."""
    index, count = shard
    return sorted(names)[index::count]


def find(path: str | Path) -> Path:
    """The place of a path of the config: as given, else below the project's own folder.

    So `resources/…` is found also when the workflow runs in another directory.
    """
    path = Path(path).expanduser()
    return path if path.exists() or path.is_absolute() else PROJECT / path


def sha256(path: Path) -> str:
    """sha256 of a file; of a folder, that of the list of all its files that a model is read from.

    The list is what `sha256sum` prints for the files of `MODEL_FILES` in the order of their names, those of its folders
    (such as the second tokenizer of InstructBLIP) with them; folders whose name begins with a point are left out.
    """
    if path.is_dir():
        there = [*path.iterdir(), *path.glob("[!.]*/*")]
        files = sorted(
            file.relative_to(path).as_posix()
            for file in there
            if file.suffix in MODEL_FILES and file.is_file()
        )
        listed = "".join(f"{sha256(path / name)}  {name}\n" for name in files)
        return hashlib.sha256(os.fsencode(listed)).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_bytes(path: Path) -> int:
    """Size of a weights file, or of the weights in a folder; 0 where there is nothing."""
    files = [path] if path.is_file() else [*path.glob("*.safetensors"), *path.glob("*.pth")]
    return sum(file.stat().st_size for file in files)


def find_weights(path: str | Path, expected: str | None, what: str) -> Path:
    """Find a weights file or folder named in the config and check its sha256.

    Args:
        path: as written in the config.
        expected: sha256 in hex, or None to accept any file.
        what: what belongs there and where it comes from, for the message.

    Raises:
        UserError: it does not exist, or it is another file than the config states.
    """
    found = find(path)
    if not found.exists():
        raise UserError(f"weights not found: {path}. {what}")
    if expected:
        actual = sha256(found)
        if actual != expected:
            of = ", over the list of its files," if found.is_dir() else ""
            raise UserError(f"{found}: sha256{of} is {actual}, but the config states {expected}. {what}")
    return found
