"""Which jobs a changed, added, removed, touched or moved recording invalidates."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from made_readers import indexing
from made_recordings import write_ntu

from mmcl.datasets import reader_settings, stamps
from mmcl.datasets.prepare import index_clips
from mmcl.datasets.stamps import digest_file, planned_stamps, record

ONE, TWO, THREE = (f"S001C001P00{i}R001A001" for i in (1, 2, 3))
NTU = reader_settings("ntu", {})


class DataSet:
    """Recordings of three clips, their videos, and the index of the first two."""

    def __init__(self, folder: Path):
        self.index, self.raw, self.videos = folder / "index" / "a.tsv", folder / "raw", folder / "videos"
        self.videos.mkdir()
        for name in (ONE, TWO):
            self.add(name)
        self.run("")

    def add(self, name: str) -> None:
        write_ntu(self.raw / "deep", name, seed=int(name[11]))
        (self.videos / f"{name}_rgb.avi").write_bytes(name.encode())

    def run(self, token: str) -> None:
        index_clips(indexing("ntu"), self.index, self.raw, self.videos, token)

    def plan(self) -> stamps.Stamps:
        return planned_stamps(self.index, NTU, self.raw, self.videos)

    def tokens(self) -> list[str]:
        """Of index_clips, a job on all skeletons, and jobs on the first and on the second video."""
        plan = self.plan()
        shards = [plan.token(videos=[f"{name}_rgb.avi"]) for name in (ONE, TWO)]
        return [plan.listed(), plan.token(skeletons=True), *shards]


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return DataSet(tmp_path)


def later(path: Path) -> None:
    """Give a file another time."""
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


def test_before_the_first_index_and_after_it_tokens_are_empty(data):
    assert data.tokens() == [""] * 4
    data.index.with_suffix(".seen").unlink()
    assert data.tokens() == [""] * 4


def test_a_touched_a_moved_and_a_copied_folder_change_nothing(data):
    later(data.videos / f"{ONE}_rgb.avi")
    assert data.tokens() == [""] * 4
    data.raw = data.raw.rename(data.raw.with_name("moved"))
    assert data.tokens() == [""] * 4
    data.videos = Path(
        shutil.copytree(data.videos, data.videos.with_name("copy"), copy_function=shutil.copyfile)
    )
    assert data.tokens() == [""] * 4


def test_results_outlive_their_recordings(data):
    data.raw = data.raw.rename(data.raw.with_name("moved"))
    assert planned_stamps(data.index, NTU, "gone", None).token(skeletons=True, videos=True) == ""
    (data.index.parent / "other").mkdir()
    for file in data.index.parent.glob("a.*"):
        shutil.copy(file, data.index.parent / "other")
    data.index = data.index.parent / "other" / "a.tsv"
    assert data.tokens() == [""] * 4


def test_a_changed_recording_changes_the_jobs_that_read_it(data):
    write_ntu(data.raw / "deep", ONE, seed=9)
    index, skeletons, *videos = data.tokens()
    assert (index, videos) == ("", ["", ""])
    assert skeletons
    assert data.tokens() == [index, skeletons, *videos]  # also from the updated table
    (data.videos / f"{TWO}_rgb.avi").write_bytes(b"another")
    index, same, first, second = data.tokens()
    assert (index, same, first) == ("", skeletons, "")
    assert second not in ("", skeletons)
    assert data.plan().token(skeletons=True, videos=[f"{TWO}_rgb.avi"]) not in ("", skeletons, second)
    write_ntu(data.raw / "deep", ONE, seed=1)  # as it was
    assert data.tokens() == ["", "", "", second]


def test_an_added_and_a_removed_recording_change_all_jobs_once(data):
    data.add(THREE)
    token, *others = data.tokens()
    assert token
    assert others == [token] * 3
    data.run(token)
    assert data.tokens() == [token] * 4
    (data.raw / "deep" / f"{THREE}.skeleton").unlink()
    new, *others = data.tokens()
    assert new not in ("", token)
    assert others == [new] * 3
    data.run(new)
    assert data.tokens() == [new] * 4
    # a change after it, and one back
    (data.videos / f"{ONE}_rgb.avi").write_bytes(b"another")
    assert data.tokens()[2] != new
    assert data.tokens()[3] == new


def test_other_files_in_the_folders_do_not_count(data):
    (data.raw / "README.txt").touch()
    (data.videos / f"{ONE}_depth.avi").touch()
    assert data.tokens() == [""] * 4


def test_where_the_clips_are_listed_in_a_file_its_content_counts(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    npz, index = reader_settings("ctr_npz", {}), tmp_path / "a.tsv"
    record(index, npz, tmp_path / "a.npz", None, "")
    shutil.move(tmp_path / "a.npz", tmp_path / "b.npz")
    assert planned_stamps(index, npz, tmp_path / "b.npz", None).listed() == ""
    np.savez(tmp_path / "b.npz", x=np.arange(4))
    assert planned_stamps(index, npz, tmp_path / "b.npz", None).listed()
    own, folder = reader_settings("own", {"clips": "tables/mine.txt"}), tmp_path / "own"
    (folder / "tables").mkdir(parents=True)
    (folder / "a.npz").write_bytes(b"1")
    (folder / "tables" / "mine.txt").write_text("name,label\na,x\n")
    record(index, own, folder, None, "")
    (folder / "a.npz").write_bytes(b"2")
    plan = planned_stamps(index, own, folder, None)
    assert (plan.listed(), plan.token(skeletons=True) != "") == ("", True)
    (folder / "tables" / "mine.txt").write_text("name,label\na,y\n")
    assert planned_stamps(index, own, folder, None).listed()


def test_videos_that_are_given_later_are_added(data):
    videos, data.videos = data.videos, None
    data.run("")
    assert data.tokens() == [""] * 4
    data.videos = videos
    assert len(set(data.tokens())) == 1
    assert data.tokens()[0]


def test_only_files_of_another_size_or_time_are_read(data, monkeypatch):
    read = []
    monkeypatch.setattr(stamps, "digest_file", lambda path: read.append(path) or digest_file(path))
    assert data.tokens() == [""] * 4
    assert not read
    later(data.raw / "deep" / f"{ONE}.skeleton")
    data.tokens()
    data.tokens()
    assert read == [data.raw / "deep" / f"{ONE}.skeleton"]


def test_a_table_that_cannot_be_written_or_read(data, caplog, monkeypatch):
    table = data.index.with_suffix(".seen")
    before = table.read_bytes()
    write_ntu(data.raw / "deep", ONE, seed=9)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(stamps, "locked", refuse)
    assert data.tokens()[1]
    assert table.read_bytes() == before
    monkeypatch.undo()
    table.write_bytes(before[:100])
    assert data.tokens() == [""] * 4
    assert "a.seen: cannot be read" in caplog.text
    data.run("")
    assert data.tokens() == [""] * 4


def test_a_plan_does_not_undo_what_a_job_recorded_meanwhile(data, monkeypatch):
    data.add(THREE)
    token = data.tokens()[0]
    write_ntu(data.raw / "deep", ONE, seed=9)
    load = stamps._Table.load

    def slow(path):
        table = load(path)
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(stamps._Table, "load", load)
            data.run(token)
        return table

    monkeypatch.setattr(stamps._Table, "load", slow)
    data.tokens()
    assert data.tokens() == [token] * 4
    assert not data.index.with_suffix(".seen.lock").exists()


@pytest.mark.parametrize("at", [0, 4 << 20, (8 << 20) - 1, None])
def test_large_files_are_read_in_parts(tmp_path, at):
    content = bytearray(8 << 20)
    (tmp_path / "a").write_bytes(content)
    if at is None:
        content.append(0)
    else:
        content[at] = 1
    (tmp_path / "b").write_bytes(content)
    assert digest_file(tmp_path / "a") != digest_file(tmp_path / "b")
    assert digest_file(tmp_path / "absent") == stamps.ABSENT


def test_a_table_outside_the_folder_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, index = (
        reader_settings("own", {"layout": "utd20", "clips": "mine.csv"}),
        tmp_path / "i" / "a.tsv",
    )
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "a.npy", np.ones((3, 20, 3)))
    (tmp_path / "mine.csv").write_text("name,label\na,wave\n")
    index_clips(indexing("own", layout="utd20", clips="mine.csv"), index, tmp_path / "raw", None, "")
    assert planned_stamps(index, settings, tmp_path / "raw", None).listed() == ""
    later(tmp_path / "mine.csv")
    assert planned_stamps(index, settings, tmp_path / "raw", None).listed() == ""
    (tmp_path / "mine.csv").write_text("name,label\na,sit down\n")
    assert planned_stamps(index, settings, tmp_path / "raw", None).changed
