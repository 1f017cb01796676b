"""Results of a finished benchmark in Python: `results`."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcl import paths
from mmcl.api.stores import Store, open_store
from mmcl.errors import UserError
from mmcl.evaluation.finished import FinishedBenchmark, find_benchmark

if TYPE_CHECKING:
    import pandas as pd

MEMBER = ("weight", "top1", "top5", "mean", "sd")


class Results:
    """An `ensemble.json`; accuracies are in percent, of the test clips.

    Attributes:
        benchmark: its name.
        content: all that the file holds.
        top1, top5, mean_class_accuracy: of the ensemble, first seed.
        clips: number of test clips.
        seeds: seed → top1 of the ensemble.
        members: names of the members.
    """

    def __init__(self, finished: FinishedBenchmark):
        self._finished = finished
        self.content: dict[str, Any] = finished.result
        self.benchmark: str = finished.result["benchmark"]
        self.clips: int = finished.result["clips"]
        self.top1: float = finished.result["top1"]
        self.top5: float = finished.result["top5"]
        self.mean_class_accuracy: float = finished.result["mean_class_accuracy"]
        self.seeds = finished.seeds
        self.members = [one.name for one in finished.members]

    def __repr__(self) -> str:
        return f"<mmcl.Results of {self.benchmark}: top1 {self.top1:.2f} % of {self.clips} clips>"

    def members_table(self) -> "pd.DataFrame":
        """A row for each member: weight, top1 and top5 of the first seed, mean and sd over seeds, run (its folder)."""
        import pandas as pd

        rows = [
            {key: stated.get(key) for key in MEMBER} | {"run": str(one.run)}
            for one, stated in zip(self._finished.members, self.content["members"], strict=True)
        ]
        return pd.DataFrame(rows, index=pd.Index(self.members, name="member"))

    def per_class(self) -> "pd.DataFrame":
        """A row for each class, the index its id: name, clips, top1, precision, f1."""
        import pandas as pd

        return pd.DataFrame(self.content["per_class"]).set_index("id")

    def confusion(self) -> "pd.DataFrame":
        """(C, C) clips of each true class (rows) that were recognised as each class (columns), by their ids."""
        import pandas as pd

        ids = [one["id"] for one in self.content["per_class"]]
        return pd.DataFrame(
            self.content["confusion"],
            index=pd.Index(ids, name="true"),
            columns=pd.Index(ids, name="recognised"),
        )

    def history(self, member: str) -> "pd.DataFrame":
        """history.csv of a member's first seed: learning rate, losses and accuracy of each epoch.

        Raises:
            UserError: no such member, or its folder is not here.
        """
        import pandas as pd

        return pd.read_csv(self._file(member, "history.csv")).set_index("epoch")

    def scores(self, member: str) -> Store:
        """The store of a member's scores of the test clips, first seed.

        Raises:
            UserError: as `history`.
        """
        return open_store(self._file(member, "scores.h5"))

    def _file(self, member: str, name: str) -> Path:
        (one,) = self._finished.chosen(member)
        path = one.run / name
        if not path.is_file():
            raise UserError(f"{path}: no such file; the folder of {member} is not here")
        return path


def results(named: str | PathLike[str]) -> Results:
    """The results of a finished benchmark.

    Args:
        named: its name, its folder or its ensemble.json.

    Raises:
        UserError: there is none, or the file is no ensemble.json.
    """
    path = Path(named).expanduser()
    found = find_benchmark(path)
    if found is None:
        where = paths.at(paths.ENSEMBLE, benchmark="<name>")
        raise UserError(f"{named}: no finished benchmark ({where})")
    return Results(found)
