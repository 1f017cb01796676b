"""Copied results: one time for all files, and the records of how they were made."""

import os
import shutil

import pytest

from mmcl.provenance import MARKER, RECORDS, settle


@pytest.fixture
def made(tmp_path):
    """A working directory with results that were made there, in order."""
    folder = tmp_path / "here"
    results, records = folder / "results", folder / ".snakemake/metadata"
    (results / "streams").mkdir(parents=True)
    records.mkdir(parents=True)
    (records / "record").write_text("params")
    for number, name in enumerate(("index.tsv", "streams/model.pt", "ensemble.json")):
        (results / name).write_text(name)
        os.utime(results / name, ns=(10**18 + number, 10**18 + number))
    settle(results, folder / ".snakemake")
    return folder


def times(folder):
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}
    return {name: time for name, time in found.items() if MARKER not in name and RECORDS not in name}


def copied(made, tmp_path, copy_function):
    folder = tmp_path / "there"
    folder.mkdir()
    shutil.copytree(made / "results", folder / "results", copy_function=copy_function)
    settle(folder / "results", folder / ".snakemake")
    return folder


def test_results_made_here_keep_their_times(made):
    before = times(made)
    assert len(set(before.values())) == 3
    settle(made / "results", made / ".snakemake")
    assert times(made) == before


def test_records_lie_with_the_results(made):
    assert (made / "results" / RECORDS / "record").read_text() == "params"
    (made / ".snakemake/metadata/another").write_text("more")
    assert (made / "results" / RECORDS / "another").exists()


def test_a_copy_has_one_time_and_the_records(made, tmp_path):
    folder = copied(made, tmp_path, shutil.copyfile)
    first = times(folder)
    assert len(first) == 3
    assert len(set(first.values())) == 1
    assert (folder / ".snakemake/metadata/record").read_text() == "params"
    settle(folder / "results", folder / ".snakemake")
    assert times(folder) == first


def test_a_copy_that_kept_its_times_is_left_alone(made, tmp_path):
    assert times(copied(made, tmp_path, shutil.copy2)) == times(made)


def test_results_copied_over_ones_own_bring_their_records(made, tmp_path):
    folder = tmp_path / "there"
    records = folder / ".snakemake/metadata"
    records.mkdir(parents=True)
    (records / "record").write_text("of another result")
    (records / "own").write_text("mine")
    shutil.copytree(made / "results", folder / "results")
    settle(folder / "results", folder / ".snakemake")
    assert {path.name: path.read_text() for path in records.iterdir()} == {"record": "params", "own": "mine"}


def test_deleted_results_leave_no_dangling_link(made):
    shutil.rmtree(made / "results")
    settle(made / "results", made / ".snakemake")
    assert (made / ".snakemake/metadata").is_dir()


def test_nothing_is_made_where_there_are_no_results(tmp_path):
    settle(tmp_path / "results", tmp_path / ".snakemake")
    assert list(tmp_path.iterdir()) == []


def test_the_records_of_a_running_workflow_are_not_moved(made, tmp_path):
    folder = tmp_path / "there"
    for path in ("results", ".snakemake/metadata", ".snakemake/locks"):
        (folder / path).mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").touch()
    settle(folder / "results", folder / ".snakemake")
    assert not (folder / ".snakemake/metadata").is_symlink()
