import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from made_readers import indexing, preparation, prepared
from made_recordings import joints, write_ntu

from mmcl.datasets.index import read_index, write_index
from mmcl.datasets.ntu import NtuReader
from mmcl.datasets.prepare import SkeletonStore, class_order, index_clips, prepare_skeletons
from mmcl.errors import UserError

NAMES = [f"S001C00{c}P00{p}R001A0{a}" for a in ("01", "09", "23") for p in (1, 3) for c in (1, 2)]
LISTED, BROKEN = "S001C002P005R002A008", "S001C003P001R001A050"


@pytest.fixture
def dataset(tmp_path):
    for i, name in enumerate([*NAMES, LISTED, BROKEN]):
        write_ntu(tmp_path / "raw", name, frames=15 + i, seed=i)
    (tmp_path / "raw" / f"{BROKEN}.skeleton").write_text("15\n1\n")
    return tmp_path / "raw"


def prepare(tmp_path, dataset, name="a.h5", processes=1, **options):
    return SkeletonStore(prepared(tmp_path / name, "ntu", dataset, processes, **options))


def test_store(tmp_path, dataset):
    skeletons = prepare(tmp_path, dataset)
    assert skeletons.names == sorted(NAMES)
    assert len(skeletons) == 12
    assert skeletons.class_ids == ["A001", "A009", "A023"]  # A008 and A050 have no clip that could be used
    assert skeletons.class_names == ["drink water", "standing up (from sitting position)", "hand waving"]
    assert skeletons.layout == "ntu25"
    assert skeletons.settings == {
        "version": 1,
        "reader": "ntu",
        "options": {},
    }
    for i, name in enumerate(skeletons.names):
        assert f"A{('001', '009', '023')[skeletons.labels[i]]}" == name[-4:]
        assert (skeletons.camera[i], skeletons.subject[i], skeletons.setup[i]) == (
            int(name[7]),
            int(name[11]),
            1,
        )
        seed = NAMES.index(name)
        clip = skeletons.clip(i)
        assert clip.shape == (15 + seed, 1, 25, 3)
        expected = joints(15 + seed, seed)
        np.testing.assert_allclose(clip[:, 0], expected - expected[0, 1], atol=1e-5)
    assert len(skeletons.joints) == sum(15 + i for i in range(12))


def test_clips_are_read_a_few_at_a_time(tmp_path, dataset, monkeypatch):
    index_clips(indexing("ntu"), tmp_path / "index.tsv", dataset)
    prepare_skeletons(tmp_path / "index.tsv", tmp_path / "a.h5", preparation("ntu"), dataset)
    monkeypatch.setattr("mmcl.datasets.prepare.BLOCK", 3)
    expected, skeletons = SkeletonStore(tmp_path / "a.h5"), SkeletonStore(tmp_path / "a.h5")
    rows = [0, 1, 9, 4, 6, 5, 11]
    found = list(skeletons.read_clips(rows))
    assert "joints" not in vars(skeletons)
    for clip, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(clip, expected.clip(row))
    np.testing.assert_array_equal(next(expected.read_clips([4])), expected.clip(4))


def test_what_protocols_see(tmp_path, dataset):
    index_clips(indexing("ntu"), tmp_path / "index.tsv", dataset)
    said = {name: ("train", "test")[i % 2] for i, name in enumerate(sorted([*NAMES, LISTED, BROKEN]))}
    entries = [replace(entry, split=said[entry.name]) for entry in read_index(tmp_path / "index.tsv")]
    write_index(tmp_path / "index.tsv", entries)
    prepare_skeletons(tmp_path / "index.tsv", tmp_path / "a.h5", preparation("ntu"), dataset)
    skeletons = SkeletonStore(tmp_path / "a.h5")
    assert skeletons.split.tolist() == [said[name] for name in skeletons.names]
    used, failed = skeletons.clips, skeletons.failed_clips
    assert used.action.tolist() == [f"A{name[-3:]}" for name in skeletons.names]
    assert failed.names == list(skeletons.failed)
    assert dict(zip(failed.names, failed.action, strict=True)) == {LISTED: "A008", BROKEN: "A050"}
    assert dict(zip(failed.names, failed.camera, strict=True)) == {LISTED: 2, BROKEN: 3}
    assert dict(zip(failed.names, failed.split, strict=True)) == {key: said[key] for key in (LISTED, BROKEN)}


def test_what_failed_and_why(tmp_path, dataset):
    failed = prepare(tmp_path, dataset).failed
    assert failed[LISTED] == "listed as missing skeleton by the authors (302/535)"
    # without the folder, so that the store does not depend on where the recordings lie
    assert failed[BROKEN] == f"{BROKEN}.skeleton: line 1: states 15 frames, but only 1 lines follow"
    assert len(failed) == 2


def test_any_number_of_processes_gives_the_same_file(tmp_path, dataset):
    prepare(tmp_path, dataset, "one.h5", 1)
    prepare(tmp_path, dataset, "two.h5", 2)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_several_batches(tmp_path, dataset, monkeypatch):
    whole = prepare(tmp_path, dataset, "a.h5")
    monkeypatch.setattr("mmcl.datasets.prepare.BATCH", 5)
    parts = prepare(tmp_path, dataset, "b.h5")
    assert parts.names == whole.names
    assert parts.class_ids == whole.class_ids
    for column in ("joints", "offset", "frames", "persons", "labels"):
        np.testing.assert_array_equal(getattr(parts, column), getattr(whole, column))


def test_duplicated_person(tmp_path, dataset):
    skeletons = prepare(tmp_path, dataset, person2="duplicated", max_action=120)
    assert skeletons.settings["options"] == {"person2": "duplicated"}  # what differs from the defaults
    clip = skeletons.clip(3)
    assert clip.shape[1] == 2
    np.testing.assert_array_equal(clip[:, 0], clip[:, 1])


def test_index_tells_everything(tmp_path, dataset):
    index_clips(indexing("ntu"), tmp_path / "index.tsv", dataset)
    entries = read_index(tmp_path / "index.tsv")
    assert [entry.name for entry in entries] == sorted([*NAMES, LISTED, BROKEN])


def test_nothing_usable(tmp_path, dataset):
    index_clips(indexing("ntu"), tmp_path / "index.tsv", dataset)
    for name in NAMES:
        (tmp_path / "raw" / f"{name}.skeleton").unlink()
    with pytest.raises(UserError, match=r"no clip could be used: "):
        prepare_skeletons(tmp_path / "index.tsv", tmp_path / "a.h5", preparation("ntu"), dataset)
    assert not (tmp_path / "a.h5").exists()


def test_class_order():
    assert sorted(["a10", "a9", "a1"], key=class_order) == ["a1", "a9", "a10"]
    assert sorted(["A120", "A023"], key=class_order) == ["A023", "A120"]
    # a total order: what comes from a set is in one order, whatever the set's own
    tied = ["01", "1", "001", "a03", "a3", "a3b", "A3", "a", "", "3a", "03a", "1 1", "1 01", "٣"]
    assert len({repr(class_order(action)) for action in tied}) == len(tied)
    for seed in range(20):
        mixed = [tied[i] for i in np.random.default_rng(seed).permutation(len(tied))]
        assert sorted(mixed, key=class_order) == sorted(tied, key=class_order)


def test_one_recordings_fault_costs_no_other(tmp_path, dataset, monkeypatch):
    faults = {
        NAMES[0]: KeyError("joints"),
        NAMES[1]: MemoryError(),
        NAMES[2]: OSError(5, "Input/output error"),
        NAMES[3]: np.zeros((2, 128, 25, 3), np.float32),
        NAMES[4]: np.full((2, 1, 25, 3), np.nan, np.float32),
        NAMES[5]: np.zeros((2, 1, 20, 3), np.float32),
    }
    read_clip = NtuReader.read_clip

    def read(self, entry):
        fault = faults.get(entry.name)
        if isinstance(fault, Exception):
            raise fault
        return read_clip(self, entry) if fault is None else fault

    monkeypatch.setattr(NtuReader, "read_clip", read)
    made = prepare(tmp_path, dataset)
    assert made.names == sorted(set(NAMES) - set(faults))
    assert [made.failed[name].removeprefix(f"{name}.skeleton: ") for name in faults] == [
        "cannot be read (KeyError: 'joints')",
        "cannot be read (MemoryError)",
        "cannot be read (Input/output error)",
        "has 128 people, more than 127",
        "a joint is not finite",
        "read as an array of (2, 1, 20, 3), no clip of 25 joints",
    ]
    faults.update(dict.fromkeys(NAMES, ValueError("why")))
    with pytest.raises(UserError, match=r"no clip could be used: .*cannot be read \(ValueError: why\)"):
        prepare(tmp_path, dataset, "none.h5")


def test_readable_by_plain_h5py(tmp_path, dataset):
    prepare(tmp_path, dataset)
    with h5py.File(tmp_path / "a.h5") as h5:
        assert h5.attrs["schema"] == "mmcl.skeletons/1"
        assert h5.attrs["complete"]
        assert h5["classes/id"].asstr()[:].tolist() == ["A001", "A009", "A023"]
        assert h5["joints"].dtype == np.float32
        assert h5["persons"].dtype == np.int8
        joints, parents = h5["layout/joint"].asstr()[:], h5["layout/parent"][:]
        assert joints[[0, 3, 20]].tolist() == ["spine_base", "head", "spine_shoulder"]
        assert joints[parents[3]] == "neck"
        assert h5["joints"].attrs["unit"] == "m"
        assert h5["layout/joint"].attrs["axes"] == "joint"


def test_light_to_import():
    code = (
        "import sys, mmcl.datasets.prepare, mmcl.datasets.protocols;"
        "import mmcl.datasets.ntu, mmcl.datasets.utd_mhad;"
        "print({'torch', 'cv2', 'scipy', 'pandas'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    )
