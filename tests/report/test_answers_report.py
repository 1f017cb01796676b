import numpy as np
import pytest
from PIL import Image

from mmcl.report.answers import draw, tables
from mmcl.report.contact_sheet import contact_sheet
from mmcl.report.plots import short

FOUND = {"bits": 0.4, "interval": [0.2, 0.6], "shuffled": 0.1, "shuffled_95": 0.2, "p": 0.001}


@pytest.fixture
def result() -> dict:
    """Of two questions, the second of which is not answered with yes or no and has no states."""
    first = {
        "vlm": "blip",
        "text_of_question": "is there $x^ in {hand}?",
        "clips": 20,
        "without": 1,
        "class_bits": 1.0,
        "shuffled": "clips",
        "distinct_texts": 2,
        "texts": [{"text": "yes", "clips": 15}, {"text": "no", "clips": 5}],
        "histogram": [5, *[0] * 18, 15],
        "per_class": [
            {
                "id": f"a{i}",
                "name": name,
                "clips": 10,
                "yes": 50.0 + 50 * i,
                "interval": [30.0 + 40 * i, 70.0 + 30 * i],
                "p_yes": 0.5,
                "text": "yes",
                "share": 50.0,
            }
            for i, name in enumerate(("drink", "a name that is much longer than its place in a picture"))
        ],
        "text": FOUND,
        "p_yes": FOUND,
        "states": {**FOUND, "accuracy": 80.0, "interval": [70.0, 90.0], "input": "hidden"},
        "carries": {"text": True, "p_yes": False, "states": True},
        "verdict": "it does",
    }
    per_class = [{**one, "yes": None, "interval": None, "p_yes": None} for one in first["per_class"]]
    second = {**first, "per_class": per_class, "histogram": None, "p_yes": None, "states": None}
    return {
        "dataset": "made",
        "part": "train",
        "protocol": "odd_subjects",
        "clips": 21,
        "subjects": 4,
        "classes": [{}, {}],
        "shuffles": 99,
        "level": 0.05,
        "questions": [first, second],
    }


def test_the_tables_name_what_is_tested(result):
    shown = tables(result, rows=1)
    assert len(shown) == 9
    assert shown[0].title == "made: 21 training clips of odd_subjects of 4 subjects, 2 classes"
    assert [table.row_count for table in shown[1:4]] == [1, 2, 3]
    assert (shown[3].caption[-8:], shown[7].caption[-8:]) == ("0.05 / 3", "0.05 / 1")
    assert shown[8] == "blip, “is there $x^ in {hand}?”: it does."


def test_the_picture_has_a_row_a_question(result, tmp_path):
    draw(result, tmp_path / "two.png")
    draw({**result, "questions": result["questions"][:1]}, tmp_path / "one.png")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.height == 2 * one.height
        pixels = np.asarray(one.convert("RGB")).astype(int)
    # the bar of fifteen clips on the left is as high as the axes
    blue = (pixels[..., 2] - pixels[..., 0] > 100).any(1)
    assert blue.sum() > 200


def test_characters_that_no_font_has_are_replaced(result, tmp_path, recwarn):
    result["questions"][1]["texts"] = [{"text": "a\x13\x07b", "clips": 3}]
    draw(result, tmp_path / "control.png")
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    assert short("a\x13\x07b", 40) == "a��b"


def test_a_contact_sheet_of_named_clips_in_order(stores, tmp_path):
    names = ["a3_s1", "a1_s1", "a0_s2"]  # the second has no picture
    captions = {"a3_s1": "wave\nyes"}
    drawn = contact_sheet([stores["montages"]], tmp_path / "s.png", names=names, captions=captions, title="t")
    assert drawn == 2
    with Image.open(tmp_path / "s.png") as sheet:
        # thumbnails of 16 pixels below one line of title; action 3 is brighter than action 0
        left, right = (sheet.getpixel((4 + x, 13 + 4 + 4 + 8))[0] for x in (8, 196 + 8))
    assert left > right + 100
