from importlib import metadata

import pytest

import mmcl
from mmcl import versions


def test_mmcl_is_known_without_being_installed(monkeypatch):
    def nothing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(versions, "version", nothing)
    assert versions.versions("mmcl", "torch") == {"mmcl": mmcl.__version__, "torch": "not installed"}


@pytest.mark.parametrize("answer", [None, TypeError("no METADATA"), KeyError("Version")])
def test_a_damaged_installation_costs_no_result(monkeypatch, answer):
    def damaged(package):
        if answer is None:
            return
        raise answer

    monkeypatch.setattr(versions, "version", damaged)
    assert versions.versions("torch") == {"torch": "unknown"}


def test_nothing_else_asks_for_a_version(project):
    asking = [
        path.name for path in (project / "mmcl").rglob("*.py") if "importlib.metadata" in path.read_text()
    ]
    assert asking == ["versions.py"]
