import collections
import os
import pickle
import subprocess
import time

import numpy as np
import pytest

from mmcl.errors import UserError
from mmcl.exchange import safe_pickle
from mmcl.exchange.safe_pickle import FileArray, load
from mmcl.exchange.write_pickle import dump

PROTOCOLS = range(6)
DTYPES = ("f2", "f4", "f8", ">f4", "i1", "i4", ">i8", "u2", "?")


def plain(value):
    """With arrays in place of their places."""
    if isinstance(value, FileArray):
        return value.read()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def assert_same(read, expected):
    if isinstance(expected, np.ndarray):
        assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(read, expected)
    elif isinstance(expected, dict):
        assert list(read) == list(expected)
        for key, value in expected.items():
            assert_same(read[key], value)
    elif isinstance(expected, list):
        assert len(read) == len(expected)
        for one, other in zip(read, expected, strict=True):
            assert_same(one, other)
    else:
        assert read == expected
        if not isinstance(expected, np.generic):
            assert type(read) is type(expected)


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    arrays = [(100 * rng.normal(size=(2, 30, 25, 3))).astype(dtype) for dtype in DTYPES]
    arrays += [arr[:1, :2, 0] for arr in arrays]  # small ones, and not contiguous
    arrays += [arrays[0].transpose(1, 0, 2, 3), arrays[1].transpose(3, 1, 0, 2)]
    return {
        "arrays": [*arrays, np.asfortranarray(rng.normal(size=(30, 40))), np.zeros((0, 3), "f4")],
        "shared": [arrays[0], arrays[0]],
        "plain": [
            None,
            True,
            False,
            0,
            255,
            65536,
            -1,
            2**70,
            1.5,
            "ä€\n\\x'",
            ("a", (1, 2), ()),
            {1: {}},
            b"x",
        ],
        "long": "n" * 5000,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_pickle_wrote(tmp_path, content, protocol):
    content |= {
        "scalars": [np.int64(-3), np.float32(1.5), np.bool_(True)],
        "ordered": collections.OrderedDict(a=1),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    assert_same(plain(load(tmp_path / "a.pkl")), content)


def test_reads_what_numpy_1_wrote(tmp_path, content):
    del content["plain"]
    old = pickle.dumps(content, 3).replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core.multiarray" in old
    (tmp_path / "a.pkl").write_bytes(old)
    assert_same(plain(load(tmp_path / "a.pkl")), content)


def test_pickle_reads_what_we_write(tmp_path, content):
    expected = {**content, "plain": [item for item in content["plain"] if not isinstance(item, bytes)]}
    with open(tmp_path / "a.pkl", "wb") as file:
        dump(file, {**expected, "arrays": iter(expected["arrays"])})  # one at a time
    for dtype, read in zip(DTYPES, load(tmp_path / "a.pkl")["arrays"], strict=False):
        assert read.read().dtype == np.dtype(dtype).newbyteorder("<")
    with open(tmp_path / "a.pkl", "rb") as file:
        read = pickle.load(file)
    for one, other in zip(read["arrays"], expected["arrays"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert read["plain"] == expected["plain"]
    assert b"numpy._core" not in (tmp_path / "a.pkl").read_bytes()  # which numpy before 1.26 does not know


def test_arrays_stay_in_the_file(tmp_path):
    big = np.arange(10**6, dtype="f4")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": big}, 4))
    array = load(tmp_path / "a.pkl")["a"]
    assert not isinstance(array.data, bytes)
    np.testing.assert_array_equal(array.read(), big)
    os.truncate(tmp_path / "a.pkl", 10**6)
    with pytest.raises(UserError, match=r"a\.pkl: ends early"):
        array.read()


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_executed(tmp_path, protocol):
    mark = tmp_path / "executed"
    for evil, name in (
        (Evil(os.system, f"touch {mark}"), r"(posix|nt)\.system"),
        (Evil(subprocess.run, ["touch", str(mark)]), r"(subprocess|commands)\.run"),
        (Evil(eval, f"open({str(mark)!r}, 'w')"), r"(builtins|__builtin__)\.eval"),
        (Evil(np.fromfile, str(tmp_path / "a.pkl")), r"numpy\S*\.fromfile"),
        (Evil(getattr, "", "x"), r"(builtins|__builtin__)\.getattr"),
    ):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"annotations": [evil]}, protocol))
        with pytest.raises(UserError, match=rf"a\.pkl: byte \d+: refers to {name}; only plain data"):
            load(tmp_path / "a.pkl")
    assert not mark.exists()


LAUGHS = b"]q\xc8" + b"0(h\xc8h\xc8lq\xc8" * 60
"""60 lists, each of which holds the one before twice."""


def deep(levels):
    return [deep(levels - 1)] if levels else []


def array_bytes(dtype="f4", shape=(3,), data=b"\0" * 12):
    with_shape = pickle.dumps(shape, 2)[2:-1].replace(b"q\x00", b"").replace(b"q\x01", b"")
    head = (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + with_shape
    )
    kind = b"cnumpy\ndtype\nX" + len(dtype).to_bytes(4, "little") + dtype.encode() + b"\x89\x88\x87R"
    state = b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
    return head + kind + state + b"B" + len(data).to_bytes(4, "little") + data + b"tb."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends early"),
        (b"no pickle", "builds more than plain data, or this is no pickle"),
        (pickle.dumps(np.array([{}, os.system], object), 4), "an array holds O8, not plain numbers"),
        (pickle.dumps(np.array(["a"]), 4), "an array holds U1, not plain numbers"),
        (pickle.dumps({1, 2}, 4), "builds more than plain data"),
        (pickle.dumps(np.zeros(2, [("a", "f4")]), 4), "an array holds V4"),
        (array_bytes(shape=(10**9,)), r"an array of shape \(1000000000,\) does not have 12 bytes"),
        (array_bytes(shape=(-3,)), r"an array of shape \(-3,\)"),
        (array_bytes(dtype="O8"), "not plain numbers"),
        (b"\x80\x04\x8e" + (2**62).to_bytes(8, "little"), "ends early"),
        (b"\x80\x04\x8d" + (2**62).to_bytes(8, "little"), "ends early"),
        (b"\x80\x04\x8b\xff\xff\xff\x7f", "ends early"),
        (b"\x80\x04Nr\xff\xff\xff\x7fj\0\0\0\x10.", "damaged"),  # a memo of 2³¹ places, in Python's unpickler
        (b"\x80\x04)" + b"\x85" * 100_000 + b"}q\0h\0N\x86s.", "damaged|a dict has a key of type"),
        (b"\x80\x04(((", "ends early"),
        (pickle.dumps("\ud800", 4), "damaged"),
        (b"\x80\x04R.", "a value is missing"),
        (b"\x80\x04K\x01(R.", "a value is missing"),
        (b"\x80\x04K\x01K\x02a.", "no list"),
        (b"\x80\x04}(K\x01u.", "a key without a value"),
        (b"\x80\x04K\x01Nb.", "sets the state of an object"),
        (b"\x80\x04cnumpy\nndarray\nK\x05\x85R.", "calls something"),
        (b"\x80\x04P0\n.", "builds more than plain data"),
        (b"I" + b"9" * 10_000 + b"\n.", "an integer of 10000 digits"),
        (pickle.dumps(10**5000, 4), "an integer of 16616 bits"),
        (pickle.dumps({2**60: 1}, 4), "a dict has the key 1152921504606846976"),
        (pickle.dumps(deep(100)), "nested more than 32 deep"),
        (b"\x80\x02" + b"(" * 200_000 + b"N" + b"l" * 200_000 + b".", "nested more than 32 deep"),
        (b"\x80\x02]q\0h\0a.", "hold themselves"),
        (b"\x80\x02" + LAUGHS + b".", "stands for more than 2,000,000 lists"),
        (b"\x80\x02(" + b"]" * 2_000_000 + b"l.", "more than 1,000,000 values that are in no list"),
        (b"\x80\x02c_codecs\nencode\nK\x05X\x06\0\0\0latin1\x86R.", "text as 'latin1'"),
        (array_bytes(shape=(1,) * 12), r"an array of shape \(1, 1, 1, 1, ...\)"),
        (b"\x80\x04\x8c\x05o\n\x1b[2\x8c\x06system\x93.", r"refers to o\\n\\x1b\[2.system"),
        (b"\x80\x04cnumpy\ndtype\n\x8c\x04\x1b\n\x1b\n\x85R.", r"an array holds \\x1b\\n\\x1b\\n, not"),
    ],
)
def test_damage(tmp_path, data, message):
    (tmp_path / "a.pkl").write_bytes(data)
    start = time.process_time()
    with pytest.raises(UserError, match=rf"a\.pkl: byte \d+: .*({message})") as refused:
        load(tmp_path / "a.pkl")
    assert time.process_time() - start < 5
    assert str(refused.value).isprintable()


def test_as_many_as_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_CONTAINERS", 50)
    monkeypatch.setattr(safe_pickle, "MAX_ITEMS", 100)
    for content, message in (
        ([[i] for i in range(60)], "has more than 50 lists, tuples, dicts and arrays"),
        (list(range(101)), "has more than 100 values in lists and dicts"),
        ({i: i for i in range(51)}, "has more than 100 values in lists and dicts"),
    ):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=message):
            load(tmp_path / "a.pkl")


def test_made_array_is_whole(tmp_path):
    (tmp_path / "a.pkl").write_bytes(array_bytes())
    np.testing.assert_array_equal(load(tmp_path / "a.pkl").read(), np.zeros(3, "f4"))


def test_bit_flips(tmp_path, content):
    whole = pickle.dumps(content, 4)
    rng = np.random.default_rng(0)
    refused, start = 0, time.perf_counter()
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 20):
            damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.pkl").write_bytes(bytes(damaged[: rng.integers(1, len(whole) + 1)]))
        try:
            load(tmp_path / "a.pkl")
        except UserError:
            refused += 1
    assert refused > 200
    assert time.perf_counter() - start < 30


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.pkl: cannot be read"):
        load(tmp_path / "a.pkl")
