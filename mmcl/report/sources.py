"""The files that a report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mmcl import paths
from mmcl.errors import UserError
from mmcl.evaluation.finished import FinishedBenchmark, find_benchmark
from mmcl.settings.protocol import SelectionSettings

if TYPE_CHECKING:
    from mmcl.evaluation.answers import Request


@dataclass(frozen=True)
class Sources:
    """What there is of a benchmark; what is absent is no part of its report.

    Attributes:
        benchmark: its name.
        ensemble: ensemble.json.
        ikem: ikem/result.json; one of the two is there.
        baseline: ensemble.json of another benchmark.
        zero_shot: zero-shot/<target>.json.
        answers: report/answers.json, see `mmcl.evaluation.answers.examine`.
        cost: report/cost.json, see `mmcl.report.cost`.
    """

    benchmark: str
    ensemble: Path | None = None
    ikem: Path | None = None
    baseline: Path | None = None
    zero_shot: tuple[Path, ...] = ()
    answers: Path | None = None
    cost: Path | None = None

    @classmethod
    def of_inputs(cls, benchmark: str, inputs: Mapping[str, Sequence[str]]) -> "Sources":
        """The files of a rule's named inputs."""
        single = ("ensemble", "ikem", "baseline", "answers", "cost")
        found = {name: next(map(Path, inputs.get(name, ())), None) for name in single}
        return cls(benchmark, zero_shot=tuple(map(Path, inputs.get("zero_shot", ()))), **found)

    @cached_property
    def finished(self) -> FinishedBenchmark | None:
        """The ensemble."""
        return find_benchmark(self.ensemble) if self.ensemble else None

    @property
    def root(self) -> Path:
        """The working directory in which `results` lies."""
        there = self.ensemble or self.ikem
        assert there is not None
        return paths.root_of(there.parent)

    @property
    def skeletons(self) -> Path | None:
        """The data set's store of skeletons."""
        return next(iter(self.stores(paths.SKELETONS)), None)

    def stores(self, pattern: str) -> tuple[Path, ...]:
        """The shards that there are of a store of the ensemble's data set."""
        if not self.finished:
            return ()
        dataset = self.finished.result["settings"]["dataset"]
        return tuple(sorted(self.root.glob(paths.at(pattern, dataset=dataset, shard="*"))))

    @property
    def questions(self) -> "Request | None":
        """All answers about the data set, those that the benchmark is trained with first; None if it is with none."""
        if not self.finished or not self.skeletons:
            return None
        from mmcl.evaluation.answers import Asked, Request  # which needs torch

        made = self.finished.result["settings"]
        own = made.get("vlm", {}).get("name", ""), self.finished.result["question"]
        named = {"dataset": made["dataset"], "vlm": "*", "question": "*", "shard": "*"}
        asked: dict[tuple[str, str], list[Path]] = {}
        for store in sorted(self.root.glob(paths.at(paths.ANSWERS, **named))):
            asked.setdefault((store.parent.parent.name, store.parent.name), []).append(store)
        if own not in asked:
            return None
        return Request(
            name=self.benchmark,
            dataset=made["dataset"],
            skeletons=self.skeletons,
            asked=tuple(
                Asked(*key, tuple(asked[key])) for key in sorted(asked, key=lambda key: (key != own, key))
            ),
            montages=self.stores(paths.MONTAGES),
            selection=SelectionSettings.model_validate(
                {key: made[key] for key in SelectionSettings.model_fields if key in made}
            ),
        )


def find_sources(named: Path, baseline: Path | None = None) -> Sources:
    """What there is of a benchmark that a user names.

    Args:
        named: its name, folder, ensemble.json or ikem/result.json.
        baseline: another finished benchmark, likewise.

    Raises:
        UserError: there is no result of it, or none of the baseline.
    """
    folder = named
    if named.suffix == ".json":
        folder = named.parent.parent if named.parent.name == Path(paths.IKEM).name else named.parent
    name = folder.name
    root = Path() if len(named.parts) == 1 and not named.is_dir() else paths.root_of(folder)

    def there(pattern: str) -> Path | None:
        path = root / paths.at(pattern, benchmark=name)
        return path if path.is_file() else None

    finished, ikem = find_benchmark(folder), there(paths.IKEM_RESULT)
    if not finished and not ikem:
        path = paths.at(paths.ENSEMBLE, benchmark=name)
        raise UserError(f"{named}: no finished benchmark; run `snakemake --cores 2 {path}` first")
    other = find_benchmark(baseline) if baseline else None
    if baseline and not other:
        raise UserError(
            f"{baseline}: no finished benchmark (its name, folder or ensemble.json), so no baseline"
        )
    return Sources(
        name,
        ensemble=finished.path if finished else None,
        ikem=ikem,
        baseline=other.path if other else None,
        zero_shot=tuple(sorted(root.glob(paths.at(paths.ZERO_SHOT, benchmark=name, target="*")))),
        answers=there(paths.ANSWER_REPORT),
    )
