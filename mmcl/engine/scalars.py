"""What `history.csv` will hold, for TensorBoard, while a training runs.

`MMCL_TENSORBOARD=on` in the environment writes event files into the folder of the results; `tensorboard: true` in
config.yaml sets it for all jobs. Like the device it is no setting of an experiment.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmcl.engine.history import Row
from mmcl.engine.processes import Processes
from mmcl.errors import UserError
from mmcl.planned import TENSORBOARD

FILES = "events.out.tfevents.*"
"""As TensorBoard names them."""


@contextmanager
def scalars(folder: Path, history: Sequence[Row], processes: Processes) -> Iterator[Callable[[Row], None]]:
    """Write the rows of a history as scalars, by the names of its columns, over the epoch.

    Event files that an earlier run left in the folder are deleted and the epochs so far written anew, so that no epoch
    is there twice, and none that the run did not keep.

    Args:
        folder: of the results.
        history: the epochs so far.
        processes: that train together; the first one writes.

    Yields:
        A function to call with each further row. It does nothing where no event files are wanted.

    Raises:
        UserError: the package tensorboard is missing.
    """
    for earlier in folder.glob(FILES) if processes.first else ():
        earlier.unlink()
    if os.environ.get(TENSORBOARD) != "on" or not processes.first:
        yield lambda row: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            f"{TENSORBOARD}=on: the package tensorboard is missing; install the extra: pip install 'mmcl[tensorboard]'"
        ) from None
    with SummaryWriter(folder) as writer:

        def add(row: Row) -> None:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            writer.flush()

        for row in history:
            add(row)
        yield add
