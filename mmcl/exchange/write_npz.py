"""A store of skeletons as CTR-GCN's npz."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mmcl.exchange.padding import clips_of, padded, padded_rows, second_person, whole
from mmcl.exchange.people import PERSONS

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time in the archive, so that the same store gives the same file."""


def write_npz(store: str | Path, output: str | Path, protocol: str, person2: str = "zeros") -> dict[str, int]:
    """Write `x_train, y_train, x_test, y_test` of one protocol, and `names_train`, `names_test` beside them.

    `x` is (N, 300, 2·V·3) float32 in the row order of the public scripts, `y` is one-hot float64. Labels are the
    numbers of the actions for NTU RGB+D (60 or 120 of them), else 0 … C−1 over the classes present. Clips go through
    one at a time. Tools that know the four arrays do not see the names.

    Args:
        store: schema `mmcl.skeletons/1`.
        output: the npz.
        protocol: whose training and test clips; others are left out.
        person2: see `padded`; a store whose reader made copies gets no others.

    Returns:
        Clips of `train` and of `test`.

    Raises:
        UserError: no such protocol, or a side of it has no clip.
    """
    skeletons, classes, sides, row, frames, joints = padded_rows(store, protocol)
    person2 = second_person(skeletons, person2)
    width = PERSONS * joints * 3
    one_hot = np.eye(len(classes), dtype="<f8")
    with (
        whole(Path(output)) as new,
        zipfile.ZipFile(new, "w", allowZip64=True) as archive,
        clips_of(skeletons) as read,
    ):
        for side, clips in sides.items():
            with _member(archive, f"x_{side}", (len(clips), frames, width), "<f4") as file:
                for clip in clips:
                    file.write(padded(read(row[clip.name]), frames, person2).tobytes())
            with _member(archive, f"y_{side}", (len(clips), len(classes)), "<f8") as file:
                for clip in clips:
                    file.write(one_hot[classes.index(clip.action)].tobytes())
            names = np.array([clip.name for clip in clips])
            with _member(archive, f"names_{side}", names.shape, names.dtype.str) as file:
                file.write(names.tobytes())
    return {side: len(clips) for side, clips in sides.items()}


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> Iterator[IO[bytes]]:
    """A member to write an array's bytes to, after its header."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True) as file:
        npy.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        yield file
