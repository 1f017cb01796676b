"""The header of an array in numpy's format, read before anything is allocated."""

import io
from typing import IO

import numpy as np
from numpy.lib import format as npy

from mmcl.errors import UserError, one_line

MAX_HEADER = 10_000
"""Bytes of a `.npy` header, as in NumPy, which however reads it before it counts."""


def npy_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of a `.npy` stream; the stream is then at its data.

    Raises:
        UserError: no `.npy` header.
    """
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise UserError(f"{where}: npy format {version} is not known")
        size = file.read(2 if version == (1, 0) else 4)
        length = int.from_bytes(size, "little")
        if length > MAX_HEADER:
            raise UserError(f"{where}: not an array in numpy's format (a header of {length} bytes)")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return read(io.BytesIO(size + file.read(length)))
    except UserError:
        raise
    except Exception as error:  # numpy parses the header as Python and passes on any error of that
        raise UserError(f"{where}: not an array in numpy's format ({one_line(str(error), 80)})") from None
