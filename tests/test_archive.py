"""Files of torch.save: no changed bit is overlooked, nothing is inflated, torch's advice is not passed on."""

import pickle
import shutil
import struct
import zipfile

import pytest
import torch

from mmcl import archive, checkpoints
from mmcl.errors import Damaged, UserError
from mmcl.state_dict import read_tensors

CONTENT = {"schema": "x", "a": torch.arange(4.0), "b": [1, 2.5, "x"]}


def flipped(raw, bit):
    found = bytearray(raw)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def rewritten(source, target, change=None, **options):
    """An archive with the records of another, changed by `change(archive, name, data)`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for record in old.infolist():
            data = old.read(record)
            if change is None or not change(new, record.filename, data):
                new.writestr(record.filename, data)
    return target


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pt"


def test_no_changed_bit_of_an_own_file_is_overlooked(path):
    checkpoints.save(path, CONTENT)
    raw = path.read_bytes()
    assert raw[-76:-64] == b"mmcl sha256 "
    end = 8 * (len(raw) - archive.CHECKSUM - archive.LAST_SIZE)
    for bit in [*range(0, end, 17), *range(end, 8 * len(raw))]:
        path.write_bytes(flipped(raw, bit))
        with pytest.raises(UserError, match=r"a\.pt: damaged: ") as caught:
            checkpoints.read(path)
        if bit < end:
            assert isinstance(caught.value, Damaged)
            assert caught.value.path == path
    path.write_bytes(raw)
    assert checkpoints.read(path)["a"].tolist() == [0, 1, 2, 3]


def test_an_own_file_is_read_by_torch_and_zip_as_it_was(path):
    checkpoints.save(path, CONTENT)
    assert torch.load(path, weights_only=True)["a"].tolist() == [0, 1, 2, 3]
    with zipfile.ZipFile(path) as whole:
        assert whole.testzip() is None


def test_a_file_that_is_cut_or_followed_by_something_is_damaged(path):
    checkpoints.save(path, CONTENT)
    raw = path.read_bytes()
    for wrong in (raw[:-1], raw[: -archive.CHECKSUM], raw[: len(raw) // 2], raw + b"\0"):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match="end of its zip archive"):
            checkpoints.read(path)


def test_a_file_without_our_checksum_is_held_to_that_of_its_records(path):
    torch.save(CONTENT, path)
    assert read_tensors(path)["b"] == [1, 2.5, "x"]
    raw = path.read_bytes()
    path.write_bytes(flipped(raw, 8 * raw.index(struct.pack("<4f", 0, 1, 2, 3)) + 40))
    assert torch.load(path, weights_only=True)["a"].tolist() != [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"record 'a/data/0' does not fit its checksum"):
        read_tensors(path)


def test_a_file_that_was_written_without_checksums_is_read(path, monkeypatch):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(CONTENT, path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_tensors(path)["a"].tolist() == [0, 1, 2, 3]


def test_files_of_torch_before_1_6_are_read(path):
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    assert read_tensors(path)["a"].tolist() == [0, 1, 2, 3]


def test_compressed_records_are_refused_before_they_are_inflated(path, tmp_path):
    torch.save({"a": torch.zeros(1 << 20)}, path)
    bomb = rewritten(path, tmp_path / "bomb.pt", compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 14
    with pytest.raises(UserError, match=r"bomb\.pt: refused: its record 'a/data\.pkl' is compressed"):
        read_tensors(bomb)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_records_that_a_reader_may_take_for_others_are_refused(path, tmp_path):
    torch.save(CONTENT, path)

    def twice(new, name, data):
        if name.endswith("data/0"):
            new.writestr(name, bytes(16))

    with pytest.raises(UserError, match=r"record 'a/data/0' is there twice"):
        read_tensors(rewritten(path, tmp_path / "twice.pt", twice))
    (tmp_path / "before.pt").write_bytes(path.read_bytes()[:4] + b"more" + path.read_bytes())
    with pytest.raises(UserError, match="directory of its zip archive is not where it should be"):
        read_tensors(tmp_path / "before.pt")


def test_records_that_exceed_the_file_are_refused(path, tmp_path):
    """Two hundred names for one record of a megabyte."""
    torch.save({"a": torch.zeros(1 << 18)}, path)
    rewritten(path, tmp_path / "many.pt")
    with zipfile.ZipFile(tmp_path / "many.pt", "a") as wide:
        (large,) = [record for record in wide.infolist() if record.filename.endswith("data/0")]
        for number in range(1, 200):
            other = zipfile.ZipInfo(large.filename[:-1] + str(number))
            other.header_offset, other.CRC = large.header_offset, large.CRC
            other.file_size = other.compress_size = large.file_size
            wide.filelist.append(other)
        wide._didModify = True
    with pytest.raises(UserError, match=r"many\.pt: refused: its records are larger than the file"):
        read_tensors(tmp_path / "many.pt")


def test_a_directory_that_is_too_long_is_not_read(path, monkeypatch):
    torch.save(CONTENT, path)
    monkeypatch.setattr(archive, "DIRECTORY_LIMIT", 100)
    with pytest.raises(UserError, match="more records than a checkpoint has"):
        read_tensors(path)


class Harm:
    def __reduce__(self):
        return (print, ("executed",))


def wrong_files(folder):
    (folder / "page.pt").write_bytes(b"<!DOCTYPE html><html>")
    (folder / "pointer.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n")
    (folder / "empty.pt").write_bytes(b"")
    (folder / "pickle.pt").write_bytes(pickle.dumps({"state": Harm()}))
    (folder / "numbers.pt").write_bytes(bytes(range(256)) * 4)
    torch.save({"state": Harm()}, folder / "harm.pt")
    torch.save(torch.nn.Linear(1, 1), folder / "network.pt")
    torch.save({"state": Harm()}, folder / "old.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(folder / "arrays.pt", "w") as other:
        other.writestr("joints.npy", b"1")
    shutil.make_archive(str(folder / "tar"), "tar", folder, "page.pt")
    (folder / "tar.tar").rename(folder / "tar.pt")
    return sorted(folder.glob("*.pt"))


def test_what_is_no_checkpoint_is_told_in_our_words(tmp_path, capsys):
    said = {}
    for path in wrong_files(tmp_path):
        with pytest.raises(UserError) as caught:
            read_tensors(path)
        said[path.stem] = str(caught.value)
    assert len(said) == 10
    for text in said.values():
        assert "weights_only" not in text
        assert "\n" not in text
        assert len(text) < len(str(tmp_path)) + 200
    assert "it names 'print', which is no tensor; nothing of it was executed" in said["harm"]
    assert "it names 'torch.nn.modules.linear.Linear'" in said["network"]
    assert "it is no file of torch.save" in said["page"]
    assert "none of torch.save" in said["arrays"]
    assert capsys.readouterr().out == ""
