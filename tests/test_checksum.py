import hashlib
import multiprocessing

import h5py
import numpy as np
import pytest
from made_stores import edited

from mmcl import checksum
from mmcl.errors import Damaged, UserError
from mmcl.store import Batch, Column, Shards, created, write


@pytest.fixture
def path(tmp_path):
    def work(names):
        return Batch(names, {"x": np.ones((len(names), 2))}, {})

    columns = {"x": Column("float32", (2,))}
    write(
        tmp_path / "s.h5",
        schema="t/1",
        settings={},
        names=["a", "b"],
        columns=columns,
        batch_size=9,
        work=work,
    )
    return tmp_path / "s.h5"


def test_it_is_what_sha256sum_gives(path):
    content = path.read_bytes()
    digest = hashlib.sha256(content[512:]).hexdigest()  # tail -c +513
    assert content[:512] == f"mmcl sha256 {digest}\n".encode() + bytes(512 - 77)
    with h5py.File(path) as h5:
        assert h5.userblock_size == 512


def test_every_flipped_bit_is_seen(path):
    """In every byte one of its bits, and in the head all."""
    good = path.read_bytes()
    checksum.check(path)
    bits = [8 * byte + bit for byte in range(100) for bit in range(8)]
    bits += [8 * byte + byte % 8 for byte in range(100, len(good), 7)]
    for bit in bits:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(Damaged, match=f"{path}: (damaged|cannot be read)") as raised:
            checksum.check(path)
        assert raised.value.path == path
    path.write_bytes(good)
    checksum.check(path)


@pytest.mark.parametrize("size", [0, 5, 100, 512, 513, 3000])
def test_a_part_of_a_store_is_damaged(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(Damaged):
        Shards([path], "t/1")


def test_a_store_that_is_damaged_after_it_was_read(path):
    Shards([path], "t/1")
    with open(path, "r+b") as file:
        file.seek(-3, 2)
        file.write(b"\xff")
    with pytest.raises(Damaged, match="its sha256 is another"):
        Shards([path], "t/1")


def test_the_error_keeps_its_path_between_processes(path):
    path.write_bytes(path.read_bytes()[:-1])
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(Damaged) as raised:
        pool.apply(checksum.check, [path])
    assert raised.value.path == path
    assert isinstance(raised.value, UserError)


def test_what_cannot_be_written_is_no_store(tmp_path):
    def stopped():
        with created(tmp_path / "x.h5") as h5:
            h5["x"] = 1.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises(Damaged):
        checksum.check(tmp_path / "x.h5")
    with edited(tmp_path / "x.h5"):
        pass
    checksum.check(tmp_path / "x.h5")
