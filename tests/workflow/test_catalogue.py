"""What the Snakemake workflow catalogue and snakedeploy look for."""

import yaml
from conftest import PROJECT, fresh

TARGET = "results/tiny/ensemble.json"


def test_the_snakefile_in_workflow_is_the_same_workflow(tmp_path):
    run = fresh(tmp_path)
    command = run.command
    run.command = lambda *words: [
        str(PROJECT / "workflow/Snakefile") if word == str(PROJECT / "Snakefile") else word
        for word in command(*words)
    ]
    jobs = run.jobs(TARGET)
    assert (jobs["train_stream"], jobs["ensemble"]) == (4, 1)
    said = run("--list")
    assert "demo (What `snakemake` makes without a target: the demo." in said
    assert "ensemble (" in said


def test_its_files_are_there():
    about = yaml.safe_load((PROJECT / ".snakemake-workflow-catalog.yml").read_text())
    assert about["usage"]["software-stack-deployment"]["conda"] is True
    assert "datasets" in (PROJECT / "config/README.md").read_text()
    # a copy would become another one
    assert (PROJECT / "config/config.yaml").samefile(PROJECT / "config.yaml")
    assert (PROJECT / "config/config.yaml").is_symlink()
