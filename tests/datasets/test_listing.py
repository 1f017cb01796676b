"""Clips that an index and a store can hold, and recordings that damage in any way."""

import os

import numpy as np
import pytest

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.index import read_index, write_index
from mmcl.datasets.listing import list_clips, read_recording, reason_of
from mmcl.errors import UserError


class Listed:
    """A reader that lists what it is given."""

    def __init__(self, *entries):
        self.entries = entries

    def list_clips(self):
        return list(self.entries)


def entry(name, **more):
    values = {"action": "x", "subject": 1, "camera": 1, "setup": 1, "frames": None, "skeleton": f"{name}.npz"}
    return ClipEntry(**{"name": name, "video": "", "left_out": "", **values, **more})


def test_what_cannot_be_held_is_left_out_with_the_reason(tmp_path):
    odd = os.fsdecode("fu\xdfball".encode("latin-1"))
    entries = list_clips(
        Listed(
            entry("good"),
            entry(odd),
            entry("a\r\nb", skeleton="a.npz"),
            entry(" blanks ", skeleton=f"{odd}/a\rb\tc.npz"),
            entry("many", subject=40_000),
            entry("huge", setup=10**400),
            entry("minus", camera=-1),
            entry("out", video="../x.avi"),
            entry("class", action="c\x1b[2J"),
            entry("jo\u0308rg"),
            entry("jörg", skeleton="other.npz"),
            entry("", skeleton="b.npz", left_out="why"),
        )
    )
    write_index(tmp_path / "index.tsv", entries)
    assert read_index(tmp_path / "index.tsv") == entries
    assert {e.name: e.left_out for e in entries} == {
        "good": "",
        "fu\\udcdfball": "the name holds characters that cannot be printed, or is not UTF-8",
        "a\\r\\nb": "the name holds characters that cannot be printed, or is not UTF-8",
        "blanks": "",
        "many": "subject 40000 is no number from 0 to 32767",
        "huge": "setup <integer of 1329 bits> is no number from 0 to 32767",
        "minus": "camera -1 is no number from 0 to 32767",
        "out": "video '../x.avi' leads out of the data folder",
        "class": "the class holds characters that cannot be printed, or is not UTF-8",
        "jörg": "two clips have this name, jo\u0308rg.npz and other.npz",
        "(no name)": "why; the name is empty",
    }
    assert [e.name for e in entries] == sorted(e.name for e in entries)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UserError("/data/sub/a.npz: line 3: bad"), "sub/a.npz: line 3: bad"),
        (
            PermissionError(13, "Permission denied", "/data/sub/a.npz"),
            "sub/a.npz: cannot be read (Permission denied)",
        ),
        (KeyError("joints"), "sub/a.npz: cannot be read (KeyError: 'joints')"),
        (MemoryError(), "sub/a.npz: cannot be read (MemoryError)"),
        (ValueError("\x1b[2J" + "x" * 10_000), "sub/a.npz: cannot be read (ValueError: \\x1b[2Jxxx"),
    ],
)
def test_whatever_goes_wrong_is_the_clips_reason(error, reason):
    def read(_):
        raise error

    with pytest.raises(UserError) as refused:
        read_recording(read, entry("a", skeleton="sub/a.npz"))
    found = reason_of(refused.value, "sub/a.npz")
    assert found.startswith(reason)
    assert len(found) <= 600
    assert found.isprintable()
    assert read_recording(lambda _: np.ones(1), entry("a"))[0] == 1
