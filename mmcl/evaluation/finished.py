"""What a user names on the command line: a benchmark, the folder of a trained stream, or a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmcl import paths
from mmcl.errors import UserError, known
from mmcl.naming import member_name


@dataclass(frozen=True)
class FinishedMember:
    """A member of a finished ensemble.

    Attributes:
        name: such as ctrgcn-natural-joint.
        run: folder of the first seed's training.
        weight: in the ensemble.
        top1: accuracy of the first seed in percent.
    """

    name: str
    run: Path
    weight: float
    top1: float


@dataclass(frozen=True)
class FinishedBenchmark:
    """An `ensemble.json`.

    Attributes:
        path: of the file.
        result: its content.
        members: of the ensemble.
        seeds: seed → top1 of the ensemble in percent.
    """

    path: Path
    result: dict[str, Any]
    members: tuple[FinishedMember, ...]
    seeds: dict[int, float]

    @property
    def normalise(self) -> bool:
        """Whether several members' scores are normalised before they are added, see `fuse`."""
        stated = self.result.get("settings", {}).get("ensemble", {})
        return len(self.members) > 1 and bool(stated.get("normalise", False))

    def chosen(self, member: str | None) -> tuple[FinishedMember, ...]:
        """The members, or the one of a name.

        Raises:
            UserError: there is none of that name.
        """
        if member is None:
            return self.members
        found = tuple(one for one in self.members if one.name == member)
        if not found:
            raise UserError(
                f"{self.path}: no member {member!r}{known(member, [m.name for m in self.members])}"
            )
        return found


def find_benchmark(named: Path) -> FinishedBenchmark | None:
    """The finished benchmark of a name, a folder or an `ensemble.json`; None if there is none.

    Raises:
        UserError: the file is not an `ensemble.json`.
    """
    candidates = [named / "ensemble.json"]
    if len(named.parts) == 1:
        candidates.append(Path(paths.at(paths.ENSEMBLE, benchmark=str(named))))
    if named.suffix.lower() == ".json":
        candidates = [named]
    path = next((path for path in candidates if path.is_file()), None)
    return None if path is None else _read(path)


def _read(path: Path) -> FinishedBenchmark:
    root = paths.root_of(path.parent)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        members = tuple(
            FinishedMember(
                member_name(one["backbone"], one["graph"], one["stream"]),
                root / one["run"],
                float(one["weight"]),
                float(one["top1"]),
            )
            for one in result["members"]
        )
        seeds = {int(entry["seed"]): float(entry["top1"]) for entry in result["seeds"]}
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise UserError(f"{path}: not an ensemble.json") from None
    return FinishedBenchmark(path, result, members, seeds)


class NamedModels(NamedTuple):
    """Trained models that recognise together: their files, their weights, and `normalise` of `fuse`."""

    paths: list[Path]
    weights: list[float]
    normalise: bool = False


def find_models(named: Path, member: str | None = None) -> NamedModels:
    """The trained models that a user names.

    Args:
        named: a benchmark (its name, folder or ensemble.json), the folder of a trained stream, or a model.pt.
        member: this member of a benchmark alone, such as ctrgcn-natural-joint.

    Raises:
        UserError: it names no model, or has no such member.
    """
    if benchmark := find_benchmark(named):
        members = benchmark.chosen(member)
        models = [one.run / "model.pt" for one in members]
        if member is not None:
            return NamedModels(models, [1.0])
        return NamedModels(models, [one.weight for one in members], benchmark.normalise)
    if member is not None:
        raise UserError(f"{named}: is no finished benchmark, so it has no member {member}")
    if (named / "model.pt").is_file():
        return NamedModels([named / "model.pt"], [1.0])
    if named.is_file():
        return NamedModels([named], [1.0])
    raise UserError(
        f"{named}: neither a finished benchmark (results/<name>/ensemble.json), nor a folder with a model.pt, "
        f"nor a file"
    )


def the_model(named: Path, member: str | None = None) -> Path:
    """The one trained model that a user names, see `find_models`.

    Raises:
        UserError: it names several, or none.
    """
    models = find_models(named, member).paths
    if len(models) > 1:
        benchmark = find_benchmark(named)
        names = [one.name for one in benchmark.members] if benchmark else []
        raise UserError(f"{named}: has {len(models)} members; choose one with --member: {', '.join(names)}")
    return models[0]


def stores_of(named: Path) -> list[Path]:
    """The HDF5 stores that a user names: of a benchmark its members' scores, of a folder all in it, or the file.

    Raises:
        UserError: there are none.
    """
    if benchmark := find_benchmark(named):
        return [one.run / "scores.h5" for one in benchmark.members]
    if named.is_dir() and named.suffix != ".part":  # which is a store in progress itself
        found = sorted([*named.glob("*.h5"), *named.glob("*.h5.part")])
        if not found:
            raise UserError(f"{named}: holds no store (….h5) and is no finished benchmark")
        return found
    return [named]


def scores_of_seed(members: Sequence[FinishedMember], seed: int) -> list[Path]:
    """The members' scores of a seed."""
    return [paths.of_seed(one.run, seed) / "scores.h5" for one in members]
