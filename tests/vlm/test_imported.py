"""Answers that were made elsewhere: read, checked, imported, planned, trained with."""

import importlib.util
import pickle
import re
import zipfile

import h5py
import numpy as np
import pytest
from made_stores import make_stores, stream_settings, train

from mmcl import store
from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.index import write_index
from mmcl.errors import UserError
from mmcl.naming import slug
from mmcl.settings.jobs import Answering
from mmcl.video import jpeg
from mmcl.vlm.import_answers import import_answers
from mmcl.vlm.imported import find_answers, lacking, matched, open_answers
from mmcl.vlm.questions import freeze_question

HOLDING = "whether the people are holding objects?"
SLUG = slug(HOLDING)
CLIPS = ["a_1", "b_2", "É_3"]
STATES = np.arange(3 * 2 * 4, dtype=np.float16).reshape(3, 2, 4) / 8
TEXT = ["yes", "no", "a cup ☕"]
P_YES = np.array([0.9, 0.1, np.nan], np.float32)
IDS = np.array([[5, 2], [6, 2], [7, 8]])
TABLE = {"names": np.array(CLIPS), "states": STATES, "text": np.array(TEXT), "p_yes": P_YES, "ids": IDS}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "answers/made").mkdir(parents=True)
    return tmp_path / "answers"


def write_npz(folder, **changes):
    path = folder / f"made/{SLUG}.npz"
    np.savez(path, **{key: value for key, value in {**TABLE, **changes}.items() if value is not None})
    return path


def write_h5(folder, **changes):
    path = folder / f"made/{SLUG}.h5"
    with h5py.File(path, "w") as file:
        for key, value in {**TABLE, **changes}.items():
            text = value.dtype.kind == "U"
            file.create_dataset(
                key, data=value.tolist() if text else value, dtype=store.TEXT if text else None
            )
    return path


def write_clips(folder, **changes):
    path = folder / f"made/{SLUG}"
    path.mkdir()
    for row, name in enumerate(CLIPS):
        values = {**TABLE, **changes}
        np.savez(path / f"{name}.npz", **{key: values[key][row] for key in values if key != "names"})
    return path


def write_csv(folder):
    path = folder / f"made/{SLUG}.csv"
    rows = [
        f'{name},"{text}",{f"{p:g}" if p == p else ""}'
        for name, text, p in zip(CLIPS, TEXT, P_YES, strict=True)
    ]
    path.write_text("\n".join(["name,text,p_yes", *rows]), encoding="utf-8")
    return path


WRITERS = {"npz": write_npz, "h5": write_h5, "clips": write_clips, "csv": write_csv}


def run(tmp_path, clips=CLIPS, **settings):
    """The store of a shard of one."""
    index = tmp_path / "made.tsv"
    write_index(index, [ClipEntry(name, "a", 1, 1, 1, None, "", "", "") for name in sorted(clips)])
    question = tmp_path / f"{SLUG}.txt"
    freeze_question(question, HOLDING)
    output = tmp_path / "out/000-of-001.h5"
    output.parent.mkdir(exist_ok=True)
    stated = Answering(name="made", adapter="imported", weights=str(tmp_path / "answers"), **settings)
    import_answers(index, question, output, stated, "0")
    return store.Shards([output], "mmcl.answers/1")


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_becomes_the_same_store(tmp_path, folder, form):
    WRITERS[form](folder)
    found = run(tmp_path)
    assert found.names == sorted(CLIPS)
    assert found.attribute("question") == HOLDING
    assert found.read("text", CLIPS).tolist() == TEXT
    np.testing.assert_array_equal(found.read("p_yes", CLIPS), P_YES)
    if form == "csv":
        assert found.shape("states") == (1, 0)
        assert found.shape("ids") == (1,)
        return
    assert found.shape("states") == (3, 4)  # max_new_tokens, D
    np.testing.assert_array_equal(found.read("states", CLIPS)[:, :2], STATES)
    assert not found.read("states")[:, 2].any()
    assert found.read("mask").tolist() == [[True, True, False]] * 3
    np.testing.assert_array_equal(found.read("ids", CLIPS), np.pad(IDS, [(0, 0), (0, 1)], constant_values=-1))


def test_one_state_and_the_first_tokens(tmp_path, folder):
    write_npz(folder, states=STATES[:, 1].astype(np.float64), ids=None)
    assert run(tmp_path).shape("states") == (1, 4)
    write_npz(folder, mask=np.array([[True, True], [True, False], [True, True]]))
    found = run(tmp_path, max_new_tokens=2)
    assert found.read("mask", CLIPS).tolist() == [[True, True], [True, False], [True, True]]
    assert not found.row("states", "b_2")[1].any()
    np.testing.assert_array_equal(run(tmp_path, max_new_tokens=1).read("states", CLIPS), STATES[:, :1])


def test_a_store_of_answers_can_be_imported_itself(tmp_path, folder):
    write_npz(folder)
    first = run(tmp_path)
    first.paths[0].replace(folder / f"made/{SLUG}.h5")
    (folder / f"made/{SLUG}.npz").unlink()
    again = run(tmp_path)
    for column in ("states", "mask", "ids", "text", "p_yes"):
        expected = np.pad(IDS, [(0, 0), (0, 1)], constant_values=-1) if column == "ids" else None
        if expected is not None:
            np.testing.assert_array_equal(again.read(column, CLIPS), expected)
    np.testing.assert_array_equal(again.read("states", CLIPS)[:, :2], STATES)


def test_names_are_matched_as_clips_are():
    same = ("S001C001P001R001A001", "s001c001p001r001a001.npy", "S001C001P001R001A001_rgb.avi")
    assert len({matched(name) for name in same}) == 1
    assert matched("E\u0301_3.skeleton") == matched("é_3")
    assert matched("walk.v2") == "walk.v2"


def test_clips_fail_alone(tmp_path, folder):
    states = STATES.copy()
    states[1, 0, 0] = np.inf
    write_npz(folder, states=states, p_yes=np.array([2, 0.5, 0.5]))
    found = run(tmp_path, [*CLIPS, "d_4"])
    where = f"{folder}/made/{SLUG}.npz, row"
    assert found.names == ["É_3"]
    assert found.failed == {
        "a_1": f"answer: {where} 0: p_yes is 2.0, not between 0 and 1",
        "b_2": f"answer: {where} 1: states that are not finite in float32",
        "d_4": f"no answer in {SLUG}.npz",
    }


def test_texts_that_no_store_keeps(tmp_path, folder):
    write_npz(folder, text=np.array(["a\0b", "\ud800", "x" * 10_001]))
    found = run(tmp_path)
    assert found.row("text", "a_1") == "a\ufffdb"
    assert found.failed["b_2"].endswith("row 1: the text cannot be written as UTF-8")
    assert found.failed["É_3"].endswith("row 2: a text of 10001 characters, more than 10000")


def test_files_of_clips_fail_alone(tmp_path, folder):
    clips = write_clips(folder)
    (clips / "b_2.npz").write_bytes(b"PK no archive")
    np.savez(clips / "É_3.npz", states=np.zeros((2, 5), np.float32), text="yes", p_yes=0.5, ids=IDS[0])
    found = run(tmp_path)
    assert found.names == ["a_1"]
    assert found.failed["b_2"].startswith(f"answer: {clips}/b_2.npz: cannot be read as npz (")
    assert "states 2×5" in found.failed["É_3"]
    assert "width 4; one model" in found.failed["É_3"]


def test_answers_about_other_clips_are_refused(tmp_path, folder):
    table = open_answers(write_npz(folder))
    assert lacking(table, ["A_1.avi", "x"]) == ["x"]
    with pytest.raises(UserError, match=r"about none of the 2 clips \(x, y\); its names are a_1, b_2"):
        lacking(table, ["x", "y"])
    with pytest.raises(UserError, match="clips a_1, A_1 differ in capitals or ending only"):
        lacking(table, ["a_1", "A_1"])
    write_npz(folder, names=np.array(["a_1", "A_1.avi", "c"]))
    with pytest.raises(UserError, match=r"a_1, A_1.avi: two answers about one clip"):
        run(tmp_path)


def test_what_is_no_answer_file_is_told(folder):
    with pytest.raises(
        UserError, match=rf"answers/made: no answers to the question {SLUG}: .*docs/vlm-models"
    ):
        find_answers(folder, "made", SLUG)
    write_npz(folder)
    write_csv(folder)
    with pytest.raises(UserError, match=r"answers to one question in .*npz, .*csv; keep one"):
        find_answers(folder, "made", SLUG)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": None}, r"no names of clips \(array names\)"),
        ({"states": STATES[:2]}, "states has 2 rows, names has 3"),
        ({"states": STATES.astype(np.int64)}, "states holds int64, expected floats"),
        ({"states": STATES[..., None]}, "states of a clip has 3 axes, expected 1 or 2"),
        ({"states": STATES[:, :, :0]}, "states of a clip is empty"),
        ({"states": np.zeros((3, 70_000), np.float16)}, "more than 4096 tokens of width 65536"),
        ({"text": np.array(TEXT, object)}, "text holds object, expected text"),
        ({"p_yes": np.array(["a"] * 3)}, "p_yes holds <U1, expected floats"),
        ({"more": np.zeros(3)}, "unknown array 'more'; known: names, states, mask, ids, text, p_yes"),
        ({"states": None, "text": None, "p_yes": None}, "none of the columns states, text and p_yes"),
    ],
)
def test_columns_of_another_form_are_refused(folder, changes, message):
    path = write_npz(folder, **changes)
    with pytest.raises(UserError, match=message):
        open_answers(path)


def test_no_pickle_is_executed(tmp_path, folder):
    mark = tmp_path / "executed"

    class Bad:
        def __reduce__(self):
            return mark.touch, ()

    pickled = np.empty(3, object)
    pickled[:] = [Bad(), Bad(), Bad()]
    path = write_npz(folder, text=pickled)
    with pytest.raises(UserError, match="text holds object"):
        open_answers(path)
    path.write_bytes(pickle.dumps(Bad()))
    with pytest.raises(UserError, match="cannot be read as npz"):
        open_answers(path)
    assert not mark.exists()


def test_an_array_that_promises_more_than_there_is_is_refused(folder):
    path = write_npz(folder)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["states.npy"] = parts["states.npy"].replace(b"(3, 2, 4)", b"(9, 9, 9)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(UserError, match=r"states is not as long as its shape \(9, 9, 9\) states"):
        open_answers(path)


def test_text_that_is_none_is_refused(folder):
    text = np.array(TEXT)
    text.view(np.uint32)[0] = 0x7FFFFFFF
    path = write_npz(folder, text=text)
    with pytest.raises(UserError, match="text is no text"):
        open_answers(path).names  # noqa: B018 - reads the file


def test_hdf5_that_leads_elsewhere_or_is_packed_is_refused(folder):
    path = write_h5(folder)
    with h5py.File(path, "r+") as file:
        del file["states"]
        file["states"] = h5py.ExternalLink("other.h5", "states")
    with pytest.raises(UserError, match="'states' is a link"):
        open_answers(path)
    with h5py.File(path, "r+") as file:
        del file["states"]
        file.create_dataset("states", data=STATES, compression="gzip")
    with pytest.raises(UserError, match="'states' is stored in chunks; write it without compression"):
        open_answers(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="cannot be read as HDF5"):
        open_answers(path)


def test_a_damaged_line_of_a_table_fails_its_clip(tmp_path, folder):
    path = write_csv(folder)
    path.write_text(path.read_text().replace("0.9", "much"))
    assert run(tmp_path).failed == {"a_1": f"answer: {path}, line 2: p_yes is 'much', no number"}


def test_frm_trains_with_imported_answers(tmp_path, folder):
    made = make_stores(tmp_path)
    answers = store.Shards([made["answers"]], "mmcl.answers/1")
    clips = folder / f"made/{SLUG}"
    clips.mkdir()
    for name in answers.names:
        np.savez(clips / f"{name}.npz", states=answers.row("states", name), text="yes")
    run(tmp_path, answers.names)
    imported = {**made, "answers": tmp_path / "out/000-of-001.h5"}
    settings = stream_settings(model__fam__enabled=False, train__epochs=1)
    own, other = (train(stores, tmp_path / name, settings) for stores, name in ((made, "a"), (imported, "b")))
    assert own["state"].keys() == other["state"].keys()
    for key, value in own["state"].items():
        assert value.equal(other["state"][key]), key


def test_frm_wants_what_the_answers_lack(tmp_path, folder):
    made = make_stores(tmp_path)
    names = store.Shards([made["answers"]], "mmcl.answers/1").names
    lines = ["name,text,p_yes", *(f"{name},yes,0.{row % 10}" for row, name in enumerate(names))]
    (folder / f"made/{SLUG}.csv").write_text("\n".join(lines))
    run(tmp_path, names)
    imported = {**made, "answers": tmp_path / "out/000-of-001.h5"}
    for kind, message in (("hidden", "needs hidden states"), ("shuffled", "needs hidden states")):
        settings = stream_settings(model__fam__enabled=False, model__frm__input=kind)
        with pytest.raises(UserError, match=f"frm.input {kind} {message}"):
            train(imported, tmp_path / kind, settings)
    settings = stream_settings(model__fam__enabled=False, model__frm__input="p_yes", train__epochs=1)
    train(imported, tmp_path / "p_yes", settings)


def test_the_documented_script_writes_what_is_imported(tmp_path, folder, project):
    page = (project / "docs/vlm-models.md").read_text()
    (script,) = re.findall(r"^```python\n# write_answers.py\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "write_answers.py").write_text(script)
    spec = importlib.util.spec_from_file_location("write_answers", tmp_path / "write_answers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    montages = tmp_path / "montages"
    montages.mkdir()
    store.write(
        montages / "000-of-001.h5",
        schema="mmcl.montages/1",
        settings={},
        names=CLIPS,
        columns={"images": store.Column("bytes")},
        batch_size=5,
        work=lambda names: store.Batch(names, {"images": [jpeg.encode(picture, 95)] * len(names)}, {}),
    )
    module.main(montages, folder / "made")
    found = run(tmp_path)
    assert found.names == sorted(CLIPS)
    assert found.shape("states") == (3, 32)
    assert found.read("text").tolist() == ["yes"] * 3
