"""What becomes of damaged and hostile inputs, of jobs that are killed, and of full disks.

python benchmarks/robustness.py [--tries 20] [--kinds "own csv" video …] [--kills 2] [--disks 2] [--seed 0]

Every kind of input is changed in many ways and tried in a process of its own. An input is refused with a sentence, or
used with the same or another result; everything else (a traceback, a signal, no answer in time, too much memory) is a
crash, and the status is 1 then. `--show KIND TRY` repeats one try and prints what came of it.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import transformers
from fuzz import stops
from fuzz.attempt import FORK, Limits, Outcome, attempt
from fuzz.kinds import KINDS, Kind, make_examples

from mmcl import __version__
from mmcl.files import write_json

RESULTS = Path(__file__).parent / "results"
OUTCOMES = ("refused", "same", "other", "crashed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tries", type=int, default=20, help="per kind; a quarter where a try takes a second"
    )
    parser.add_argument("--kinds", nargs="*", default=[kind.name for kind in KINDS], help="only these")
    parser.add_argument("--kills", type=int, default=2, help="jobs that are killed")
    parser.add_argument("--disks", type=int, default=2, help="full disks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=2048, help="MB that a try may take")
    parser.add_argument("--seconds", type=float, default=30, help="that a try may take")
    parser.add_argument("--show", nargs=2, metavar=("KIND", "TRY"), help="one try")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    transformers.logging.disable_progress_bar()
    limits = Limits(chosen.memory << 20, chosen.seconds)
    with tempfile.TemporaryDirectory(prefix="mmcl-robustness-") as folder:
        world = Path(folder, "world")
        maker = FORK.Process(target=make_examples, args=(world,))  # which leaves this process without threads
        maker.start()
        maker.join()
        if maker.exitcode:
            return 1
        if chosen.show:
            kind = next(kind for kind in KINDS if kind.name == chosen.show[0])
            print(_tries(kind, world, [int(chosen.show[1])], chosen.seed, limits)[-1])
            return 0
        found: dict[str, Any] = {"version": __version__, "seed": chosen.seed, "kinds": {}}
        print(f"{'input':<25}" + "".join(f"{word:>9}" for word in ("tried", *OUTCOMES)))
        for kind in KINDS:
            if kind.name in chosen.kinds:
                count = max(1, chosen.tries // 4) if kind.slow else chosen.tries
                found["kinds"][kind.name] = _row(kind, _tries(kind, world, range(count), chosen.seed, limits))
        _print_crashes(found["kinds"])
        found["stops"] = _stops(Path(folder), chosen.kills, chosen.disks, chosen.seed)
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / "robustness.json", found)
    print(f"all of it is in {RESULTS / 'robustness.json'}")
    crashed = sum(row["crashed"] for row in found["kinds"].values())
    return int(crashed > 0 or any(one["problems"] for one in found["stops"].values()))


def _tries(kind: Kind, world: Path, numbers: Any, seed: int, limits: Limits) -> list[Outcome]:
    """The outcomes of a kind's tries; those whose change did nothing are left out."""
    example = world / kind.example
    expected = attempt(kind, example, None, "", limits)
    if expected.what != "same":
        raise RuntimeError(f"{kind.name}: the example itself is not used: {expected}")
    of_kind = [kind_.name for kind_ in KINDS].index(kind.name)
    tried = [(n, attempt(kind, example, (seed, of_kind, n), expected.result, limits)) for n in numbers]
    return [one._replace(detail=f"try {n}: {one.detail}") for n, one in tried if one.what != "unchanged"]


def _row(kind: Kind, outcomes: list[Outcome]) -> dict[str, Any]:
    counts = Counter(outcome.what for outcome in outcomes)
    line = f"{kind.name:<25}{len(outcomes):>9}" + "".join(f"{counts[what]:>9}" for what in OUTCOMES)
    print(line, flush=True)
    details = {what: [one.detail for one in outcomes if one.what == what] for what in ("crashed", "refused")}
    return {
        "tried": len(outcomes),
        **{what: counts[what] for what in OUTCOMES},
        "crashes": details["crashed"],
        "sentences": details["refused"],
    }


def _print_crashes(kinds: dict[str, Any]) -> None:
    total = {what: sum(row[what] for row in kinds.values()) for what in ("tried", *OUTCOMES)}
    print(f"{'together':<25}" + "".join(f"{total[what]:>9}" for what in ("tried", *OUTCOMES)))
    for name, row in kinds.items():
        # the number of the try aside, many crashes are one
        seen = Counter(one.partition(": ")[2] for one in row["crashes"])
        first = {text: one for one in reversed(row["crashes"]) for text in [one.partition(": ")[2]]}
        for text, count in seen.most_common():
            print(f"  {name}: {count} × {first[text]}")


def _stops(folder: Path, kills: int, disks: int, seed: int) -> dict[str, Any]:
    if not kills and not disks:
        return {}
    seconds = stops.undisturbed(folder / "whole")
    expected = stops.marks(folder / "whole")
    random = np.random.default_rng(seed)
    killed = stops.kill_at_random(
        folder, [float(part) for part in random.uniform(0.1, 1, kills)], seconds, expected
    )
    how, full = stops.fill_disk(
        folder / "disk", [float(share) for share in random.uniform(0.01, 0.9, disks)], expected
    )
    print(f"killed at a random point: {killed.tried}, the same files after the same command: {killed.same}")
    print(f"full disk ({how}): {full.tried}, said so: {full.told}, the same files afterwards: {full.same}")
    for problem in (*killed.problems, *full.problems):
        print(f"  {problem}")
    return {"killed": killed._asdict(), "full disk": {"how": how, **full._asdict()}}


if __name__ == "__main__":
    sys.exit(main())
