"""A table that lies beside the clips."""

import json

from mmcl.guess.tables import read_tables

CLIPS = ("raw/0001.npy", "raw/0002.npy", "raw/0003.npy", "raw/0004.npy")


def test_columns_are_matched_by_name_and_others_kept(tmp_path):
    (tmp_path / "notes.csv").write_text("date,who\n2026-01-01,me\n")
    (tmp_path / "annotations.csv").write_text(
        "File;Exercise;Participant;Set;Age\nraw/0001.npy;squat;Zoë;train;31\nraw\\0002.npy;lunge;Bob;val;40\n"
        "0003;squat;Bob;val;40\n0004;lunge;Zoë;train;31\n"
    )
    told = read_tables(tmp_path, ["annotations.csv", "notes.csv"], CLIPS)
    assert told.columns == {
        "label": ["squat", "lunge", "squat", "lunge"],
        "subject": ["Zoë", "Bob", "Bob", "Zoë"],
        "split": ["train", "val", "val", "train"],
        "age": ["31", "40", "40", "31"],
    }
    assert all(one.check == "" for one in told.findings)


def test_a_column_of_words_may_be_the_label(tmp_path):
    (tmp_path / "t.csv").write_text("id,what is done\n0001,squat\n0002,lunge\n0003,squat\n0004,lunge\n")
    told = read_tables(tmp_path, ["t.csv"], CLIPS)
    assert told.columns == {"label": ["squat", "lunge", "squat", "lunge"]}
    assert told.findings[0].check == "the column what is done is taken as the label"


def test_json_and_clips_without_a_line(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"0001": "squat", "0003": "squat", "0004": "lunge"}))
    told = read_tables(tmp_path, ["labels.json"], CLIPS)
    assert told.columns["label"] == ["squat", "", "squat", "lunge"]
    assert told.findings[-1].value == "1"
