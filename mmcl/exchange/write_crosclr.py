"""A store of skeletons as CrosSCLR's folder of one protocol."""

from pathlib import Path

from numpy.lib import format as npy

from mmcl.exchange.crosclr import PARTS
from mmcl.exchange.padding import clips_of, padded, padded_rows, second_person, whole
from mmcl.exchange.people import PERSONS
from mmcl.exchange.write_pickle import START, STOP, pieces


def write_crosclr(
    store: str | Path, output: str | Path, protocol: str, person2: str = "zeros", ikem: bool = False
) -> dict[str, int]:
    """Write `train_data_joint.npy`, `train_label.pkl`, `val_data_joint.npy`, `val_label.pkl`.

    Coordinates are (N, 3, 300, V, 2) float32; rows are in the order of `row_order`, labels as in `write_npz`. Clips go
    through one at a time.

    Args:
        store: schema `mmcl.skeletons/1`.
        output: the folder.
        protocol: whose training and test clips; others are left out.
        person2: see `padded`; a store whose reader made copies gets no others.
        ikem: labels with the number of frames as third, as IKEM's feeders take them and CrosSCLR's do not.

    Returns:
        Clips of `train` and of `test`.

    Raises:
        UserError: no such protocol, or a side of it has no clip.
    """
    skeletons, classes, sides, row, frames, joints = padded_rows(store, protocol)
    person2 = second_person(skeletons, person2)
    with whole(Path(output), folder=True) as folder, clips_of(skeletons) as read:
        for part, side in PARTS.items():
            names = [clip.name for clip in sides[side]]
            with open(folder / f"{part}_data_joint.npy", "wb") as file:
                shape = (len(names), 3, frames, joints, PERSONS)
                npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
                for name in names:
                    file.write(padded(read(row[name]), frames, person2).transpose(3, 0, 2, 1).tobytes())
            labels = [classes.index(clip.action) for clip in sides[side]]
            lengths = ([int(skeletons.frames[row[name]]) for name in names],) if ikem else ()
            with open(folder / f"{part}_label.pkl", "wb") as file:
                file.write(START + b"".join(pieces((names, labels, *lengths))) + STOP)
    return {side: len(clips) for side, clips in sides.items()}
