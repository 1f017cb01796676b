"""Config files as they are read, before anything is done with what they hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcl.errors import UserError, one_line, shown
from mmcl.settings.explain import ConfigError
from mmcl.settings.merging import Plain

MOST_BYTES = 4 << 20
MOST_VALUES = 100_000
"""Values of a configuration, an aliased part (`*name` in YAML) counted each time: copies and messages write it out."""
DEEPEST = 50
LONGEST_KEY = 200
LONGEST_TEXT = 4096
LINE = 80
"""Characters of text that count as one value."""
TEMPLATES = "__use_yte__"
"""Where a YAML file has this key, Snakemake runs the Python in its values (package yte)."""


def read_config(path: str | Path) -> Plain:
    """The content of a YAML or JSON config file.

    Raises:
        UserError: it cannot be read, is no mapping, asks for Snakemake's templates, or is too large, see `check_size`.
    """
    import yaml

    try:
        if (size := Path(path).stat().st_size) > MOST_BYTES:
            raise UserError(f"{path}: has {size:,} bytes, more than the {MOST_BYTES:,} of a config file")
        text = Path(path).read_text(encoding="utf-8")
        try:
            content = json.loads(text)  # which may be indented by tabs
        except ValueError:
            content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(
            f"{path}: cannot be read as a config file ({one_line(' '.join(str(error).split()))})"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a config file holds keys and values")
    if TEMPLATES in content:
        raise UserError(
            f"{path}: has the key {TEMPLATES}, with which Snakemake runs Python code in the values of a config file, "
            "in a dry run too; write plain values instead"
        )
    try:
        check_size(content)
    except ConfigError as error:
        raise UserError(f"{path}: {error}") from None
    return content


def check_size(plain: Mapping[str, Any]) -> None:
    """Refuse a configuration that a few lines of YAML aliases make larger than memory, or no message could show.

    Raises:
        ConfigError: more than MOST_VALUES values, or DEEPEST levels; a key or text that is too long; a key that is no
            printable text.
    """
    _size(plain, {}, 0)


def _size(value: Any, known: dict[int, int], depth: int) -> int:
    """Values in a value; `known` are the sizes of the parts seen before, which aliases share."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise ConfigError(f"config: a text of {len(value)} characters, {shown(value)}")
        return 1 + len(value) // LINE
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) in known:
        return known[id(value)]
    if depth > DEEPEST:  # an alias inside its own part, too
        raise ConfigError(f"config: is nested more than {DEEPEST} levels deep")
    size = 1
    for key in value if isinstance(value, dict) else ():
        if not (isinstance(key, str) and len(key) <= LONGEST_KEY and key.isprintable()):
            raise ConfigError(
                f"config: {shown(key)} is no key: printable text of up to {LONGEST_KEY} characters, maybe in quotes"
            )
    for part in value.values() if isinstance(value, dict) else value:
        size += _size(part, known, depth + 1)
        if size > MOST_VALUES:
            raise ConfigError(
                f"config: holds more than {MOST_VALUES:,} values; an aliased part (*name) counts each time"
            )
    known[id(value)] = size
    return size
