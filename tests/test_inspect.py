import json
import shutil

import numpy as np
import pytest
from made_stores import edited
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.inspect import inspect
from mmcl.report.contact_sheet import contact_sheet
from mmcl.store import Batch, Column, write

run = CliRunner().invoke


def jpeg(value):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def montages(tmp_path):
    def work(names):
        good = [n for n in names if n != "bad"]
        return Batch(good, {"images": [jpeg(50 * i) for i in range(len(good))]}, {"bad": "no person"})

    path = tmp_path / "montages.h5"
    names = ["bad", "one", "two"]
    columns = {"images": Column("bytes")}
    settings = {"size": 40, "jpeg_quality": 95}
    write(
        path,
        schema="mmcl.montages/1",
        settings=settings,
        names=names,
        columns=columns,
        batch_size=9,
        work=work,
    )
    return path


@pytest.fixture
def answers(tmp_path):
    def work(names):
        n = len(names)
        states, mask, ids = np.zeros((n, 3, 8)), np.ones((n, 3)), np.full((n, 3), 7)
        answer = {"states": states, "mask": mask, "ids": ids, "text": ["yes"] * n, "p_yes": [0.75] * n}
        return Batch(list(names), answer, {})

    columns = {
        "states": Column("float32", (3, 8)),
        "mask": Column("bool", (3,)),
        "ids": Column("int64", (3,)),
        "text": Column("text"),
        "p_yes": Column("float32"),
    }
    path = tmp_path / "answers.h5"
    write(
        path,
        schema="mmcl.answers/1",
        settings={},
        names=["one"],
        columns=columns,
        batch_size=9,
        work=work,
        attributes={"question": "whether?"},
    )
    return path


def test_it_shows_what_a_store_holds(montages):
    shown = run(app, ["inspect", str(montages)])
    assert shown.exit_code == 0
    lines = [line.split(maxsplit=1) for line in shown.stdout.splitlines()[1:]]
    for part in (
        ["schema", "mmcl.montages/1"],
        ["holds", "One picture of each clip: its crops side by side"],
        ["complete", "yes"],
        ["clips", "2, and 1 failed"],
        ["size", "40"],
        ["bad", "no person"],
        ["images", "2      bytes  byte  clip"],
    ):
        assert part in lines
    assert max(map(len, shown.stdout.splitlines()[1:])) <= 80


def test_it_does_not_touch_the_file(montages):
    before = montages.stat().st_mtime_ns
    run(app, ["inspect", str(montages)])
    assert montages.stat().st_mtime_ns == before


def test_it_shows_question_and_answer(answers):
    lines = [line.split() for line in run(app, ["inspect", str(answers)]).stdout.splitlines()]
    assert ["question", "whether?"] in lines
    assert ["states", "1×3×8", "float32", "none", "clip,", "token,", "feature"] in lines
    assert ["text", "1", "3"] in lines  # one answer of three characters
    assert ["one", *"777", *"111", "0.75", *"000", "…", "yes"] in lines


def test_it_shows_classes_with_their_names(stores):
    lines = [line.split() for line in inspect(stores["skeletons"], rows=2).splitlines()]
    assert ["2", "a2", "a2", "8"] in lines  # label, id, name, clips
    head = next(line for line in lines if line[:2] == ["names", "labels"])
    assert "offset" not in head
    assert lines[lines.index(head) + 1][:4] == ["a0_s1", "0", "a0", "a0"]
    assert ["bad_s1", "empty"] in lines


def test_as_json_it_has_all_of_it(stores, answers):
    done = run(app, ["inspect", str(stores["skeletons"]), str(answers), "--json"])
    found = json.loads(done.stdout)["stores"]
    assert [one["schema"] for one in found] == ["mmcl.skeletons/1", "mmcl.answers/1"]
    skeletons, answer = found
    assert skeletons["arrays"]["joints"]["unit"] == "m"
    assert skeletons["arrays"]["joints"]["axes"] == "row, joint, coordinate"
    assert skeletons["classes"][3] == {"label": 3, "id": "a3", "name": "a3", "clips": 8}
    assert skeletons["failed"] == {"bad_s1": "empty", "bad_s2": "empty"}
    assert answer["texts"]["text"] == {"different": 1, "characters": [3, 3], "frequent": {}}
    assert answer["clips"][0]["p_yes"] == 0.75


def test_what_an_array_says_of_itself_cannot_control_a_terminal(stores, tmp_path):
    path = shutil.copy(stores["skeletons"], tmp_path / "x.h5")
    with edited(path) as file:
        file["labels"].attrs.update(description="\x1b[31mred", unit="one", axes="clip")
        file["split"].attrs["unit"] = ["many", "units"]
        file["subject"].attrs["description"] = 3
    shown = inspect(path)
    assert "\\x1b[31mred" in shown
    assert "\x1b" not in shown
    assert "train or test where" in shown  # what is no text is not believed
    assert "Number of the person" in shown


def test_it_draws_a_contact_sheet(montages, tmp_path):
    from PIL import Image

    done = run(app, ["inspect", str(montages), "--picture", str(tmp_path / "sheet.png")])
    assert done.exit_code == 0
    assert "2 clips drawn" in done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 196 + 4, 192 + 18 + 4 + 4)
        # the second thumbnail is the brighter one: JPEG of grey 50
        assert abs(sheet.getpixel((4 + 196 + 20, 4 + 20))[0] - 50) < 4


@pytest.mark.parametrize("count", [2, 5, 16])
def test_the_crops_of_a_clip_stand_side_by_side(tmp_path, count):
    """Each in the middle of a place of its own."""
    from PIL import Image

    greys = [60 + 10 * i for i in range(count)]
    write(
        tmp_path / "crops.h5",
        schema="mmcl.crops/1",
        settings={},
        names=["a"],
        columns={
            "boxes": Column("float32", (count, 4)),
            "scores": Column("float32", (count,)),
            "frame": Column("int32", (count,)),
            "images": Column("bytes", (count,)),
        },
        batch_size=9,
        work=lambda names: Batch(
            names,
            {
                "boxes": np.zeros((1, count, 4)),
                "scores": np.ones((1, count)),
                "frame": np.zeros((1, count)),
                "images": [[jpeg(grey) for grey in greys]],
            },
            {},
        ),
    )
    contact_sheet([tmp_path / "crops.h5"], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        for i, grey in enumerate(greys):
            assert abs(sheet.getpixel((4 + i * 68 + 34, 4 + 96))[0] - grey) < 4
            assert sheet.getpixel((4 + i * 68 + 34, 4)) == (229, 231, 235)  # below and above it, the ground


def test_a_picture_that_is_damaged_does_not_stop_the_sheet(tmp_path, caplog):
    def work(names):
        return Batch(list(names), {"images": [jpeg(50), b"no picture"]}, {})

    columns = {"images": Column("bytes")}
    path = tmp_path / "montages.h5"
    write(
        path,
        schema="mmcl.montages/1",
        settings={},
        names=["a", "b"],
        columns=columns,
        batch_size=9,
        work=work,
    )
    assert contact_sheet([path], tmp_path / "sheet.png") == 2
    assert "picture of b left out (10 bytes that are not a JPEG picture)" in caplog.text


def test_it_shows_a_store_in_progress(tmp_path):
    def work(names):
        if names == ["b"]:
            raise KeyboardInterrupt
        return Batch(list(names), {"x": [1.0]}, {})

    path = tmp_path / "s.h5"
    columns = {"x": Column("float32")}
    with pytest.raises(KeyboardInterrupt):
        write(path, schema="t/1", settings={}, names=["a", "b"], columns=columns, batch_size=1, work=work)
    for target in (path, f"{path}.part"):
        assert "1 of 2 batches kept" in run(app, ["inspect", str(target)]).stdout


def test_mistakes(tmp_path, answers):
    missing = run(app, ["inspect", str(tmp_path / "no.h5")])
    assert missing.exit_code == 1
    assert "no such store" in missing.stderr
    (tmp_path / "text.h5").write_text("no")
    assert "cannot be read as HDF5" in run(app, ["inspect", str(tmp_path / "text.h5")]).stderr
    none = run(app, ["inspect", str(answers), "--picture", str(tmp_path / "x.png")])
    assert none.exit_code == 1
    assert "holds no pictures" in none.stderr
    assert run(app, ["inspect"]).exit_code == 2
    assert run(app, ["inspect", "--wrong"]).exit_code == 2


def test_help_has_an_example():
    assert "Example: mmcl inspect" in run(app, ["inspect", "--help"]).stdout
