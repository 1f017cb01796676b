"""Small text files that appear whole or not at all. Standard library only."""

import json
from pathlib import Path
from typing import Any


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text under another name first, so that `path` never holds half of it."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
