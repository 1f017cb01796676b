import errno
import fcntl
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from made_stores import edited

from mmcl import store
from mmcl.errors import UserError
from mmcl.naming import PROJECT
from mmcl.store import Batch, Column, Shards, Target, write, write_stream, write_together

COLUMNS = {
    "box": Column("float32", (4,)),
    "images": Column("bytes", (2,)),
    "image": Column("bytes"),
    "text": Column("text"),
    "joints": Column("float32", (3,), flat=True),
}
NAMES = [f"clip{i:02d}" for i in range(10)]
FAILED = {"clip04": "no person"}


def rows(names):
    """Clip i has i frames; clip 4 fails."""
    good = [n for n in names if n not in FAILED]
    number = [int(n[4:]) for n in good]
    return Batch(
        good,
        {
            "box": [[i, i, i + 1, i + 1] for i in number],
            "images": [[b"a" * (i + 1), b"same"] for i in number],
            "image": [b"xyz" for _ in number],
            "text": [f"antwört {i}" for i in number],
            "joints": np.concatenate([np.full((i, 3), i) for i in number] or [np.empty((0, 3))]),
        },
        {n: FAILED[n] for n in names if n in FAILED},
    )


def build(path, work=rows, settings=None, batch_size=3, names=NAMES, **more):
    settings = {"a": 1} if settings is None else settings
    write(
        path,
        schema="t/1",
        settings=settings,
        names=names,
        columns=COLUMNS,
        batch_size=batch_size,
        work=work,
        **more,
    )


def datasets(path):
    found = {}
    with h5py.File(path, "r") as h5:
        h5.visititems(lambda k, d: found.update({k: d[:]}) if isinstance(d, h5py.Dataset) else None)
        return {k: [np.asarray(x).tolist() for x in v.ravel()] for k, v in found.items()}, dict(h5.attrs)


class Counting:
    """The work, counted, and stopped in the middle of batch `stop`."""

    def __init__(self, stop=None):
        self.calls, self.stop = [], stop

    def __call__(self, names):
        if len(self.calls) == self.stop:
            raise KeyboardInterrupt
        self.calls.append(names)
        return rows(names)


def test_what_is_written_is_read_by_name(tmp_path):
    build(tmp_path / "s.h5", attributes={"layout": "ntu25"})
    table = Shards([tmp_path / "s.h5"], "t/1")
    assert table.names == [n for n in NAMES if n != "clip04"]
    assert table.failed == FAILED
    assert table.settings == {"a": 1}
    assert table.attribute("layout") == "ntu25"
    assert "clip04" not in table
    assert table.read("box", ["clip09", "clip00"])[:, 0].tolist() == [9, 0]
    assert bytes(table.row("images", "clip03")[0]) == b"aaaa"
    assert bytes(table.row("image", "clip03")) == b"xyz"
    assert table.row("text", "clip03") == "antwört 3"
    assert table.read("text", ["clip03"]).tolist() == ["antwört 3"]
    assert table.read("joints", table.names[:0]).shape == (0, 3)
    assert pickle.loads(pickle.dumps(table)).row("text", "clip01") == "antwört 1"


def test_readable_without_mmcl(tmp_path):
    build(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r") as h5:
        assert h5["failed/reason"].asstr()[:].tolist() == ["no person"]
        assert h5.attrs["schema"] == "t/1"
        assert json.loads(h5.attrs["settings"]) == {"a": 1}
        assert h5.attrs["complete"]
        assert len(h5.attrs["fingerprint"]) == 64
        assert len(h5["joints"]) == sum(range(10)) - 4


def test_a_stopped_job_continues_and_seals_the_same(tmp_path):
    build(tmp_path / "straight.h5")
    first = Counting(stop=2)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", first)
    assert not (tmp_path / "s.h5").exists()
    second = Counting()
    build(tmp_path / "s.h5", second)
    assert second.calls == [NAMES[6:9], NAMES[9:]]
    assert datasets(tmp_path / "s.h5") == datasets(tmp_path / "straight.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.h5", "straight.h5"]


BEFORE = {"vlm": {"tokens": 3, "name": "x"}, "a": 1}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"settings": {"vlm": {"tokens": 5, "name": "x"}, "a": 1}}, "(vlm.tokens: 3 → 5)"),
        ({"settings": {"vlm": {"tokens": 3}, "a": "y"}}, "(a: 1 → 'y'; vlm.name: 'x' → None)"),
        ({"names": NAMES[:-1]}, "(clips: 10 → 9)"),
        ({"batch_size": 2}, "(batch: 3 → 2)"),
        ({"inputs": []}, "(not known which)"),
    ],
)
def test_another_setting_starts_afresh_and_keeps_what_was_done(tmp_path, caplog, now, said):
    source = tmp_path / "input.txt"
    source.write_text("one")
    begun = {"settings": BEFORE, "inputs": [source]}
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=2), **begun)
    part, aside = tmp_path / "s.h5.part", tmp_path / "s.h5.part.set-aside"
    before = {file.name: file.read_bytes() for file in part.iterdir()}
    work = Counting()
    build(tmp_path / "s.h5", work, **(begun | now))
    assert sum(map(len, work.calls)) == len(now.get("names", NAMES))
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning == (
        f"{part} was begun with other settings or inputs {said}: starting afresh, "
        "2 finished batches are kept in s.h5.part.set-aside"
    )
    assert {file.name: file.read_bytes() for file in aside.iterdir()} == {
        name: before[name] for name in ("000000.h5", "000001.h5", "plan.json")
    }


def test_another_input_starts_afresh(tmp_path, caplog):
    """And of the parts that are set aside the last is kept."""
    source = tmp_path / "input.txt"
    for text in ("one", "two", "three"):
        source.write_text(text)
        work = Counting(stop=2)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "s.h5", work, inputs=[source])
        assert len(work.calls) == 2
    assert caplog.text.count(f"({source} has changed): starting afresh") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "input.txt",
        "s.h5.part",
        "s.h5.part.set-aside",
    ]


def test_batches_of_another_store_are_not_taken_for_its_own(tmp_path, caplog):
    """Nor lost, where the plan that would tell them apart is."""
    for folder, value in (("one", 1), ("other", 2)):
        (tmp_path / folder).mkdir()
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / folder / "s.h5", Counting(stop=2), settings={"a": value})
    part, foreign = tmp_path / "one/s.h5.part", tmp_path / "other/s.h5.part"
    (part / "plan.json").unlink()
    (foreign / "000001.h5").replace(part / "000001.h5")
    work = Counting()
    build(tmp_path / "one/s.h5", work, settings={"a": 1})
    assert work.calls == [NAMES[3:6], NAMES[6:9], NAMES[9:]]
    assert [file.name for file in (tmp_path / "one/s.h5.part.set-aside").iterdir()] == ["000001.h5"]
    assert "its plan is lost" in caplog.text


def test_a_part_of_an_earlier_version_is_continued(tmp_path):
    """Its batches have neither checksum nor fingerprint, its plan no marks of clips and inputs."""
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=2))
    part = tmp_path / "s.h5.part"
    plan = json.loads((part / "plan.json").read_text())
    old = {key: plan[key] for key in ("schema", "fingerprint", "clips", "batches", "settings")}
    (part / "plan.json").write_text(json.dumps(old))
    for file in part.glob("*.h5"):
        with h5py.File(file, "r+") as h5:
            del h5.attrs["fingerprint"]
        file.write_bytes(file.read_bytes()[512:])
    work = Counting()
    build(tmp_path / "s.h5", work)
    assert work.calls == [NAMES[6:9], NAMES[9:]]


def test_a_batch_under_another_number_is_made_again(tmp_path):
    build(tmp_path / "straight.h5")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=2))
    part = tmp_path / "s.h5.part"
    (part / "000001.h5").write_bytes((part / "000000.h5").read_bytes())
    (part / "000009.h5").write_bytes((part / "000000.h5").read_bytes())
    work = Counting()
    build(tmp_path / "s.h5", work)
    assert work.calls == [NAMES[3:6], NAMES[6:9], NAMES[9:]]
    assert datasets(tmp_path / "s.h5") == datasets(tmp_path / "straight.h5")


def test_a_flipped_bit_in_a_batch_is_seen(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=3))
    file = tmp_path / "s.h5.part" / "000001.h5"
    content = bytearray(file.read_bytes())
    content[content.index(np.float32([3, 3, 4, 4]).tobytes()) + 2] ^= 1  # a box
    file.write_bytes(content)
    work = Counting()
    build(tmp_path / "s.h5", work)
    assert work.calls == [NAMES[3:6], NAMES[9:]]


def test_an_unreadable_batch_is_set_aside_and_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=3))
    (tmp_path / "s.h5.part" / "000001.h5").write_bytes(b"\x89HDF nonsense")
    work = Counting(stop=1)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", work)
    assert work.calls == [NAMES[3:6]]
    assert (tmp_path / "s.h5.part" / "000001.unreadable").exists()
    build(tmp_path / "s.h5")
    assert len(Shards([tmp_path / "s.h5"], "t/1")) == 9


@pytest.mark.parametrize("plan", [b"", b"{", b"[" * 100_000, b"[]", b"{}", b'{"schema": 3}', b"\xff", None])
def test_a_lost_plan_loses_no_batch(tmp_path, plan):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", Counting(stop=2))
    file = tmp_path / "s.h5.part" / "plan.json"
    good = file.read_bytes()
    file.unlink() if plan is None else file.write_bytes(plan)
    work = Counting(stop=1)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "s.h5", work)
    assert work.calls == [NAMES[6:9]]
    assert file.read_bytes() == good


def test_a_second_writer_is_refused(tmp_path):
    part = tmp_path / "s.h5.part"
    part.mkdir()
    with open(part / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            build(tmp_path / "s.h5")
    build(tmp_path / "s.h5")


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    whole = store._write_batch

    def full(file, *rest):
        if file.name == "000002.h5":
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(file, *rest)

    monkeypatch.setattr(store, "_write_batch", full)
    with pytest.raises(UserError, match="disk full"):
        build(tmp_path / "s.h5")
    monkeypatch.undo()
    work = Counting()
    build(tmp_path / "s.h5", work)
    assert len(work.calls) == 2


FULL_DISK = """
import shutil, sys
from pathlib import Path
import numpy as np
from mmcl.store import Batch, Column, Shards, write
T = Path(sys.argv[1])
def build():
    work = lambda names: Batch(names, {"x": np.ones((len(names), 200)), "p": [bytes(3000)] * len(names)}, {})
    columns = {"x": Column("float32", (200,)), "p": Column("bytes")}
    names = [f"c{i}" for i in range(12)]
    write(T / "s.h5", schema="t/1", settings={}, names=names, columns=columns, batch_size=2, work=work)
for filled in range(0, 96, 3):
    (T / "fill").write_bytes(bytes(filled << 10))
    try:
        build()
        print("written")
    except Exception as error:
        print(type(error).__name__, error)
    assert [path.name for path in T.rglob("*.tmp*")] == []
    shutil.rmtree(T / "s.h5.part")
"""


def test_what_a_full_disk_did_not_take_reads_as_zeros(tmp_path):
    """Not as whatever the buffer held, which crashes HDF5 by chance."""
    with store._Output(tmp_path / "x", "w+") as output:
        output.write(b"kept")
        output.error = OSError(errno.ENOSPC, "No space left on device")
        output.write(b"dropped")
        output.seek(0)
        buffer = bytearray(b"anything")
        assert output.readinto(buffer) == 8
    assert buffer == b"kept\0\0\0\0"


def test_a_disk_that_is_full_at_any_place(tmp_path):
    """Of 100 kB in which a store does not fit; HDF5 neither says it in its words nor crashes."""
    mount = f"mount -t tmpfs -o size=100k none {tmp_path} && exec {sys.executable} - {tmp_path}"
    command = ["unshare", "-rm", "sh", "-c", mount]
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, input=FULL_DISK, capture_output=True, text=True, env=env)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert len(said) == 32
    for line in said:
        assert re.fullmatch(rf"DiskFull {tmp_path}/s.h5.*: disk full; .*, free space and run again", line), (
            line
        )


def without_locks(monkeypatch, number):
    whole = h5py.File

    def refusing(path, mode="r", locking=None, **how):
        if mode == "r" and locking is None:
            raise OSError(
                f"Unable to open file (unable to lock file, errno = {number}, error message = '...')"
            )
        return whole(path, mode, **how)

    monkeypatch.setattr(h5py, "File", refusing)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_hdf5_cannot_lock_it_reads_without(tmp_path, monkeypatch, number, caplog):
    build(tmp_path / "s.h5")
    without_locks(monkeypatch, number)
    assert Shards([tmp_path / "s.h5"], "t/1").row("text", "clip03") == "antwört 3"
    build(tmp_path / "new.h5")
    assert len(Shards([tmp_path / "new.h5"], "t/1")) == 9
    [said] = [said for said in caplog.messages if said.startswith(f"{tmp_path}: ")]
    assert "files cannot be locked on this file system" in said


def test_a_store_that_another_process_writes_is_not_read(tmp_path, monkeypatch):
    build(tmp_path / "s.h5")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "part.h5", Counting(stop=2))
    without_locks(monkeypatch, errno.EAGAIN)
    message = "another process has it open for writing"
    with pytest.raises(UserError, match=f"{tmp_path}/s.h5: {message}"):
        Shards([tmp_path / "s.h5"], "t/1")
    with pytest.raises(UserError, match=f"{tmp_path}/part.h5.part/000000.h5: {message}"):
        build(tmp_path / "part.h5")
    monkeypatch.undo()
    work = Counting()
    build(tmp_path / "part.h5", work)
    assert work.calls == [NAMES[6:9], NAMES[9:]]  # nothing was set aside for it


@pytest.fixture
def in_workflow(monkeypatch):
    monkeypatch.setenv("MMCL_PLANNED", "{}")


def kept(folder):
    return sorted(path.name for path in (folder / "s.h5.part").iterdir())


def test_a_finished_store_that_was_deleted_is_there_again(tmp_path, in_workflow, caplog):
    target = tmp_path / "s.h5"
    build(target)
    assert kept(tmp_path) == ["lock", "plan.json", "sealed"]
    assert target.stat().st_nlink == 2  # no space is taken
    content = target.read_bytes()
    target.unlink()
    work = Counting()
    with caplog.at_level("INFO"):
        build(target, work)
    assert work.calls == []
    assert f"{target}: complete, as it was finished before" in caplog.messages
    assert target.read_bytes() == content
    assert kept(tmp_path) == ["lock", "plan.json", "sealed"]


def test_not_with_other_settings_or_where_it_was_damaged(tmp_path, in_workflow):
    target = tmp_path / "s.h5"
    build(target)
    target.unlink()
    work = Counting()
    build(target, work, settings={"a": 2})
    assert len(work.calls) == 4
    with store.opened(target) as h5:
        assert json.loads(h5.attrs["settings"]) == {"a": 2}
    with open(tmp_path / "s.h5.part/sealed", "r+b") as file:
        file.seek(2000)
        file.write(b"damaged")
    target.unlink()
    work = Counting()
    build(target, work, settings={"a": 2})
    assert len(work.calls) == 4


def test_without_hard_links_the_batches_are_kept(tmp_path, in_workflow, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "s.h5"
    build(target)
    assert kept(tmp_path) == [*(f"00000{i}.h5" for i in range(4)), "lock", "plan.json"]
    target.unlink()
    work = Counting()
    build(target, work)
    assert work.calls == []
    assert len(Shards([target], "t/1")) == 9


def test_what_is_written_along_keeps_nothing(tmp_path, in_workflow):
    targets = [Target(tmp_path / f"{i}.h5", "t/1", {"i": i}, NAMES, COLUMNS, 3) for i in (1, 2)]
    write_together(targets, lambda names, numbers: [rows(names) for _ in numbers])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "1.h5.part", "2.h5"]


def test_a_forgotten_clip_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="every clip once"):
        build(tmp_path / "s.h5", lambda names: Batch([], {}, {}))


@pytest.mark.parametrize("names", [[], ["clip04"]])
def test_a_store_without_rows_keeps_its_columns(tmp_path, names):
    build(tmp_path / "s.h5", names=names)
    table = Shards([tmp_path / "s.h5"], "t/1")
    assert table.names == []
    assert table.read("box").shape == (0, 4)
    assert table.shape("images") == (2,)
    assert list(table.failed) == names


def test_wrong_files_are_named(tmp_path):
    build(tmp_path / "s.h5")
    with pytest.raises(UserError, match="holds t/1, expected u/1"):
        Shards([tmp_path / "s.h5"], "u/1")
    with pytest.raises(UserError, match="no such store"):
        Shards([tmp_path / "no.h5"], "t/1")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        Shards([tmp_path / "text.h5"], "t/1")
    with pytest.raises(UserError, match="clip00 is also in"):
        Shards([tmp_path / "s.h5", tmp_path / "s.h5"], "t/1")
    with edited(tmp_path / "s.h5") as h5:
        h5.attrs["complete"] = False
    with pytest.raises(UserError, match="not complete"):
        Shards([tmp_path / "s.h5"], "t/1")


def test_two_shards_are_one_table(tmp_path):
    build(tmp_path / "a.h5", names=NAMES[::2])
    build(tmp_path / "b.h5", names=NAMES[1::2])
    table = Shards([tmp_path / "a.h5", tmp_path / "b.h5"], "t/1")
    assert table.read("box", ["clip03", "clip02", "clip01"])[:, 0].tolist() == [3, 2, 1]
    parts = list(table.parts(["box"], 2))
    assert [name for names, _ in parts for name in names] == table.names
    assert max(len(names) for names, _ in parts) == 2
    np.testing.assert_array_equal(np.concatenate([box for _, (box,) in parts]), table.read("box"))


def targets(folder, *settings, batch_size=3):
    return [
        Target(folder / f"{value}.h5", "t/1", {"a": value}, NAMES, COLUMNS, batch_size) for value in settings
    ]


class Together:
    """Work for several stores; notes each batch's first clip and the stores that lack it."""

    def __init__(self, stop=None):
        self.calls, self.stop = [], stop

    def __call__(self, names, lacking):
        if len(self.calls) == self.stop:
            raise KeyboardInterrupt
        self.calls.append((names[0], lacking))
        return [rows(names) for _ in lacking]


def rows_of(path):
    arrays, attributes = datasets(path)
    return arrays, attributes["fingerprint"], attributes["settings"]


def test_stores_written_together_equal_each_alone(tmp_path):
    (tmp_path / "alone").mkdir()
    write_together(targets(tmp_path, 1, 2), lambda names, lacking: [rows(names) for _ in lacking])
    for value in (1, 2):
        build(tmp_path / "alone" / f"{value}.h5", settings={"a": value})
        assert rows_of(tmp_path / f"{value}.h5") == rows_of(tmp_path / "alone" / f"{value}.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.h5", "2.h5", "alone"]


def test_no_batch_of_a_store_is_made_twice(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "2.h5", Counting(stop=1), settings={"a": 2})
    build(tmp_path / "3.h5", settings={"a": 3})
    sealed = (tmp_path / "3.h5").stat().st_mtime_ns
    work = Together(stop=3)
    with pytest.raises(KeyboardInterrupt):
        write_together(targets(tmp_path, 1, 2, 3), work)
    assert work.calls == [("clip00", [0]), ("clip03", [0, 1]), ("clip06", [0, 1])]
    work = Together()
    write_together(targets(tmp_path, 2, 1, 3), work)
    assert work.calls == [("clip09", [0, 1])]
    assert (tmp_path / "3.h5").stat().st_mtime_ns == sealed
    assert datasets(tmp_path / "1.h5")[0] == datasets(tmp_path / "2.h5")[0] == datasets(tmp_path / "3.h5")[0]


def test_work_may_begin_with_a_batch_before_it_gives_the_one_before(tmp_path):
    begun = []

    def work(wanted):
        for names, lacking in wanted:
            begun.append(names)
            if len(begun) > 1:
                # what was given is kept before more is asked for
                assert len(list((tmp_path / "1.h5.part").glob("*.h5"))) == len(begun) - 2
                yield [rows(begun[-2]) for _ in lacking]
        yield [rows(begun[-1])]

    write_stream(targets(tmp_path, 1), work)
    assert [names[0] for names in begun] == ["clip00", "clip03", "clip06", "clip09"]
    build(tmp_path / "alone.h5", settings={"a": 1})
    assert rows_of(tmp_path / "1.h5") == rows_of(tmp_path / "alone.h5")


def test_a_sealed_store_of_other_settings_is_written_anew(tmp_path):
    build(tmp_path / "2.h5", settings={"a": 0})
    write_together(targets(tmp_path, 1, 2), Together())
    assert Shards([tmp_path / "2.h5"], "t/1").settings == {"a": 2}


def test_a_store_that_another_process_writes_is_skipped(tmp_path):
    part = tmp_path / "2.h5.part"
    part.mkdir()
    with open(part / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = Together()
        write_together(targets(tmp_path, 1, 2), work)
        assert {tuple(lacking) for _, lacking in work.calls} == {(0,)}
        assert (tmp_path / "1.h5").exists()
        assert not (tmp_path / "2.h5").exists()
        with pytest.raises(UserError, match="another process"):
            write_together(targets(tmp_path, 2, 1), work)


def test_a_store_that_another_process_writes_may_be_waited_for(tmp_path):
    begun = threading.Event()

    def slow(names, lacking):
        begun.set()
        time.sleep(0.05)
        return [rows(names) for _ in lacking]

    other = threading.Thread(target=write_together, args=(targets(tmp_path, 1, 2), slow))
    other.start()
    assert begun.wait(10)
    work = Together()
    write_together(targets(tmp_path, 2), work, wait=True)
    other.join()
    assert not work.calls
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.h5", "2.h5"]


def test_stores_of_other_clips_are_not_written_together(tmp_path):
    first, second = targets(tmp_path, 1)[0], targets(tmp_path, 2, batch_size=4)[0]
    with pytest.raises(ValueError, match="same clips and batch size"):
        write_together([first, second], Together())
