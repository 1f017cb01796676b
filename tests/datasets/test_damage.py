"""Two thousand broken files: each is read or reported, with the file's name and the cause; nothing else."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damaged_files import KINDS, cases
from made_readers import opened, preparation, prepared

from mmcl.datasets.index import write_index
from mmcl.datasets.prepare import SkeletonStore, prepare_skeletons
from mmcl.errors import UserError

MEMORY = {"nw_ucla": 512, "own_json": 512}
MEMORY_OF_OTHERS = 256
"""MiB that reading a file may add to the process, whatever it promises; parsed JSON is large in Python."""

HERE = Path(__file__).parent
Result = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[Result]:
    """(kind, what was done, what became of it) of every case, all read in one process."""
    top = tmp_path_factory.mktemp("damage")
    manifest = []
    for kind, write in KINDS.items():
        (folder := top / kind).mkdir()
        dataset, file = write(folder)
        (broken := top / f"{kind}.cases").mkdir()
        made = []
        for number, (what, data) in enumerate(cases(kind, file.read_bytes())):
            path = broken / str(number)
            path.write_bytes(data)
            made.append([what, str(path)])
        manifest.append({"kind": kind, "dataset": dataset, "file": str(file), "cases": made})
    (top / "manifest.json").write_text(json.dumps(manifest))
    worker = subprocess.run(
        [sys.executable, HERE / "read_damaged.py", top / "manifest.json"],
        env={
            **os.environ,
            "PYTHONPATH": str(HERE.parent),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert worker.returncode == 0, f"died at {worker.stdout.splitlines()[-1]}\n{worker.stderr[-2000:]}"
    found = []
    for line in worker.stdout.splitlines():
        (kind, what), end = json.JSONDecoder().raw_decode(line)
        found.append((kind, what, json.loads(line[end:])))
    assert len(found) == sum(len(item["cases"]) for item in manifest)
    return found


def test_there_are_more_than_a_thousand(results):
    assert len(results) > 1000
    assert set(Counter(kind for kind, _, _ in results)) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_read_or_reported(results, kind):
    of_kind = [(what, outcome) for of, what, outcome in results if of == kind]
    wrong = [(what, outcome) for what, outcome in of_kind if outcome["state"] == "wrong"]
    assert not wrong, f"{len(wrong)} of {len(of_kind)}: {wrong[:3]}"
    states = Counter(outcome["state"] for _, outcome in of_kind)
    # what is broken is seen, and not everything is refused
    assert states["reported"] > 20
    assert states["read"] > 0 or kind in ("mat_4", "mat_7.3")


def test_memory(results):
    greedy = [
        (kind, what, outcome["memory"])
        for kind, what, outcome in results
        if outcome["memory"] > MEMORY.get(kind, MEMORY_OF_OTHERS)
    ]
    assert not greedy


@pytest.mark.parametrize("column", ["skeleton", "video"])
@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd", "a/../../b.skeleton", "..\\b", "a\0b"])
def test_an_index_leads_nowhere_else(tmp_path, column, place):
    dataset, file = KINDS["ntu"](tmp_path)
    entry = replace(opened(**dataset).list_clips()[0], **{column: place})
    write_index(tmp_path / "index.tsv", [entry])
    with pytest.raises(UserError, match=rf"index.tsv: line 2: {column} .* leads out of the data folder"):
        prepare_skeletons(
            tmp_path / "index.tsv", tmp_path / "store.h5", preparation("ntu"), dataset["skeletons"]
        )
    # what lies in a linked folder belongs to the data
    (tmp_path / "elsewhere").mkdir()
    file.rename(tmp_path / "elsewhere" / file.name)
    (tmp_path / "skeletons").mkdir()
    (tmp_path / "skeletons" / "linked").symlink_to(tmp_path / "elsewhere")
    store = prepared(tmp_path / "store.h5", "ntu", tmp_path / "skeletons")
    assert SkeletonStore(store).names == [file.stem]


def test_the_reason_names_the_place(results):
    """A few that must be reported in so many words."""
    reported = {(kind, what): outcome["detail"] for kind, what, outcome in results}
    assert "line 1: states 1000000000 frames, but only 1 lines follow" in reported["ntu", "1e+09 frames"]
    assert "has more than 1000000 lines" in reported["ntu", "millions of lines"]
    assert "line 5: has 35999999 characters" in reported["ntu", "millions of fields"]
    assert "d_skel is 20×3×1000000000" in reported["mat_5", "10^9 frames"]
    assert "leads out of" in reported["own_table", "path '../../etc/passwd'"]
