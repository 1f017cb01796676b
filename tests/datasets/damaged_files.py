"""Good data sets, one small file of each kind, and ways to break that file."""

import io
import json
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from made_recordings import joints, skeleton_text

Good = tuple[dict[str, Any], Path]
"""Settings of a data set, and its file that is to be broken."""

A, B = "72057594037931101", "72057594037931102"
NTU_NAMES = ("S001C001P001R001A001", "S001C001P003R001A002", "S001C002P001R001A002", "S001C003P003R001A001")


def cloud(frames: int, points: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (1, points, 3)) + rng.normal(0, 0.02, (frames, points, 3)) + (0, 0, 3)


# ------------------------------------------------------------------------------------------ good files


def ntu(folder: Path) -> Good:
    path = folder / "S001C001P001R001A001.skeleton"
    path.write_text(skeleton_text(3, {A: (range(3), joints(3)), B: (range(1, 3), joints(2, 1))}))
    return {"reader": "ntu", "skeletons": str(folder)}, path


def mat(form: str, compressed: bool = False) -> Callable[[Path], Good]:
    def write(folder: Path) -> Good:
        from scipy.io import savemat

        path = folder / "a1_s1_t1_skeleton.mat"
        savemat(
            path,
            {"d_skel": cloud(6, 20).transpose(1, 2, 0)[..., : 6 if form == "5" else 1].squeeze()},
            format=form,
            do_compression=compressed,
        )
        return {"reader": "utd_mhad", "skeletons": str(folder)}, path

    return write


def mat73(folder: Path) -> Good:
    import h5py

    path = folder / "a1_s1_t1_skeleton.mat"
    with h5py.File(path, "w", userblock_size=512) as h5:
        h5["d_skel"] = cloud(6, 20)
    data = bytearray(path.read_bytes())
    data[:116] = b"MATLAB 7.3 MAT-file".ljust(116)
    data[124:128] = b"\x00\x02IM"
    path.write_bytes(data)
    return {"reader": "utd_mhad", "skeletons": str(folder)}, path


def sysu_mat(folder: Path) -> Good:
    from scipy.io import savemat

    path = folder / "1" / "video1" / "sklWorld.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {"SW": cloud(6, 20).transpose(1, 2, 0)})
    savemat(path.with_name("sklImage.mat"), {"S": 100 * cloud(6, 20).transpose(1, 2, 0)})
    return {"reader": "sysu", "skeletons": str(folder)}, path


def sysu_text(folder: Path) -> Good:
    path = folder / "a01_s01.txt"
    np.savetxt(path, cloud(4, 20).reshape(-1, 3), "%.5f")
    return {"reader": "sysu", "skeletons": str(folder)}, path


def nw_ucla(folder: Path) -> Good:
    path = folder / "a01_s01_e00_v01.json"
    content = {"file_name": path.stem, "skeletons": cloud(4, 20).tolist(), "label": 1}
    path.write_text(json.dumps(content))
    return {"reader": "nw_ucla", "skeletons": str(folder)}, path


def own(ending: str) -> Callable[[Path], Good]:
    def write(folder: Path) -> Good:
        from mmcl.layouts import get_layout

        path = folder / f"wave{ending}"
        names, clip = get_layout("utd20").joints, cloud(4, 20)
        if ending == ".npz":
            np.savez_compressed(path, joints=clip)
        elif ending == ".json":
            path.write_text(json.dumps(clip.tolist()))
        else:
            head = ",".join(["frame", *(f"{name}_{axis}" for name in names for axis in "xyz")])
            rows = [",".join([str(i), *(f"{v:.5f}" for v in frame.ravel())]) for i, frame in enumerate(clip)]
            path.write_text("\n".join([head, *rows]) + "\n")
        table = folder / "clips.csv"
        table.write_text("name,label,subject,split\nwave,waving,1,train\n")
        return {"reader": "own", "skeletons": str(folder), "layout": "utd20"}, path

    return write


def table(folder: Path) -> Good:
    dataset, path = own(".npz")(folder)
    return dataset, path.with_name("clips.csv")


def ctr_npz(save: Callable[..., None]) -> Callable[[Path], Good]:
    def write(folder: Path) -> Good:
        path = folder / "clips.npz"
        x = np.zeros((4, 12, 150), np.float32)
        x[:, :8, :75] = cloud(8, 25).reshape(8, 75)
        one_hot = np.eye(60)[[0, 1, 1, 0]]
        save(path, x_train=x[:2], y_train=one_hot[:2], x_test=x[2:], y_test=one_hot[2:])
        return {"reader": "ctr_npz", "skeletons": str(path)}, path

    return write


def pyskl(folder: Path) -> Good:
    path = folder / "clips.pkl"
    annotations = [
        {
            "frame_dir": name,
            "label": int(name[-3:]) - 1,
            "total_frames": 6,
            "keypoint": cloud(6, 25)[None].astype(np.float16),
        }
        for name in NTU_NAMES
    ]
    split = {"xsub_train": list(NTU_NAMES[:2]), "xsub_val": list(NTU_NAMES[2:])}
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
    return {"reader": "pyskl", "skeletons": str(path)}, path


def crosclr(which: str) -> Callable[[Path], Good]:
    def write(folder: Path) -> Good:
        for part, names in (("train", NTU_NAMES[:2]), ("val", NTU_NAMES[2:])):
            data = np.zeros((2, 3, 10, 25, 2), np.float32)
            data[:, :, :6, :, 0] = cloud(6, 25).transpose(2, 0, 1)
            np.save(folder / f"{part}_data_joint.npy", data)
            labels = [int(name[-3:]) - 1 for name in names]
            (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((list(names), labels)))
        return {"reader": "crosclr", "skeletons": str(folder)}, folder / which

    return write


KINDS: dict[str, Callable[[Path], Good]] = {
    "ntu": ntu,
    "mat_5": mat("5"),
    "mat_5_compressed": mat("5", compressed=True),
    "mat_4": mat("4"),
    "mat_7.3": mat73,
    "sysu_mat": sysu_mat,
    "sysu_text": sysu_text,
    "nw_ucla": nw_ucla,
    "own_npz": own(".npz"),
    "own_csv": own(".csv"),
    "own_json": own(".json"),
    "own_table": table,
    "ctr_npz": ctr_npz(np.savez),
    "ctr_npz_compressed": ctr_npz(np.savez_compressed),
    "pyskl": pyskl,
    "crosclr_npy": crosclr("train_data_joint.npy"),
    "crosclr_pkl": crosclr("train_label.pkl"),
}
TEXTS = ("ntu", "sysu_text", "nw_ucla", "own_csv", "own_json", "own_table")


# --------------------------------------------------------------------------------------------- damage

NUMBERS = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "1000000000",
    "999999999999999999999",
    "1e39",
    "1e-400",
    "0x10",
    "1_0",
    "-1.#IND",
    "x",
    "1.2.3",
    "-",
]
NUMBERS += ["", '"1"', "null", "true", "[]", "{}", "9" * 5000, "\u0663", "\0", "../../etc/passwd"]


def any_damage(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """What can happen to any file."""
    size = len(data)
    yield "empty", b""
    yield "one byte", data[:1]
    yield "blanks", b" \n" * 100
    yield "binary zeros", bytes(size)
    yield "garbage", rng.bytes(size)
    yield "gzip", b"\x1f\x8b\x08" + rng.bytes(200)
    yield "an html page", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "garbage behind", data + rng.bytes(100)
    yield "garbage before", rng.bytes(100) + data
    yield "twice", data + data
    yield "CRLF", data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "byte order mark", b"\xef\xbb\xbf" + data
    yield "UTF-16", data.decode("latin-1").encode("utf-16")
    for at in sorted(rng.integers(1, size, 20).tolist()):
        yield f"cut at {at}", data[:at]
    for flips in (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 4, 4, 16, 16, 64, 256):
        broken = bytearray(data)
        for at in rng.integers(0, size, flips).tolist():
            broken[at] ^= 1 << int(rng.integers(8))
        yield f"{flips} bits flipped", bytes(broken)
    for _ in range(12):  # where headers and tables are
        broken = bytearray(data)
        broken[int(rng.integers(0, min(size, 300)))] = int(rng.integers(256))
        broken[-int(rng.integers(1, min(size, 300)))] = int(rng.integers(256))
        yield "header and end", bytes(broken)
    for _ in range(8):
        start, length = int(rng.integers(size)), int(rng.integers(1, 200))
        yield f"{length} bytes lost at {start}", data[:start] + data[start + length :]
        yield f"{length} zeros at {start}", data[:start] + bytes(length) + data[start + length :]
        yield f"{length} bytes twice at {start}", data[: start + length] + data[start:]


def text_damage(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Numbers, words and lines that are others."""
    text = data.decode()
    places = [match.span() for match in re.finditer(r"[^\s,\[\]{}:]+", text)]
    for value in NUMBERS:
        for place in (int(rng.integers(min(len(places), 6))), int(rng.integers(len(places)))):
            start, end = places[place]
            yield f"{value[:20]!r} at {start}", (text[:start] + value + text[end:]).encode()
    lines = text.split("\n")
    for _ in range(6):
        i, j = rng.integers(len(lines), size=2).tolist()
        swapped = list(lines)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        yield f"lines {i} and {j} swapped", "\n".join(swapped).encode()
        yield f"line {i} lost", "\n".join(lines[:i] + lines[i + 1 :]).encode()
        yield f"line {i} twice", "\n".join(lines[: i + 1] + lines[i:]).encode()


def npy(shape: str, dtype: str = "'<f4'", data: bytes = bytes(4800), version: int = 1) -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + len(header).to_bytes(2 if version == 1 else 4, "little")
        + header
        + data
    )


def arrays() -> Iterator[tuple[str, bytes]]:
    """Arrays in NumPy's format that promise too much, or something else."""
    yield "10^9 rows", npy("(1000000000, 20, 3)")
    yield "2^62 rows", npy("(4611686018427387904, 20, 3)")
    yield "-1 rows", npy("(-1, 20, 3)")
    yield "no axes", npy("()")
    yield "40 axes", npy(f"({'1, ' * 40})")
    yield "10^30 axes", npy("(" + "9" * 30 + ",)")
    yield "objects", npy("(20, 20, 3)", "'|O'", pickle.dumps([1]))
    yield "structure", npy("(20, 20, 3)", "[('a', '<f4')]")
    yield "wide text", npy("(1, 20, 3)", "'<U500000000'")
    yield "code for a header", npy("__import__('os').system('true')")
    yield "nested header", npy("(" * 5000 + ")" * 5000)
    yield "header of 2 GB", b"\x93NUMPY\x02\x00" + (2**31 - 1).to_bytes(4, "little") + b"{'descr'"
    yield "other version", b"\x93NUMPY\x09\x00" + npy("(2, 20, 3)")[8:]
    for value in (np.nan, np.inf, 1e30, 0.0):
        yield f"all {value}", npy("(20, 20, 3)", data=np.full(1200, value, "<f4").tobytes())


def archives(names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Archives of such arrays: the first of `names` is another one."""
    for what, array in arrays():
        yield what, archive({name: array if name == names[0] else npy("(2, 20, 3)") for name in names})
    yield "no arrays", archive({})
    yield "another name", archive({"other.npy": npy("(2, 20, 3)")})
    yield "a path", archive({"../../joints.npy": npy("(2, 20, 3)")})
    rows = BOMB // 240  # of 20 x 3 float32
    for what, start in {
        "rows": npy(f"({rows}, 20, 3)", data=b""),
        "zeros behind the rows": npy("(20, 20, 3)", data=b""),
        "zeros for a header": b"\x93NUMPY\x02\x00" + BOMB.to_bytes(4, "little"),
    }.items():
        members = {name: start if name == names[0] else npy("(2, 20, 3)") for name in names}
        yield f"bomb: {what}", archive(members, bomb=names[0])


BOMB = 320 << 20
"""Bytes that a bomb unpacks to: more than a reader may take."""

MIB = bytes(1 << 20)


def archive(members: dict[str, bytes], bomb: str = "") -> bytes:
    """A zip file; zeros follow in the member `bomb`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        for name, data in members.items():
            with opened.open(name, "w") as member:
                member.write(data)
                for _ in range(BOMB // len(MIB) if name == bomb else 0):
                    member.write(MIB)
    return file.getvalue()


def deflated(data: bytes, zeros: int = 0) -> bytes:
    """A compressed element of a MAT-file: data, then as many zeros."""
    compressor = zlib.compressobj(1)
    packed = compressor.compress(data)
    packed += b"".join(compressor.compress(MIB) for _ in range(zeros // len(MIB))) + compressor.flush()
    return MAT_HEADER + struct.pack("<2I", 15, len(packed)) + packed


def matrix(name: bytes, kind: int, shape: tuple[int, ...], data: bytes) -> bytes:
    """An miMATRIX of a MAT-file version 5; data: the elements behind its header."""
    dims = struct.pack(f"<{len(shape)}i", *shape)
    parts = [struct.pack("<4I", 6, 8, kind, 0), struct.pack("<2I", 5, len(dims)) + padded(dims)]
    parts += [struct.pack("<2I", 1, len(name)) + padded(name), data]
    body = b"".join(parts)
    return struct.pack("<2I", 14, len(body)) + body


def nested_cells(depth: int) -> bytes:
    """A cell array in a cell array in …"""
    inner = matrix(b"", 6, (1, 1), doubles(8, bytes(8)))
    head = len(matrix(b"", 1, (1, 1), b""))
    # each holds all that follow it
    sizes = [len(inner) + head * level for level in range(depth, 0, -1)]
    heads = [struct.pack("<2I", 14, size - 8) + matrix(b"", 1, (1, 1), b"")[8:] for size in sizes]
    return b"".join(heads) + inner


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def doubles(count: int, data: bytes) -> bytes:
    return struct.pack("<2I", 9, count) + data


MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def matrices() -> Iterator[tuple[str, bytes]]:
    """MAT-files version 5 that promise too much, or nest."""
    good = doubles(8 * 120, bytes(8 * 120))
    yield "10^9 frames", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, 10**9), good)
    yield "99999 frames", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, 99_999), good)
    yield "-1 frames", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, -1), good)
    yield "zeros", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, 2), good)
    yield "element of 4 GB", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, 2), doubles(2**32 - 8, bytes(960)))
    yield "30 axes", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, *[1] * 30), good)
    yield "3000 axes", MAT_HEADER + matrix(b"d_skel", 6, (20, 3, *[1] * 3000), good)
    yield "bomb: another variable", deflated(matrix(b"other", 6, (BOMB // 8, 1), doubles(BOMB, b"")), BOMB)
    yield "bomb: zeros in the variable", deflated(matrix(b"d_skel", 6, (20, 3, 2), doubles(BOMB, b"")), BOMB)
    yield "bomb: zeros behind it", deflated(matrix(b"d_skel", 6, (20, 3, 2), good), BOMB)
    yield "bomb: its name", deflated(matrix(b"", 6, (20, 3, 2), b"")[:-8] + struct.pack("<2I", 1, BOMB), BOMB)
    yield "compressed, cut", deflated(matrix(b"d_skel", 6, (20, 3, 2), good)[:40])
    yield "nested cells", MAT_HEADER + matrix(b"d_skel", 1, (20, 3, 1), nested_cells(20_000))
    for kind in (1, 2, 3, 4, 5, 17, 99):
        yield f"class {kind}", MAT_HEADER + matrix(b"d_skel", kind, (20, 3, 2), good)


def made_damage(kind: str) -> Iterator[tuple[str, bytes]]:
    """Files of a kind written to do harm."""
    if kind == "ntu":
        for what, text in {
            "frames": "{}\n1\n",
            "bodies": "1\n{}\n",
            "joints": f"1\n1\n{A} 0 1 1 1 1 0 0 0 2\n{{}}\n",
        }.items():
            for count in (26, 10**6, 10**9, 10**18, 10**100):
                yield f"{count:.0e} {what}", text.format(count).encode()
        yield "millions of lines", b"3\n" + b"10\n" * 12_000_000
        yield "millions of fields", f"1\n1\n{A} 0 1 1 1 1 0 0 0 2\n25\n".encode() + b"10 " * 12_000_000
        yield "millions of empty frames", b"900000\n" + b"0\n" * 900_000
        yield "too large", b"1" * (65 << 20)
    elif kind in ("nw_ucla", "own_json"):
        for what, text in {
            "lists": "[",
            "objects": '{"a":',
            "joints": '{"joints": [[[',
            "skeletons": '{"skeletons": [[',
        }.items():
            yield f"nested {what}", text.encode() * 100_000
            yield f"nested {what}, closed", text.encode() * 900 + b"1" + b"]" * 900
        yield "many small lists", b"[" + b"[]," * 5_000_000 + b"[]]"
        yield "a long number", b"[" + b"9" * 1_000_000 + b"]"
        yield "too large", b" " * (65 << 20) + b"[]"
    elif kind in ("own_csv", "own_table"):
        yield "a long field", b'name,label\n"' + b"a" * 3_000_000
        yield "many columns", b"name," * 200_000
        for place in (
            "/etc/passwd",
            "../../etc/passwd",
            "..\\..\\x.npz",
            "a/../../x.npz",
            "\0.npz",
            "C:\\x.npz",
        ):
            yield f"path {place!r}", f"name,label,skeleton\nwave,waving,{place}\n".encode()
    elif kind == "own_npz":
        yield from archives(["joints.npy"])
    elif kind == "ctr_npz":
        yield from archives(["x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"])
        yield from archives(["y_train.npy", "x_train.npy", "x_test.npy", "y_test.npy"])
    elif kind == "crosclr_npy":
        yield from arrays()
    elif kind in ("pyskl", "crosclr_pkl"):
        yield "code", b"cos\nsystem\n(S'true'\ntR."
        yield "code of protocol 4", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
        yield "nested", b"]" * 200_000 + b"a" * 199_999 + b"."
        yield "tuples in tuples", b")" + b"\x85" * 1_000_000 + b"."
        yield "length of 2^60", b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"abc."
        yield "list of itself", b"]q\0h\0a."
        yield "doubling", b"]q\0" + b"(h\0h\0lq\0" * 60 + b"."
        yield "memo of 2^31", b"]r\xff\xff\xff\x7f."
    elif kind == "mat_5":
        yield from matrices()


def cases(kind: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """What was done to a good file's bytes, and the broken bytes. The same in every run."""
    rng = np.random.default_rng(sum(kind.encode()))
    yield from any_damage(data, rng)
    if kind in TEXTS:
        yield from text_damage(data, rng)
    yield from made_damage(kind)
