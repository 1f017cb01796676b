"""The report of a finished run."""

import json
import subprocess
import sys

from PIL import Image

from mmcl import paths
from mmcl.store import Shards

STORES = {"skeletons/tiny": "mmcl.skeletons/1", "crops/tiny/000-of-001": "mmcl.crops/1"}
PAGE = paths.at(paths.REPORT_PAGE, benchmark="tiny")


def test_the_report_of_a_finished_benchmark(copy):
    planned = copy.jobs(PAGE)
    # of a finished benchmark nothing else is made, whatever else there might be
    assert planned == {
        "draw_plot": 5,
        "draw_crops": 1,
        "draw_gallery": 1,
        "measure_cost": 1,
        "write_report": 1,
    }
    copy(PAGE)
    folder = copy.folder / paths.at(paths.REPORT, benchmark="tiny")
    drawn = {file.name for file in folder.iterdir()}
    assert drawn == {
        *(f"{part}.png" for part in ("accuracy", "confusion", "classes", "training", "transfer")),
        *("crops.jpg", "gallery.jpg", "cost.json"),
        *(f"tiny-report.{suffix}" for suffix in ("html", "md", "json")),
    }
    for picture in [*folder.glob("*.png"), *folder.glob("*.jpg")]:
        with Image.open(picture) as image:
            assert min(image.size) > 150
    result = json.loads((copy.folder / paths.at(paths.ENSEMBLE, benchmark="tiny")).read_text())
    said = json.loads((folder / "tiny-report.json").read_text())
    assert said["accuracy"]["ensemble"]["top1"] == result["top1"]
    left_out = {clip["name"] for part in said["left_out"] for clip in part["clips"]}
    stores = [Shards([copy.folder / f"results/{name}.h5"], schema) for name, schema in STORES.items()]
    assert left_out == {name for store in stores for name in store.failed}
    assert len(left_out) > 3
    assert said["setting"]["question"] == "whether the people are holding objects?"
    cost = json.loads((folder / "cost.json").read_text())
    assert [one["name"] for one in cost["members"]] == ["ctrgcn-natural-joint", "ctrgcn-hd21-bone"]
    assert all(one["parameters"] > 10_000 and one["milliseconds"] > 0 for one in cost["members"])
    page = (folder / "tiny-report.html").read_text()
    sections = [
        "accuracy",
        "confusion",
        "classes",
        "training",
        "transfer",
        "answers",
        "crops",
        "cost",
        "left-out",
    ]
    assert [part for part in sections if f'<section id="{part}">' in page] == sections
    assert "“whether the people are holding objects?”" in page
    assert page.count("data:image/jpeg") > 8
    assert copy.jobs(PAGE) == {}
    # Snakemake's own report has them with their captions
    copy(PAGE, "--report", "whole.html")
    report = (copy.folder / "whole.html").read_text()
    assert "Confusion matrix of the first seed" in report
    assert all(name in report for name in ("gallery.jpg", "training.png", "tiny-report.html"))


def test_the_command_writes_the_same(copy):
    command = [sys.executable, "-m", "mmcl", "report", "tiny", "--output", "mine.html", "--no-cost"]
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "mmcl: report of tiny written to mine.html\n")
    assert "<h1>tiny</h1>" in (copy.folder / "mine.html").read_text()
