"""Changes of files: what damage, other software and attackers may do to them. Each changes a file in place."""

import contextlib
import importlib
import importlib.util
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[Path, Rng], None]

NUMBERS = (
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e-320",
    "99999999999999999999",
    "2147483648",
    "0x10",
    "9" * 5000,
)
"""What replaces a number in a text."""
ODD = (
    None,
    True,
    -1,
    2**31,
    2**63,
    2**200,
    float("nan"),
    float("inf"),
    -1e308,
    "",
    "\0",
    "\ud800",
    "../../x",
    "%03d",
    [],
    {},
)
"""What replaces a value in a tree of plain values."""


# ------------------------------------------------------------------------------------------------ bytes


def of_bytes(change: Callable[[bytearray, Rng], bytes | bytearray]) -> Mutation:
    """A mutation of a file's bytes."""

    def mutate(path: Path, rng: Rng) -> None:
        path.write_bytes(change(bytearray(path.read_bytes()), rng))

    mutate.__name__ = change.__name__
    return mutate


def part(size: int, rng: Rng, most: int = 4096) -> slice:
    """A random range of bytes."""
    begin = int(rng.integers(max(size, 1)))
    return slice(begin, begin + int(rng.integers(1, most)))


def flip_bit(data: bytearray, rng: Rng) -> bytes:
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def cut_off(data: bytearray, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data)))]


def overwrite(data: bytearray, rng: Rng) -> bytes:
    where = part(len(data), rng, 256)
    data[where] = rng.bytes(len(data[where]))
    return data


def zero(data: bytearray, rng: Rng) -> bytes:
    where = part(len(data), rng)
    data[where] = bytes(len(data[where]))
    return data


def duplicate(data: bytearray, rng: Rng) -> bytes:
    where = part(len(data), rng)
    return data[: where.stop] + data[where] * int(rng.integers(1, 4)) + data[where.stop :]


def delete(data: bytearray, rng: Rng) -> bytes:
    del data[part(len(data), rng, 256)]
    return data


def append(data: bytearray, rng: Rng) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 300)))


def other_content(data: bytearray, rng: Rng) -> bytes:
    return (
        b"",
        b"\n",
        bytes(1000),
        b"\xff\xfe" + bytes(20),
        b"[" * 100_000,
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
    )[int(rng.integers(7))]


BYTES = [
    *[of_bytes(change) for change in (flip_bit, cut_off, overwrite, zero, duplicate, delete, append)],
    of_bytes(flip_bit),
    of_bytes(other_content),
]

# ------------------------------------------------------------------------------------------------- text


def of_text(change: Callable[[str, Rng], str]) -> Mutation:
    """A mutation of a UTF-8 text."""

    def mutate(path: Path, rng: Rng) -> None:
        path.write_bytes(change(path.read_bytes().decode(), rng).encode(errors="surrogatepass"))

    mutate.__name__ = change.__name__
    return mutate


def change_number(text: str, rng: Rng) -> str:
    found = list(re.finditer(r"-?\d+(\.\d+)?(e-?\d+)?", text))
    if not found:
        return text
    one = found[int(rng.integers(len(found)))]
    return text[: one.start()] + NUMBERS[int(rng.integers(len(NUMBERS)))] + text[one.end() :]


def change_line(text: str, rng: Rng) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at = int(rng.integers(len(lines)))
    match int(rng.integers(5)):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[int(rng.integers(len(lines)))])
        case 2:
            lines[at] = lines[at] * int(rng.integers(2, 2000))
        case 3:
            lines[at] = "\n" * 1000
        case _:
            lines[at] = rng.permutation(list(lines[at])).astype(str).tolist().__str__()
    return "".join(lines)


def change_cell(text: str, rng: Rng) -> str:
    cells = re.split(r"([,\t\n ])", text)
    cells[int(rng.integers(len(cells)))] = (
        "",
        '"',
        "\0",
        "=1+1",
        "é" * 300,
        "a/../b",
        "[/b]",
        "$x^",
        "\u202e",
    )[int(rng.integers(9))]
    return "".join(cells)


def change_encoding(text: str, rng: Rng) -> str:
    return (
        "\ufeff" + text,
        text.replace("\n", "\r\n"),
        text.replace("\n", "\r"),
        text + "\x1a",
        text.upper(),
    )[int(rng.integers(5))]


TEXT = [
    *BYTES,
    *[
        of_text(change)
        for change in (change_number, change_number, change_line, change_cell, change_encoding)
    ],
]

# ------------------------------------------------------------------------------------------- plain values


def change_tree(tree: Any, rng: Rng, odd: tuple[Any, ...] = ODD) -> Any:
    """A tree of dicts and lists with one value deleted, replaced, renamed or repeated."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if not places:
        return odd[int(rng.integers(len(odd)))]
    node, key = places[int(rng.integers(len(places)))]
    match int(rng.integers(5)):
        case 0:
            del node[key]
        case 1:
            node[key] = [node[key]]
        case 2 if isinstance(node, list):
            node.extend([node[key]] * int(rng.integers(1, 3000)))
        case 2:
            node[("", "x" * 300, "../x", "\n", "__class__")[int(rng.integers(5))]] = node.pop(key)
        case _:
            node[key] = odd[int(rng.integers(len(odd)))]
    return tree


def of_json(path: Path, rng: Rng) -> None:
    """A JSON file with a value changed."""
    path.write_text(json.dumps(change_tree(json.loads(path.read_text()), rng)), encoding="utf-8")


def of_yaml(path: Path, rng: Rng) -> None:
    """A YAML file with a value changed."""
    import yaml

    tree = change_tree(yaml.safe_load(path.read_text()), rng, tuple(o for o in ODD if o != "\ud800"))
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")


def of_pickle(path: Path, rng: Rng) -> None:
    """A pickle of plain values and arrays with a value changed."""
    tree = pickle.loads(path.read_bytes())  # an example that the harness itself has just made
    tree = list(tree) if isinstance(tree, tuple) else tree
    path.write_bytes(pickle.dumps(change_tree(tree, rng, (*ODD, np.zeros((0, 3)), np.array(["x"])))))


def of_hostile_pickle(path: Path, rng: Rng) -> None:
    """A pickle that would run something, or is deep or large."""
    path.write_bytes(
        (
            b"cposix\nsystem\n(S'touch pwned'\ntR.",
            b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93\x8c\x0f__import__('os')\x85R.",
            b"(" * 200_000 + b".",
            b"]" * 100_000 + b"a" * 99_999 + b".",
            b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.",
            b"I" + b"9" * 100_000 + b"\n.",
            b"\x80\x04]\x94(" + b"h\x00" * 100_000 + b"e.",
            b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        )[int(rng.integers(8))]
    )


# ------------------------------------------------------------------------------------------------- arrays


def change_array(array: np.ndarray, rng: Rng) -> np.ndarray:
    """An array with another type, shape or value."""
    match int(rng.integers(9)):
        case 0:
            return array.astype(str)
        case 1:
            return array.reshape(-1)
        case 2:
            return array[:0]
        case 3:
            return array[None]
        case 4:
            return array.astype(complex) if array.dtype.kind in "if" else array
        case 5:
            return np.full(array.shape, np.nan)
        case 6:
            return np.array(None, object)
        case 7:
            return np.concatenate([np.atleast_1d(array)] * 40)
    array = array.copy()
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        array.reshape(-1)[int(rng.integers(max(array.size, 1)))] = (np.nan, np.inf, -1, 1e38)[
            int(rng.integers(4))
        ]
    return array


def of_npy(path: Path, rng: Rng) -> None:
    """An npy file of another array, or whose header promises another size."""
    if rng.integers(3):
        np.save(path, change_array(np.load(path), rng))
        return
    data = path.read_bytes()
    shape = ("(1000000000000, 3)", "(-1, 3)", "()", "(3,)" * 50, "[" * 9000, "__import__('os')")[
        int(rng.integers(6))
    ]
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path.write_bytes(data[:8] + len(text).to_bytes(2, "little")[:2] + text + data[128:])


def of_npz(path: Path, rng: Rng) -> None:
    """An npz file with an array changed, missing, twice, or compressed beyond measure."""
    with np.load(path) as file:
        arrays = dict(file)
    name = list(arrays)[int(rng.integers(len(arrays)))]
    match int(rng.integers(5)):
        case 0:
            del arrays[name]
        case 1:
            arrays[name] = np.zeros((40_000, 1_000), np.float32)
            np.savez_compressed(path, **arrays)
            return
        case 2:
            with zipfile.ZipFile(path, "a") as archive, contextlib.suppress(UserWarning):
                archive.writestr(f"{name}.npy", b"\x93NUMPY")
            return
        case _:
            arrays[name] = change_array(arrays[name], rng)
    np.savez(path, **arrays)


# ------------------------------------------------------------------------------------------------- stores


def of_hdf5(path: Path, rng: Rng) -> None:
    """An HDF5 file with an array or attribute deleted or changed, or linked to elsewhere."""
    import h5py

    with h5py.File(path, "r+") as h5:
        arrays: list[str] = []
        h5.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
        name, attribute = (
            one[int(rng.integers(len(one)))] for one in (sorted(arrays), sorted(h5.attrs) or ["schema"])
        )
        values = h5[name][()]
        match int(rng.integers(9)):
            case 0:
                del h5[name]
            case 1:
                del h5.attrs[attribute]
            case 2:
                h5.attrs[attribute] = (np.nan, -1, "", "[" * 5000, np.zeros(5), "{}", "x" * 60_000)[
                    int(rng.integers(7))
                ]
            case 3:
                del h5[name]
                h5[name] = h5py.ExternalLink("/etc/passwd", "/x")
            case 4:
                del h5[name]
                h5[name] = h5py.SoftLink("/names")
            case 5:
                del h5[name]
                shape = (max(1, Path("/etc/passwd").stat().st_size),)
                h5.create_dataset(name, shape, "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
            case 6:
                del h5[name]
                h5.create_dataset(name, (2**31,), "i4", chunks=(1024,), fillvalue=1)
            case _ if values.dtype == object:
                del h5[name]
                h5[name] = np.arange(len(values))
            case _:
                del h5[name]
                h5[name] = _plain(values, rng)


def _plain(values: np.ndarray, rng: Rng) -> np.ndarray:
    """Changed numbers of a type that HDF5 has."""
    changed = change_array(values, rng)
    return np.zeros(3) if changed.dtype.kind in "OU" else changed


def of_checkpoint(path: Path, rng: Rng) -> None:
    """A file of `torch.save` with an entry changed."""
    import torch

    tree = change_tree(
        torch.load(path, weights_only=True), rng, (*ODD, torch.zeros(3), torch.tensor(float("nan")))
    )
    if rng.integers(4) == 0:
        tree = _with_nan(tree)
    torch.save(tree, path)


def _with_nan(tree: Any) -> Any:
    import torch

    if isinstance(tree, dict):
        return {key: _with_nan(value) for key, value in tree.items()}
    if isinstance(tree, torch.Tensor) and tree.is_floating_point():
        return torch.full_like(tree, float("nan"))
    return tree


def of_hostile_checkpoint(path: Path, rng: Rng) -> None:
    """A file of `torch.save` that would run something, or holds compressed records."""
    import os

    import torch

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch pwned",)

    if rng.integers(2):
        torch.save({"state": Runs()}, path)
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for record in old.namelist():
            new.writestr(record, old.read(record) + bytes(50_000_000 if record.endswith("/data/0") else 0))
    path.write_bytes(packed.getvalue())


def of_safetensors(path: Path, rng: Rng) -> None:
    """A safetensors file whose header is changed."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(change_tree(json.loads(data[8 : 8 + size]), rng)).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])


# ------------------------------------------------------------------------------------------------ checksums


def renewed(mutate: Mutation) -> Mutation:
    """A mutation after which the file has a valid checksum again, as an attacker would give it."""

    def both(path: Path, rng: Rng) -> None:
        mutate(path, rng)
        renew(path)

    both.__name__ = f"{mutate.__name__}, checksum renewed"
    return both


def renew(path: Path) -> None:
    """Write a file's checksum anew, where the project has checksums."""
    module, function = ("mmcl.archive", "seal") if path.suffix == ".pt" else ("mmcl.checksum", "write")
    if importlib.util.find_spec(module) is None:
        return
    if path.suffix == ".pt":  # `seal` appends a comment to an archive without one
        data = path.read_bytes()
        end = data.rfind(b"PK\x05\x06")
        if end < 0:
            return
        path.write_bytes(data[: end + 20] + bytes(2))
    # of a file that is too damaged to carry one, the mutation alone is tried
    with contextlib.suppress(Exception):
        getattr(importlib.import_module(module), function)(path)
