"""Dependencies point one way: what each part of the package may import, read from its source."""

import ast
import sys
from pathlib import Path

import pytest

import mmcl

ROOT = Path(mmcl.__file__).parent

TIERS = [
    {"errors"},
    {"start"},
    {
        "naming",
        "files",
        "device",
        "logs",
        "job_memory",
        "job_times",
        "running",
        "slurm",
        "stages",
        "versions",
        "checksum",
        "schemas",
        "archive",
        "helpers",
        "ahead",
        "precision",
        "capture",
        "progress",
    },
    {"settings", "state_dict", "planned"},
    {"store", "layouts", "provenance", "recipes", "released", "paths", "fetch"},
    {"skeleton", "inspect", "checkpoints", "watch", "working_directory", "leftovers"},
    {"datasets"},
    {"config", "models", "exchange", "weights_needed"},
    {"video"},
    {"vlm"},
    {"plan", "audit", "guess", "engine", "doctor"},
    {"colearn"},
    {"selfsup"},
    {"training"},
    {"evaluation"},
    {"report"},
    {"cli", "demo", "api"},
    {"__init__"},
    {"__main__"},
]
"""A part may import those of lower tiers, and itself."""

ALONE = {
    "exchange": {"audit", "cli", "guess"},
    "guess": {"cli"},
    "audit": {"cli"},
    "fetch": {"cli", "doctor"},
    "doctor": {"cli"},
    "demo": set(),
}
"""Parts that only these others may import."""

LIGHT = ("models", "engine", "colearn", "training", "selfsup", "skeleton")
ALLOWED = {"torch", "numpy", "h5py", "pydantic", "pydantic_core", "mmcl"}
"""What these import at module level, beside the standard library: a GPU machine may have nothing else."""


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        return [f"mmcl.{alias.name}" for alias in node.names] if base == "mmcl" else [base]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def imports(path: Path, module_level: bool = False) -> set[str]:
    """Modules that a file imports; anywhere, or when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        found |= set(modules(node))
        for child in ast.iter_child_nodes(node):
            checked = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if not (module_level and (checked or function)):
                stack.append(child)
    return found


FILES = sorted(ROOT.rglob("*.py"))


def test_every_part_has_its_tier():
    parts = {part_of(path) for path in FILES}
    listed = [part for tier in TIERS for part in tier]
    assert len(listed) == len(set(listed))
    assert parts <= set(listed)
    assert set(listed) == parts


def test_no_arrow_points_up():
    height = {part: number for number, tier in enumerate(TIERS) for part in tier}
    upward = []
    for path in FILES:
        own = part_of(path)
        for module in imports(path):
            names = module.split(".")
            if names[0] != "mmcl" or len(names) < 2 or names[1] not in height:
                continue
            other = names[1]
            if other != own and height[other] >= height[own]:
                upward.append(f"{path.relative_to(ROOT)} imports {module}")
            if other in ALONE and own != other and own not in ALONE[other]:
                upward.append(f"{path.relative_to(ROOT)} imports {module}, which stands alone")
    assert upward == []


@pytest.mark.parametrize("part", LIGHT)
def test_training_needs_torch_alone(part):
    foreign = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in FILES
        if part_of(path) == part
        and not path.name.startswith("triton_")  # imported on a GPU alone, where Triton is
        for module in imports(path, module_level=True)
        if module.split(".")[0] not in ALLOWED | sys.stdlib_module_names
    }
    assert foreign == set()
