"""The whole demo, and the same workflow on real recordings: minutes, run by hand with `pytest -m slow`."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from conftest import PROJECT, Run

pytestmark = pytest.mark.slow


def test_the_demo_runs_to_its_end(tmp_path):
    run = Run(tmp_path)
    # a working directory's own: beside a configuration that stands alone there is no demo
    run.config = Path(shutil.copy(PROJECT / "config.yaml", tmp_path / "config.yaml"))
    run()
    ensemble = json.loads((tmp_path / "results/demo_xsub/ensemble.json").read_text())
    assert ensemble["classes"] == 12
    assert len(ensemble["members"]) == 6
    # twelve classes: what was learned is far from guessing
    assert ensemble["top1"] > 90
    target = json.loads((tmp_path / "results/demo_xsub/zero-shot/demo_target.json").read_text())
    assert target["subsets"]["paper"]["clips"] == 48
    assert target["refinement"]["clips_with_answer"] == 48
    assert run.jobs() == {}


@pytest.mark.real
def test_utd_mhad_runs_on_real_recordings(tmp_path, mmcl_data):
    run = Run(tmp_path)
    for name in ("utd-mhad-skeleton.zip", "utd-mhad-depth-video.zip"):
        with zipfile.ZipFile(mmcl_data / name) as archive:
            archive.extractall(tmp_path / "data")
    shutil.copy(PROJECT / "config.yaml", run.config)
    small = Path(__file__).with_name("utd_mhad_small.yaml")
    command = run.command("results/utd_mhad/ensemble.json")
    command.insert(command.index(str(run.config)) + 1, str(small))
    run.command = lambda *arguments: [*command, *arguments]
    run()
    ensemble = json.loads((tmp_path / "results/utd_mhad/ensemble.json").read_text())
    assert (ensemble["classes"], ensemble["clips"], ensemble["left_out"]) == (27, 430, [])
    assert min(member["top1"] for member in ensemble["members"]) > 75
    assert ensemble["top1"] > 88
