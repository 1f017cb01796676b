import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.errors import UserError
from mmcl.working_directory import lay


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_has_what_the_user_edits(tmp_path, project):
    written = lay(tmp_path / "new" / "study")
    assert {path.relative_to(tmp_path / "new/study").as_posix() for path in written} == {
        "Snakefile",
        "config.yaml",
        "profiles/default/profile.v9+.yaml",
        "profiles/shared-gpu/profile.v9+.yaml",
        "resources/papers/ikem.yaml",
        "resources/papers/mmcl.yaml",
        "workflow/profiles/slurm/profile.v9+.yaml",
    }
    assert files(tmp_path / "new/study") == {
        p.relative_to(tmp_path / "new/study").as_posix() for p in written
    }
    for path in written:
        if path.name == "Snakefile":
            continue
        first, *rest = path.read_text().splitlines()
        packaged = (project / path.relative_to(tmp_path / "new/study")).read_text().splitlines()
        assert rest == packaged[1:]
        if "$schema=" in first:
            assert Path(first.split("$schema=")[1]) == project / "workflow/schemas/config.schema.json"
        else:
            assert first == packaged[0]


def test_what_is_there_stays(tmp_path):
    written = lay(tmp_path)
    assert lay(tmp_path) == []
    (tmp_path / "Snakefile").unlink()
    (tmp_path / "profiles/default/profile.v9+.yaml").write_text("cores: 3\n")
    with pytest.raises(
        UserError, match=r"default/profile.v9\+.yaml: is there already, and nothing was written"
    ):
        lay(tmp_path)
    assert not (tmp_path / "Snakefile").exists()
    assert (tmp_path / "profiles/default/profile.v9+.yaml").read_text() == "cores: 3\n"
    assert len(written) == len(files(tmp_path)) + 1


def test_a_link_to_nowhere_and_a_folder_are_there_too(tmp_path):
    (tmp_path / "config.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.yaml: is there already"):
        lay(tmp_path)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(UserError, match=r"config\.yaml: is there already"):
        lay(tmp_path)


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        lay(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        lay(tmp_path / "file" / "below")
    with pytest.raises(UserError, match="takes for part of a pattern"):
        lay(tmp_path / "{study}")


def test_the_command_prints_what_it_wrote(tmp_path):
    run = CliRunner().invoke
    done = run(app, ["init", str(tmp_path / "study")])
    assert done.exit_code == 0
    assert {Path(line) for line in done.stdout.splitlines()} == set((tmp_path / "study").rglob("*.yaml")) | {
        tmp_path / "study/Snakefile"
    }
    assert "`snakemake --cores 2` runs the demo" in done.stderr
    (tmp_path / "study/config.yaml").write_text("mine")
    again = run(app, ["init", str(tmp_path / "study")])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "config.yaml: is there already" in again.stderr


def test_the_workflow_is_in_good_condition(tmp_path, project):
    """A dry run of it is tested with an installed package, tests/test_wheel.py."""
    lay(tmp_path)
    for words in (["snakemake", "--lint"], ["snakefmt", "--check", "Snakefile"]):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
