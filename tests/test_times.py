"""Copied results: their times are made equal, those of results that were made here are not."""

import os
import shutil

import pytest

from mmcl.times import MARKER, equalise_copied


@pytest.fixture
def results(tmp_path):
    """Results that were made here, in order."""
    folder, metadata = tmp_path / "results", tmp_path / "metadata"
    (folder / "streams").mkdir(parents=True)
    metadata.mkdir()
    (metadata / "record").touch()
    for number, name in enumerate(("index.tsv", "streams/model.pt", "ensemble.json")):
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(10**18 + number, 10**18 + number))
    equalise_copied(folder, metadata)
    return folder


def times(folder):
    found = {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    found.pop(MARKER)
    return found


def test_results_made_here_keep_their_times(results):
    assert len(set(times(results).values())) == 3
    equalise_copied(results, results / "nowhere")
    assert len(set(times(results).values())) == 3


def test_a_copy_has_one_time(results, tmp_path):
    copy = tmp_path / "clone"
    shutil.copytree(results, copy, copy_function=shutil.copyfile)
    equalise_copied(copy, tmp_path / "nothing")
    assert len(times(copy)) == 3
    assert len(set(times(copy).values())) == 1
    first = times(copy)
    equalise_copied(copy, tmp_path / "nothing")
    assert times(copy) == first


def test_a_copy_that_kept_its_times_is_left_alone(results, tmp_path):
    copy = tmp_path / "clone"
    shutil.copytree(results, copy)
    equalise_copied(copy, tmp_path / "nothing")
    assert times(copy) == times(results)


def test_results_of_unknown_origin_have_one_time(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for number in (3, 1):
        (folder / str(number)).touch()
        os.utime(folder / str(number), (number, number))
    equalise_copied(folder, tmp_path / "nothing")
    assert len(set(times(folder).values())) == 1
    equalise_copied(tmp_path / "nowhere", tmp_path / "nothing")  # nothing to do
