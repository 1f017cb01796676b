"""Positions from MATLAB files, whatever they promise."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from mmcl.datasets.mat_file import read_joints
from mmcl.errors import UserError


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(shape, numbers):
    """An array of doubles named SW that says it has this shape, with the bytes of its numbers."""
    flags = element(6, struct.pack("<II", 6, 0))
    return element(
        14, flags + element(5, np.array(shape, "<i4").tobytes()) + element(1, b"SW") + element(9, numbers)
    )


def write(path, body):
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + body)


def test_reads_joints(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 3, 7))
    for compressed in (False, True):
        savemat(tmp_path / "a.mat", {"x": 1, "SW": values}, do_compression=compressed)
        joints = read_joints(tmp_path / "a.mat", "SW", 20, (3,))
        np.testing.assert_array_equal(joints, values.transpose(2, 0, 1))
    savemat(tmp_path / "a.mat", {"S": np.ones((20, 2), np.int16)})
    assert read_joints(tmp_path / "a.mat", "S", 20, (2, 3)).shape == (1, 20, 2)
    with pytest.raises(UserError, match=r"S is 20×2×1, expected 20×3×frames"):
        read_joints(tmp_path / "a.mat", "S", 20, (3,))


def test_own_bytes_are_as_scipy_reads_them(tmp_path):
    values = np.arange(120, dtype="<f8")
    for body in (matrix((20, 3, 2), values.tobytes()),):
        for packed in (body, struct.pack("<II", 15, len(zlib.compress(body))) + zlib.compress(body)):
            write(tmp_path / "a.mat", packed)
            joints = read_joints(tmp_path / "a.mat", "SW", 20, (3,))
            np.testing.assert_array_equal(joints, values.reshape(2, 3, 20).transpose(0, 2, 1))


@pytest.mark.parametrize("frames", [100_001, 2**31 - 1, -5, 0])
def test_promised_sizes_are_checked_before_anything_is_read(tmp_path, frames):
    write(tmp_path / "a.mat", matrix((20, 3, frames), b"\0" * 16))
    with pytest.raises(UserError, match=r"SW is 20×3×|SW is 20×3×0|cannot be read"):
        read_joints(tmp_path / "a.mat", "SW", 20, (3,))


def test_what_would_unpack_to_gigabytes_is_not_unpacked(tmp_path):
    honest = matrix((20, 3, 2), np.ones(120).tobytes())
    body = matrix((20, 3, 2), b"\0" * (16 << 20))  # behind a description like the honest one's
    packed = zlib.compress(body, 9)
    assert len(packed) < 20_000
    bomb = struct.pack("<II", 15, len(packed)) + packed
    write(tmp_path / "a.mat", bomb)
    tracemalloc.start()
    with pytest.raises(
        UserError, match=r"variable at byte 128: has 16777288 bytes, too many for what it holds"
    ):
        read_joints(tmp_path / "a.mat", "SW", 20, (3,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    # nor one that nobody asks for
    other = zlib.compress(body.replace(b"SW", b"XX"), 9)
    write(tmp_path / "a.mat", struct.pack("<II", 15, len(other)) + other + honest)
    tracemalloc.start()
    assert read_joints(tmp_path / "a.mat", "SW", 20, (3,)).sum() == 120
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_large_files_are_refused(tmp_path):
    with open(tmp_path / "a.mat", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UserError, match=r"has 67108865 bytes"):
        read_joints(tmp_path / "a.mat", "SW", 20, (3,))


def test_version_73_says_so(tmp_path):
    (tmp_path / "a.mat").write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 20
    )
    with pytest.raises(UserError, match=r"\(it is of version 7.3; save it with -v7\)"):
        read_joints(tmp_path / "a.mat", "SW", 20, (3,))
