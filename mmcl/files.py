"""Small text files that appear whole or not at all. Standard library only."""

import json
import re
from pathlib import Path
from typing import Any


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text under another name first, so that `path` never holds half of it."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that a person can read, whole or not at all: a list of numbers is one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON escapes line ends inside strings, so what spans lines here is a list and never a piece of text
    text = re.sub(r"\[\n([-+.\deE,\s]+)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    write_text(path, text + "\n")
