"""Planning the real benchmarks, and what a mistake in the configuration looks like. Nothing is computed."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT, Run

from mmcl.naming import slug

TARGET = "results/ntu120_xsub/ensemble.json"


@pytest.fixture
def run(tmp_path):
    """A working directory with the project's own configuration, to which a config.yaml brings the demo's."""
    run = Run(tmp_path)
    shutil.copy(PROJECT / "config.yaml", run.config)
    (tmp_path / "config.yaml").write_text("{}\n")
    return run


@pytest.fixture
def ntu(run):
    """The same with data folders for NTU-120, empty: planning opens nothing."""
    for kind in ("skeletons", "videos"):
        (run.folder / kind).mkdir()
    head, tail = run.config.read_text().split("  ntu120:\n", 1)
    tail = tail.replace("skeletons: null", f"skeletons: {run.folder}/skeletons", 1)
    tail = tail.replace("videos: null", f"videos: {run.folder}/videos", 1)
    run.config.write_text(f"{head}  ntu120:\n{tail}")
    return run


def test_the_ntu120_chain_is_planned_in_under_150_jobs(ntu):
    jobs = ntu.jobs(TARGET)
    assert jobs == {
        "index_clips": 1,
        "prepare_skeletons": 1,
        "crop_people": 32,
        "concatenate_frames": 32,
        "write_question": 1,
        "answer_question": 32,
        "train_stream": 12,
        "score_stream": 12,
        "ensemble": 1,
    }
    assert sum(jobs.values()) < 150


def test_a_model_that_sees_videos_needs_no_montages(ntu):
    ntu.edit(
        "    dataset: ntu120\n",
        "    dataset: ntu120\n    model: {fam: {enabled: false}}\n"
        "    vlm: {name: qwen, adapter: image_text, weights: weights/qwen, options: {frames_as_video: true}}\n",
    )
    jobs = ntu.jobs(TARGET)
    assert (jobs["crop_people"], jobs["answer_question"]) == (32, 32)
    assert "concatenate_frames" not in jobs


def test_pre_training_and_distillation_need_skeletons_alone(ntu):
    jobs = ntu.jobs("results/ntu120_xset/ikem/student/seed-1/model.pt")
    stages = ("index_clips", "prepare_skeletons", "pretrain_streams", "distil_student")
    assert jobs == dict.fromkeys(stages, 1)


@pytest.mark.parametrize("kind", ["equal", "preset"])
def test_without_fitted_weights_no_fit_run_is_planned(ntu, kind):
    ntu.edit("    dataset: ntu120\n", f"    dataset: ntu120\n    ensemble: {{weights: {kind}}}\n")
    assert ntu.jobs(TARGET)["train_stream"] == 6


def test_a_recipe_is_switched_on_from_the_command_line(ntu):
    jobs = ntu.jobs(TARGET, "--config", "recipe=reference")
    # its fusion weights are given, so nothing is trained to fit them
    assert (jobs["train_stream"], jobs["crop_people"], jobs["ensemble"]) == (6, 32, 1)


def test_missing_data_is_named_with_what_belongs_there(run):
    said = run("--dry-run", TARGET, fails=True)
    assert "datasets.ntu120" in said
    assert "SsssCcccPpppRrrrAaaa.skeleton" in said
    run.edit("skeletons: null                # the folder of S001", "skeletons: /nowhere/ntu  # S001")
    said = run("--dry-run", "results/ntu60_xsub_plain/ensemble.json", fails=True)
    run.config.write_text(
        run.config.read_text().replace(
            "  ntu60_xsub:", "  ntu60_plain: {like: ntu120_xsub_plain, dataset: ntu60}\n  ntu60_xsub:"
        )
    )
    said = run("--dry-run", "results/ntu60_plain/ensemble.json", fails=True)
    assert "no folder /nowhere/ntu" in said


def test_missing_data_stops_only_what_needs_it(run):
    assert run.jobs()["ensemble"] == 1


def test_missing_videos_are_named(ntu):
    text = ntu.config.read_text()
    ntu.config.write_text(text.replace(f"videos: {ntu.folder}/videos", "videos: null"))
    said = ntu("--dry-run", TARGET, fails=True)
    assert "datasets.ntu120.videos: no folder is given" in said
    assert ntu.jobs("results/ntu120_xsub_plain/ensemble.json")["train_stream"] == 12


def test_a_missing_folder_is_named_with_what_belongs_there(run):
    said = run("--dry-run", "results/nw_ucla/ensemble.json", fails=True)
    assert "datasets.nw_ucla.videos: no folder is given" in said
    assert "a01_s01_e00_v01.json" in said


def test_a_typo_stops_at_once(run):
    run.edit("  epochs: 110", "  epoch: 110")
    said = run("--dry-run", fails=True)
    assert "train.epoch: unknown key; did you mean 'epochs'?" in said


def test_a_template_in_the_folders_configuration_is_refused_and_not_run(run):
    program = f"?__import__('pathlib').Path('{run.folder}/ran').touch()"
    text = run.config.read_text().replace('"whether the people are holding objects?"', f'"{program}"')
    (run.folder / "config.yaml").write_text(f"__use_yte__: true\n{text}")
    shutil.copy(PROJECT / "config.yaml", run.config)
    said = run("--dry-run", fails=True)
    assert "config.yaml: has the key __use_yte__, with which Snakemake runs Python code" in said
    assert not (run.folder / "ran").exists()


def test_a_list_of_excluded_clips_must_be_there(ntu):
    ntu.edit("    dataset: ntu120\n", "    dataset: ntu120\n    exclude: clips.txt\n")
    said = ntu("--dry-run", TARGET, fails=True)
    assert "benchmarks.ntu120_xsub.exclude: no file clips.txt in" in said
    assert ntu.jobs()["ensemble"] == 1  # of the demo, which it does not concern
    (ntu.folder / "clips.txt").write_text("S001C001P001R001A001\n")
    assert ntu.jobs(TARGET)["train_stream"] == 12


def test_protocols_of_ones_own_and_folds_are_planned(ntu):
    views = "my_views: {by: camera, train: [1], test: [2, 3]}"
    folds = "my_folds: {random: {of: subjects, folds: 2}}"
    ntu.config.write_text(f"{ntu.config.read_text()}\nprotocols:\n  {views}\n  {folds}\n")
    ntu.edit(
        "  ntu60_xsub:",
        "  views: {like: ntu120_xsub_plain, protocol: my_views}\n"
        "  fold2: {like: ntu120_xsub_plain, protocol: my_folds/2}\n  ntu60_xsub:",
    )
    assert ntu.jobs("results/views/ensemble.json", "results/fold2/ensemble.json")["train_stream"] == 24
    ntu.edit("my_folds/2", "my_folds/3")
    assert "benchmarks.fold2.protocol: no protocol 'my_folds/3': the folds of my_folds are 1 to 2" in ntu(
        "--dry-run", fails=True
    )
    ntu.edit("train: [1]", "tran: [1]")
    assert "protocols.my_views.tran: unknown key; did you mean 'train'?" in ntu("--dry-run", fails=True)


def test_a_wrong_type_stops_at_once(run):
    run.edit("  epochs: 110", "  epochs: many")
    assert 'train.epochs: "many" is not of type integer' in run("--dry-run", fails=True)


def resources_with(run: Run, option: str, profile: str, target: str) -> dict[str, str]:
    """What the rules of a target ask for under a profile."""
    said = run("--dry-run", option, str(PROJECT / profile), target)
    resources = {}
    for block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", said, re.M):
        found = re.search(r"resources: (.*)", block[1])
        resources[block[0]] = found.group(1) if found else ""
    return resources


def test_a_shared_gpu_is_counted_in_shares(ntu):
    resources = resources_with(ntu, "--workflow-profile", "profiles/shared-gpu", TARGET)
    shares = {rule: re.findall(r"gpu=(\d+)", asked) for rule, asked in resources.items()}
    assert [shares[rule] for rule in ("crop_people", "answer_question", "score_stream")] == [["1"]] * 3
    assert shares["train_stream"] == ["4"]
    profile = (PROJECT / "profiles/shared-gpu/profile.v9+.yaml").read_text()
    # the rest is as without
    default = (PROJECT / "profiles/default/profile.v9+.yaml").read_text()
    for line in re.findall(r"^(?:rerun|max).*", default, re.M):
        assert line in profile
    rules = "".join(file.read_text() for file in (PROJECT / "workflow/rules").glob("*.smk"))
    asking = {
        name for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", rules, re.M) if "gpu=" in body
    }
    # the demo's networks are trained by hand
    assert set(re.findall(r"^  (\w+): \{gpu", profile, re.M)) == asking - {"train_demo_network"}


def test_slurm_profile_asks_for_what_each_rule_needs(ntu):
    resources = resources_with(ntu, "--workflow-profile", "workflow/profiles/slurm", TARGET)
    for rule in ("crop_people", "answer_question", "train_stream"):
        assert "slurm_partition=gpu" in resources[rule], rule
        assert "gpu=1" in resources[rule], rule
        assert "nodes=1" in resources[rule], rule
    assert "runtime=720" in resources["train_stream"]
    # of the size of the skeletons, which are not there yet, and 800 for each of two threads
    assert "mem_mb=5600" in resources["train_stream"]
    assert "mem_mb=4000" in resources["answer_question"]
    for rule in ("index_clips", "prepare_skeletons", "concatenate_frames"):
        assert "slurm_partition=cpu" in resources[rule], rule
    # the question is frozen where Snakemake runs
    assert re.search(
        r"^localrules:\n    write_question,", (PROJECT / "workflow/rules/answers.smk").read_text(), re.M
    )


def test_every_rule_that_runs_on_a_cluster_has_its_request_and_its_measurement():
    profile = yaml.safe_load((PROJECT / "workflow/profiles/slurm/profile.v9+.yaml").read_text())
    rules = "".join(file.read_text() for file in (PROJECT / "workflow/rules").glob("*.smk"))
    local = {
        name for names in re.findall(r"^localrules:\n((?:    .*\n)+)", rules, re.M) for name in names.split()
    }
    bodies = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", rules, re.M))
    submitted = {name for name, body in bodies.items() if "script:" in body} - {
        name.strip(",") for name in local
    }
    assert len(submitted) > 15
    for name in submitted:
        assert "benchmark:" in bodies[name], name
        assert re.search(r"mem_mb=(job_memory\(|PLAN\.\w+_memory)", bodies[name]), name  # by attempt
    gpu = {name for name in submitted if "gpu=" in bodies[name]}
    assert {
        name for name, asked in profile["set-resources"].items() if asked.get("slurm_partition") == "gpu"
    } == gpu
    # no job asks for more than a day, which is what many partitions allow
    for asked in [profile["default-resources"], *profile["set-resources"].values()]:
        assert all(eval(asked["runtime"], {"attempt": attempt}) <= 1440 for attempt in range(1, 5)), asked


def test_two_gpus_are_asked_for_without_editing_the_profile(ntu):
    ntu.edit("    dataset: ntu120\n", "    dataset: ntu120\n    gpus: 2\n")
    resources = resources_with(ntu, "--workflow-profile", "workflow/profiles/slurm", TARGET)
    assert "gpu=2" in resources["train_stream"]
    assert "gpu=1" in resources["score_stream"]
    # the profile's own number of cores
    profile = ("--workflow-profile", str(PROJECT / "workflow/profiles/slurm"))
    command = [part for part in ntu.command("--dry-run", *profile, TARGET) if part not in ("--cores", "2")]
    planned = subprocess.run(command, cwd=ntu.folder, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^rule train_stream:\n(?:    .*\n)*    threads: 8\n", planned, re.M)
    failed = ntu("--dry-run", "--profile", str(PROJECT / "workflow/profiles/slurm"), TARGET, fails=True)
    assert "gpus: 2: profiles/default lets a job have 1 GPU" in failed
    assert "--workflow-profile" in failed


def test_missing_weights_are_told_before_the_first_job(ntu):
    said = ntu("--dry-run", TARGET)
    missing = "weights not found: weights/yolov5m.pt (crop_people)"
    assert f"This run would stop before its first job: {missing}" in said
    said = ntu(TARGET, fails=True)
    assert missing in said
    assert not list((ntu.folder / "results/index").glob("*"))
    assert "weights not found" not in ntu("--dry-run", "results/ntu120_xsub_plain/ensemble.json")


def test_a_question_that_is_not_the_configured_one_is_refused(ntu):
    said = ntu("--dry-run", "results/questions/what-else-00000000.txt", fails=True)
    assert "set `instruction` to the text you want answered" in said


def test_all_rules_have_a_docstring_and_a_log():
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    rules = [line for line in listed.splitlines() if re.match(r"[a-z_]+\b", line)]
    assert len(rules) >= 16
    for file in sorted((PROJECT / "workflow/rules").glob("*.smk")):
        text = file.read_text()
        assert text.startswith('"""'), file
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.M):
            assert body.lstrip().startswith('"""'), name
            assert "log:" in body or "output:" not in body, name


def test_scripts_are_glue():
    for script in sorted((PROJECT / "workflow/scripts").glob("*.py")):
        lines = [line for line in script.read_text().splitlines() if line.strip()]
        assert len(lines) <= 24, script
        assert "job_log(snakemake.log[0])" in script.read_text(), script


def test_the_papers_entries_come_on_top_of_the_users_file(ntu):
    files = [
        str(ntu.config),
        *(str(PROJECT / f"resources/papers/{paper}.yaml") for paper in ("mmcl", "ikem")),
    ]
    targets = [
        "results/t3_ctrgcn_mmcl/ensemble.json",
        "results/t6_fam02_frm01/ensemble.json",
        "results/t9_head/ensemble.json",
        "results/ikem3_ntu120_xsub/ikem/result.json",
    ]
    jobs = ntu.jobs("--configfile", *files, "--", *targets)
    stages = (
        "train_stream",
        "ensemble",
        "write_question",
        "answer_question",
        "pretrain_streams",
        "distil_student",
    )
    assert [jobs[stage] for stage in stages] == [6, 3, 2, 64, 1, 1]


def test_imported_answers_need_no_pictures(ntu):
    question = slug("whether the people are holding objects?")
    answers = ntu.folder / "answers/ntu120"
    answers.mkdir(parents=True)
    frm = "    model: {fam: {enabled: false}}\n    vlm: {name: elsewhere, adapter: imported, weights: answers}\n"
    ntu.edit("    dataset: ntu120\n", f"    dataset: ntu120\n{frm}")
    failed = ntu("--dry-run", TARGET, fails=True)
    assert f"vlm elsewhere: answers/ntu120: no answers to the question {question}" in failed
    (answers / f"{question}.csv").write_text("name,text,p_yes\nS001C001P001R001A001,yes,0.9\n")
    assert "model.frm.input hidden needs the column states" in ntu("--dry-run", TARGET, fails=True)
    ntu.edit("fam: {enabled: false}}", "fam: {enabled: false}, frm: {input: p_yes}}")
    jobs = ntu.jobs(TARGET)
    assert jobs["import_answers"] == 32
    assert not jobs.keys() & {"crop_people", "concatenate_frames", "answer_question"}
