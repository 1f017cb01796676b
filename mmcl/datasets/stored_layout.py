"""The joint layout in a store, so that it can be read without mmcl."""

import h5py
import numpy as np

from mmcl.layouts import get_layout
from mmcl.schemas import TEXT


def write_layout(file: h5py.File, layout: str) -> None:
    """Write `layout/joint`, the joints' names (V), and `layout/parent`, their parents' numbers (V)."""
    found = get_layout(layout)
    file.create_dataset("layout/joint", data=np.array(found.joints, dtype=object), dtype=TEXT)
    file["layout/parent"] = np.array(found.parents, np.int64)
