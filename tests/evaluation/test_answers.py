import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_scores import benchmark
from made_stores import edited, make_stores
from PIL import Image
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.errors import UserError
from mmcl.evaluation.answers import Asked, Request, examine, find_answers, said_yes
from mmcl.naming import slug
from mmcl.settings.protocol import SelectionSettings

QUESTION = "whether the people are holding objects?"
OTHER = "what is in the hand?"
ODD = SelectionSettings(protocol="odd_subjects")


@pytest.fixture
def made(tmp_path, monkeypatch) -> Request:
    """32 clips, 8 subjects, 4 classes: every text is yes, p(yes) is 0 or 1 by class, the states tell the class."""
    monkeypatch.chdir(tmp_path)
    stores = make_stores(tmp_path)
    folder = Path("results/answers/made/blip") / slug(QUESTION)
    for place in (folder, Path("results/skeletons"), Path("results/montages/made")):
        place.mkdir(parents=True)
    stores["skeletons"].rename("results/skeletons/made.h5")
    stores["montages"].rename("results/montages/made/000-of-001.h5")
    stores["answers"].rename(folder / "000-of-001.h5")
    with edited(folder / "000-of-001.h5") as h5:
        h5.attrs["question"] = QUESTION
    Path("config.yaml").write_text(
        yaml.safe_dump(
            {
                "instruction": QUESTION,
                "datasets": {"made": {"reader": "utd_mhad"}},
                "benchmarks": {"b": {"dataset": "made", "protocol": "odd_subjects", "vlm": {"name": "blip"}}},
            }
        )
    )
    asked = Asked("blip", slug(QUESTION), (folder / "000-of-001.h5",))
    return Request("b", "made", Path("results/skeletons/made.h5"), (asked,))


def change(request: Request, **columns) -> None:
    """Rewrite columns of the answers, by a function of the clips' actions and subjects."""
    with edited(request.asked[0].stores[0]) as h5:
        names = h5["names"].asstr()[:]
        action, subject = (np.array([int(name[i]) for name in names]) for i in (1, 4))
        for column, values in columns.items():
            h5[column][...] = values(action, subject)


def test_text_without_and_states_with_information(made):
    result = examine(made, shuffles=199)
    [found] = result["questions"]
    assert (result["clips"], found["clips"], found["without"], result["subjects"]) == (32, 31, 1, 8)
    assert found["texts"] == [{"text": "yes", "clips": 31}]
    assert (found["text"]["bits"], found["text"]["interval"], found["text"]["p"]) == (0, [0, 0], 1)
    # two of four classes: a bit, but for the clip that is missing
    assert found["p_yes"]["bits"] == pytest.approx(1.0, abs=0.01)
    assert found["states"]["accuracy"] == 100
    assert found["carries"] == {"text": False, "p_yes": True, "states": True}
    assert found["verdict"].startswith(
        "the text carries no information about the actions (every text is “yes”); p(yes) does (p(yes) tells 1.00 "
    )
    assert (
        "the states do (a linear probe on the states names 100.0 % of clips of subjects" in found["verdict"]
    )
    assert found["histogram"] == [16, *[0] * 18, 15]
    assert [one["p_yes"] for one in found["per_class"]] == [0, 1, 0, 1]
    assert [one["clips"] for one in found["per_class"]] == [8, 7, 8, 8]
    assert {one["yes"] for one in found["per_class"]} == {100}


def test_answers_that_carry_nothing(made):
    """All say no, and what p(yes) and states hold is of the subject."""
    change(
        made,
        text=lambda action, subject: ["no"] * len(action),
        p_yes=lambda action, subject: subject / 100,
        states=lambda action, subject: np.random.default_rng(0).normal(0, 1, (9, 3, 7))[subject],
    )
    [found] = examine(made, shuffles=199)["questions"]
    assert found["carries"] == {"text": False, "p_yes": False, "states": False}
    assert found["verdict"].startswith(
        "these answers carry no information about the actions: every text is “no”; p(yes) tells 0.0"
    )
    assert {one["yes"] for one in found["per_class"]} == {0}
    assert found["per_class"][0]["interval"] == [0, pytest.approx(32.44)]


def test_text_that_names_the_action(made):
    words = np.array(["a cup", "a ball", "nothing", "a phone"], object)
    change(
        made,
        text=lambda action, subject: words[action],
        p_yes=lambda action, subject: np.full(len(action), np.nan),
        states=lambda action, subject: np.zeros((len(action), 3, 7)),
    )
    [found] = examine(made, shuffles=199)["questions"]
    assert found["text"]["bits"] == found["class_bits"]
    assert (found["p_yes"], found["states"], found["histogram"]) == (None, None, None)
    assert found["verdict"].startswith(
        "these answers carry information about the actions: the text tells 2.00 of 2.00"
    )
    assert [one["text"] for one in found["per_class"]] == words.tolist()
    assert found["per_class"][0]["yes"] is None


def test_texts_of_single_clips_tell_nothing(made):
    change(made, text=lambda action, subject: [f"{a} and {s}" for a, s in zip(action, subject, strict=True)])
    [found] = examine(made, shuffles=99)["questions"]
    assert found["distinct_texts"] == 31
    assert found["text"]["bits"] == 0


def test_training_clips_unless_others_are_asked_for(made):
    split = Request(**{**vars(made), "selection": ODD})
    result = examine(split, shuffles=99)
    assert (result["part"], result["clips"], result["subjects"], result["protocol"]) == (
        "train",
        16,
        4,
        "odd_subjects",
    )
    # a1_s1 trains and has no answer
    [found] = result["questions"]
    assert found["without"] == 1
    assert found["verdict"].endswith("; 15 clips of 4 classes are few, what is weak would not be seen")
    assert examine(split, "test", 99)["questions"][0]["without"] == 0
    assert examine(split, "all", 99)["clips"] == 32
    # without a protocol there is no part
    assert examine(made, "train", 99)["part"] == "all"


def test_what_it_cannot_examine(made):
    with edited(made.skeletons) as h5:
        h5["labels"][...] = 0
    with pytest.raises(UserError, match="31 clips of 1 classes have answers; at least two"):
        examine(made)


def test_unknown_subjects_and_missing_shards_are_told(made):
    with edited(made.skeletons) as h5:
        h5["subject"][...] = 0
    [store] = made.asked[0].stores
    renamed = store.rename(store.with_name("001-of-003.h5"))
    result = examine(Request(**{**vars(made), "asked": (Asked("blip", "q", (renamed,)),)}), shuffles=99)
    assert result["subjects"] is None
    assert result["questions"][0]["shuffled"] == "clips"
    assert result["questions"][0]["states"]["over"] == "clips"
    assert result["notes"] == [
        "subjects are unknown, or one: what holds for one person alone counts, too",
        "blip/q: 2 of 3 shards are not there yet",
    ]


def test_a_benchmark_a_folder_and_a_finished_benchmark_name_answers(made):
    [asked] = made.asked
    other = asked.stores[0].parent.with_name(slug(OTHER)) / "000-of-001.h5"
    other.parent.mkdir()
    other.write_bytes(asked.stores[0].read_bytes())
    found = find_answers(Path("b"))
    # the benchmark's own question first
    assert [one.question for one in found.asked] == [slug(QUESTION), slug(OTHER)]
    assert (found.selection, found.input) == (ODD, "hidden")
    assert found.montages == (Path("results/montages/made/000-of-001.h5"),)
    folder = find_answers(other.parent)
    assert [one.question for one in folder.asked] == [slug(OTHER)]
    assert folder.selection == ODD
    assert folder.skeletons.resolve() == Path("results/skeletons/made.h5").resolve()
    assert find_answers(other.parent, protocol="nw_ucla").selection.protocol == "nw_ucla"
    settings = {"dataset": "made", "protocol": "odd_subjects", "model": {"frm": {"input": "p_yes"}}}
    path = benchmark(Path("results/done"), {1: {"joint": np.eye(3)[[0, 1, 2, 2]]}})
    result = json.loads(path.read_text())
    path.write_text(
        json.dumps({**result, "settings": {**settings, "vlm": {"name": "blip"}}, "question": slug(OTHER)})
    )
    done = find_answers(Path("done"))
    assert [one.question for one in done.asked] == [slug(OTHER), slug(QUESTION)]
    assert (done.selection, done.input) == (ODD, "p_yes")


def test_names_that_are_no_answers(made):
    with pytest.raises(UserError, match="nothing: neither a benchmark"):
        find_answers(Path("nothing"))
    made.asked[0].stores[0].unlink()
    with pytest.raises(
        UserError, match=r"no answers yet; `snakemake --cores 2 results/b/report/answers\.json`"
    ):
        find_answers(Path("b"))


@pytest.mark.parametrize(
    ("text", "yes"),
    [("yes", True), ("Yes, a cup", True), (" “yes”", True), ("yesterday", False), ("no", False)],
)
def test_yes(text, yes):
    assert said_yes(text) == yes


def run(*arguments: str):
    return CliRunner().invoke(app, ["answers", *arguments])


def test_the_command_prints_and_writes(made):
    done = run(
        "b",
        "--clips",
        "all",
        "--shuffles",
        "99",
        "--json",
        "a.json",
        "--picture",
        "a.png",
        "--gallery",
        "g.png",
    )
    assert done.exit_code == 0, done.output
    for text in (
        "made: 32 clips of 8 subjects, 4 classes",
        QUESTION,
        "p(yes)",
        "the text carries no information",
    ):
        assert text in " ".join(done.stdout.split())
    # six extremes, and three clips of each of four classes
    assert "18 clips drawn to g.png" in done.stderr
    written = json.loads(Path("a.json").read_text())
    assert written["questions"][0]["states"]["accuracy"] == 100
    with Image.open("a.png") as picture, Image.open("g.png") as gallery:
        assert picture.size == (1950, 510)
        assert gallery.size == (6 * 196 + 4, 2 * 13 + 4 + 3 * (192 + 18 + 2 * 13 + 4) + 4)


def test_the_command_says_what_is_wrong(made):
    assert run("b", "--json", "nowhere/a.json").exit_code == 2
    assert run("b", "--protocol", "odd").exit_code == 1
    Path("results/montages/made/000-of-001.h5").unlink()
    done = run("b", "--shuffles", "99", "--gallery", "g.png")
    assert done.exit_code == 1
    assert "no montages" in done.stderr
