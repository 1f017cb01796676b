"""NTU at full count: which clips are listed and where the protocols put them. No file is made."""

from itertools import product

import numpy as np
import pytest

from mmcl.datasets import ntu
from mmcl.datasets.index import read_index, write_index
from mmcl.datasets.ntu import NtuOptions, NtuReader, missing_names, parse_name
from mmcl.datasets.protocols import Clips, protocols, split

PAIRS = {
    # (training subject, even setup) → pairs of setup and performer, in NTU-60 and in what NTU-120 adds
    60: {(True, True): 52, (True, False): 60, (False, True): 22, (False, False): 24},
    120: {(True, True): 31, (True, False): 33, (False, True): 47, (False, False): 49},
}
"""Only the sums are published: by subject 112 + 46 and 176 + 142, by setup 152 + 166 of all."""


def pairs(part: int) -> list[tuple[int, int]]:
    """(setup, performer) of NTU-60 or of what NTU-120 adds: those in the missing list, filled up with others."""
    setups, subjects = (range(1, 18), range(1, 41)) if part == 60 else (range(18, 33), range(1, 107))
    train = protocols()["ntu120_xsub"].train
    certain = {
        (name.setup, name.subject) for name in map(parse_name, missing_names()) if name.setup in setups
    }
    chosen = []
    for kind, count in PAIRS[part].items():
        of_kind = [
            (setup, subject)
            for subject, setup in product(subjects, setups)
            if (subject in train, setup % 2 == 0) == kind
        ]
        of_kind.sort(key=lambda pair: pair not in certain)  # stable
        assert sum(pair in certain for pair in of_kind) <= count
        chosen += of_kind[:count]
    return chosen


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [
        f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}"
        for part, actions in ((60, range(1, 61)), (120, range(61, 121)))
        for (setup, subject), camera, replication, action in product(pairs(part), (1, 2, 3), (1, 2), actions)
    ]


def listed(names, monkeypatch, **options):
    monkeypatch.setattr(
        ntu, "find_recordings", lambda folder, endings: {name: f"{name}.skeleton" for name in names}
    )
    entries = NtuReader("nowhere", None, NtuOptions(**options)).list_clips()
    left = [entry for entry in entries if not entry.left_out]
    columns = {
        key: np.array([getattr(entry, key) for entry in left]) for key in ("subject", "camera", "setup")
    }
    action, no_split = np.array([entry.action for entry in left], object), np.full(len(left), "", object)
    return entries, Clips(names=[entry.name for entry in left], action=action, split=no_split, **columns)


def test_all_of_ntu_120(names, monkeypatch, tmp_path):
    entries, clips = listed(names, monkeypatch)
    assert (len(entries), len(clips.names)) == (114_480, 113_945)
    for protocol, counts in {"ntu120_xsub": (63_026, 50_919), "ntu120_xset": (54_468, 59_477)}.items():
        assert tuple(side.sum() for side in split(protocol, clips)) == counts
    write_index(tmp_path / "index.tsv", entries)
    assert read_index(tmp_path / "index.tsv") == entries


def test_ntu_60_out_of_ntu_120(names, monkeypatch):
    entries, clips = listed(names, monkeypatch, max_action=60, max_setup=17)
    assert (len(entries), len(clips.names)) == (56_880, 56_578)
    for protocol, counts in {"ntu60_xsub": (40_091, 16_487), "ntu60_xview": (37_646, 18_932)}.items():
        assert tuple(side.sum() for side in split(protocol, clips)) == counts
