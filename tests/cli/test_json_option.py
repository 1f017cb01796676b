"""`--json`: every command that prints a table has it, and prints JSON and nothing else."""

import inspect
import json
from pathlib import Path

import pytest
import yaml
from datasets.made_recordings import write_ntu
from made_scores import benchmark
from made_stores import make_stores, stream_settings
from typer.main import get_command
from typer.testing import CliRunner

from mmcl.cli import app
from mmcl.cli.json_option import plain
from mmcl.files import json_text
from mmcl.naming import slug
from mmcl.training.train import train_stream

QUESTION = "whether the people are holding objects?"
ANSWERS = f"results/answers/made/blip/{slug(QUESTION)}"
SMALL = ("--backbone", "stgcn16", "--width", "0.125", "--layout", "utd20", "--persons", "1", "--window", "16")
COMMANDS = {
    "answers": ("answers", ANSWERS, "--shuffles", "99"),
    "audit": ("audit", "results/skeletons/made.h5", "--protocol", "odd_subjects"),
    "compare": ("compare", "one", "two"),
    "convert": ("convert", "results/skeletons/made.h5", "made.pkl"),
    "describe": ("describe", *SMALL),
    "doctor": ("doctor",),
    "export": ("export", "model.pt", "out.onnx"),
    "fetch": ("fetch",),
    "init": ("init", "study", "--data", "recordings"),
    "inspect": ("inspect", ANSWERS),
    "report": ("report", "one", "--no-cost"),
    "predict": ("predict", "model.pt", "results/skeletons/made.h5", "--top", "2"),
    "usage": ("usage",),
}
"""Command → a call of it; `--json` is added."""
KEYS = {
    "answers": {"name", "dataset", "clips", "classes", "questions", "notes"},
    "audit": {"clips", "findings", "hints", "train_test_duplicates", "protocol", "test_clips"},
    "compare": {"metric", "member", "clips", "runs", "notes", "pairs"},
    "convert": {"output", "layout", "classes", "written", "in_neither_part", "left_out"},
    "describe": {"backbone", "graph", "input", "features", "parameters", "macs", "training_bytes", "parts"},
    "doctor": {"ok", "counts", "checks"},
    "export": {"output", "most_difference", "classes", "layout", "window", "stream"},
    "fetch": {"weights"},
    "init": {"name", "dataset", "protocol", "clips", "guesses", "needed", "next", "written"},
    "inspect": {"stores"},
    "predict": {"clips", "failed"},
    "report": {"benchmark"},
    "usage": {"rules"},
}
FOUND = {"audit": 1}
"""Command → status where it finds something."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with stores, a trained model and two finished benchmarks."""
    folder = tmp_path_factory.mktemp("work")
    stores = make_stores(folder)
    inputs = {"picture": [stores["rgb"]], "answer": [stores["answers"]]}
    settings = stream_settings(train__epochs=1, model__backbone="stgcn16")
    train_stream(skeletons=stores["skeletons"], inputs=inputs, output=folder / "model.pt", settings=settings)
    for store, place in (
        ("skeletons", "results/skeletons/made.h5"),
        ("answers", f"{ANSWERS}/000-of-001.h5"),
    ):
        (folder / place).parent.mkdir(parents=True)
        stores[store].rename(folder / place)
    runs = {1: {"joint": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]}}
    for name in ("one", "two"):
        benchmark(folder / "results" / name, runs)
    (folder / "results/times/train_stream").mkdir(parents=True)
    measured = "s\tmax_rss\tcpu_time\n1.5\t800\t1.2\n"
    (folder / "results/times/train_stream/model.tsv").write_text(measured)
    made = {"datasets": {"made": {"reader": "utd_mhad"}}}
    made["benchmarks"] = {"b": {"dataset": "made", "protocol": "odd_subjects", "vlm": {"name": "blip"}}}
    for name in ("S001C001P001R001A001", "S001C001P002R001A002"):
        write_ntu(folder / "recordings", name)
    (folder / "config.yaml").write_text(yaml.safe_dump({"instruction": QUESTION, **made}))
    return folder


@pytest.fixture
def run(folder, monkeypatch):
    """Call a command in that directory."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("mmcl.models.export.export", lambda *_: 1e-6)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def strict(text: str):
    """JSON without NaN and Infinity, which other programs do not read."""

    def refuse(name: str):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def offers_json(command) -> bool:
    return any("--json" in getattr(one, "opts", ()) for one in command.params)


def commands():
    """Name → command, those of groups too."""
    found = {}
    for name, one in get_command(app).commands.items():
        inner = getattr(one, "commands", None)
        found |= {f"{name} {key}": value for key, value in inner.items()} if inner else {name: one}
    return found


def test_every_command_that_prints_a_table_offers_json():
    tables = {
        name
        for name, one in commands().items()
        if any(
            word in inspect.getsource(inspect.getmodule(one.callback)) for word in ("table_console", "rich")
        )
    }
    assert {"answers", "audit", "compare", "describe", "fetch"} <= tables
    assert {name for name in tables if not offers_json(commands()[name])} == set()


def test_every_command_that_offers_json_is_called_here():
    assert {name for name, one in commands().items() if offers_json(one)} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_json_alone_is_printed(command, run, monkeypatch):
    if command == "doctor":  # what it looks at is tested beside it
        monkeypatch.setattr("mmcl.doctor.run.sections", lambda _: {})
    result = run(*COMMANDS[command], "--json")
    assert result.exit_code == FOUND.get(command, 0), result.stderr
    assert KEYS[command] <= set(strict(result.stdout))


def test_fetch_check_prints_json_too(run):
    [first, *_] = strict(run("fetch", "--check", "--json").stdout)["files"]
    assert set(first) == {"name", "file", "state", "detail"}


def test_a_file_gets_the_same_and_the_tables_are_printed(run, folder):
    alone = run("compare", "one", "two", "--json").stdout
    both = run("compare", "one", "two", "--json", "out.json")
    assert (folder / "out.json").read_text() == alone
    assert both.stdout == run("compare", "one", "two").stdout != alone


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "compare", "one", "two"),
        ("compare", "--json", "one", "two"),
        ("compare", "one", "--json", "two"),
        ("compare", "one", "two", "--json", "-"),
        ("compare", "one", "two", "--json=-"),
        ("compare", "--json", "--", "one", "two"),
    ],
)
def test_json_takes_no_argument_away(run, arguments):
    result = run(*arguments)
    if arguments[0] == "--json":
        assert result.exit_code == 2  # it belongs to the command
    else:
        assert strict(result.stdout)["metric"] == "top1"


def test_the_result_of_a_benchmark_is_not_replaced(run, folder):
    path = "results/two/ensemble.json"
    before = (folder / path).read_text()
    result = run("compare", "one", "two", "--json", path)
    assert result.exit_code == 2
    assert "is the result of a benchmark" in " ".join(result.stderr.replace("│", "").split())
    assert (folder / path).read_text() == before


def test_what_json_does_not_have_is_null():
    import numpy as np

    value = {"a": float("nan"), 2: (np.float32("inf"), np.int64(3)), "path": Path("x"), "rows": np.eye(2)}
    assert strict(json_text(plain(value))) == {
        "a": None,
        "2": [None, 3],
        "path": "x",
        "rows": [[1, 0], [0, 1]],
    }


def test_inspect_and_predict_say_what_their_tables_say(run):
    [store] = strict(run("inspect", ANSWERS, "--rows", "2", "--json").stdout)["stores"]
    assert (store["schema"], store["complete"], store["rows"]) == ("mmcl.answers/1", True, 31)
    assert (store["arrays"]["states"]["shape"][0], store["arrays"]["states"]["type"]) == (31, "float32")
    assert len(store["clips"]) == 2
    rows = run("predict", "model.pt", "results/skeletons/made.h5", "--top", "2").stdout.splitlines()[1:]
    clips = strict(run(*COMMANDS["predict"], "--json").stdout)["clips"]
    assert [
        f"{clip['name']},{rank},{one['id']},{one['name']},{one['score']:.4f}"
        for clip in clips
        for rank, one in enumerate(clip["classes"], 1)
    ] == rows


def test_every_command_and_its_keys_are_documented(project):
    sections = (project / "docs/commands.md").read_text(encoding="utf-8").split("\n## ")
    documented = {
        part.split("\n")[0].removeprefix("mmcl "): part for part in sections if part.startswith("mmcl ")
    }
    assert {name.split()[0] for name in commands()} <= set(documented)
    for name, keys in KEYS.items():
        assert {key for key in keys if f"`{key}`" not in documented[name]} == set(), name
