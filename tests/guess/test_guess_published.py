"""Data sets that have a reader of their own, and other tools' files."""

import shutil

import pytest
from datasets.made_recordings import write_ntu
from exchange.made_exchange import make_store

from mmcl.exchange.convert import convert
from mmcl.guess.describe import describe


def test_files_named_like_ntus(tmp_path):
    for subject in (1, 2, 3):
        for action in (1, 23):
            write_ntu(tmp_path / "data", f"S001C001P{subject:03d}R001A{action:03d}")
    described = describe(tmp_path / "data", "mine", tmp_path)
    assert described.dataset["reader"] == "ntu"
    assert described.dataset["options"] == {"max_action": 60}
    assert (described.protocol, described.rows) == ("ntu60_xsub", [])


@pytest.mark.parametrize("ending", ["h5", "pkl", "npz"])
def test_one_file_of_another_tool(tmp_path, ending):
    store = make_store(tmp_path)
    file = tmp_path / "data" / f"all.{ending}"
    file.parent.mkdir()
    if ending == "h5":
        shutil.copy(store, file)
    else:
        convert(store, file, protocol="ntu60_xsub" if ending == "npz" else None)
    described = describe(file.parent, "mine", tmp_path)
    assert described.dataset["reader"] == ("ctr_npz" if ending == "npz" else "pyskl")
    assert described.protocol
