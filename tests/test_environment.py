import re

import yaml


def pins(text: str) -> set[str]:
    return {
        re.sub(r"\s+", " ", line.strip(" \\\n"))
        for line in text.splitlines()
        if re.match(r"[a-z0-9][^ ]*==", line)
    }


def test_conda_and_pip_pin_the_same(project):
    environment = yaml.safe_load((project / "environment.yml").read_text())
    conda = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert set(conda) == pins((project / "requirements.lock").read_text())
    assert len(conda) > 50


def test_the_lock_is_hashed_and_names_no_index(project):
    lock = (project / "requirements.lock").read_text()
    assert lock.count("--hash=sha256:") > len(pins(lock))
    assert "index-url" not in lock
    assert "://" not in lock


def test_every_dependency_is_locked(project):
    import tomllib

    meta = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    wanted = meta["dependencies"] + [
        name
        for extra, names in meta["optional-dependencies"].items()
        for name in names
        if extra != "all"  # which names the others
    ]
    locked = {pin.split("==")[0] for pin in pins((project / "requirements.lock").read_text())}
    assert {re.match(r"[a-z0-9-]+", name).group() for name in wanted} <= locked
