"""What runs again after which change, and what does not."""

import json
import os
import shutil
import subprocess

import h5py
import yaml
from conftest import PROJECT, Run

from mmcl.naming import slug
from mmcl.video import jpeg

INSTRUCTION = "whether the people are holding objects?"
TARGET = "results/tiny/ensemble.json"
ZERO_SHOT = "results/tiny/zero-shot/tiny_target.json"
FEATURES = ("draw_demo", "crop_people", "concatenate_frames", "answer_question", "encode_montages")


def result(run, path=TARGET):
    return json.loads((run.folder / path).read_text())


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished("results/tiny/ensemble.json")


def test_another_instruction_runs_what_depends_on_it(copy):
    copy.edit(INSTRUCTION, "what is in the {left} hand?")
    again = {"write_question": 1, "answer_question": 1, "train_stream": 4, "score_stream": 4, "ensemble": 1}
    assert copy.jobs("results/tiny/ensemble.json") == again
    copy("results/tiny/ensemble.json")
    frozen = copy.folder / f"results/questions/{slug('what is in the {left} hand?')}.txt"
    assert frozen.read_text() == "what is in the {left} hand?"
    assert copy.jobs("results/tiny/ensemble.json") == {}
    # and back: everything is still there but the one file at the plain path
    copy.edit("what is in the {left} hand?", INSTRUCTION)
    before = result(copy)
    assert copy.jobs("results/tiny/ensemble.json") == {"ensemble": 1}
    copy("results/tiny/ensemble.json")
    assert before["question"] != result(copy)["question"] == slug(INSTRUCTION)


def test_other_epochs_touch_no_feature_job(copy):
    copy.edit("epochs: 2,", "epochs: 3,")
    assert copy.jobs("results/tiny/ensemble.json") == {"train_stream": 4, "score_stream": 4, "ensemble": 1}


def test_excluded_clips_train_anew_and_touch_no_feature_job(copy):
    (copy.folder / "clips.txt").write_text(
        "S002C001P002R001A001  # looks like another\nS003C001P003R001A001\n"
    )
    copy.edit("    protocol: odd_subjects\n", "    protocol: odd_subjects\n    exclude: clips.txt\n")
    target = "results/tiny_plain/ensemble.json"
    plan = {"train_stream": 4, "score_stream": 4, "ensemble": 1}
    assert copy.jobs("results/tiny/ensemble.json") == copy.jobs(target) == plan
    copy(target)
    fused = result(copy, target)
    reason = "excluded by clips.txt"
    assert {"name": "S002C001P002R001A001", "reason": reason} in fused["left_out"]
    assert fused["clips"] == result(copy)["clips"] - 1
    assert fused["settings"]["exclude"]["file"] == "clips.txt"
    (copy.folder / "clips.txt").write_text("S003C001P003R001A001\nS002C001P002R001A001\n")
    assert copy.jobs(target) == {}
    (copy.folder / "clips.txt").write_text("S003C001P003R001A001\n")
    assert copy.jobs(target) == plan


def test_other_fusion_weights_train_nothing(copy):
    copy.edit("ensemble: {members:", "ensemble: {weights: equal, members:")
    assert copy.jobs("results/tiny/ensemble.json") == {"ensemble": 1}


def test_another_detector_threshold_starts_at_the_crops(copy):
    copy.edit("image_size: 320}", "image_size: 320, confidence: 0.3}")
    jobs = copy.jobs("results/tiny/ensemble.json")
    assert "prepare_skeletons" not in jobs
    assert jobs["crop_people"] == jobs["concatenate_frames"] == jobs["answer_question"] == 1


def test_another_number_of_frames_starts_at_the_crops(copy):
    copy.edit("image_size: 320}", "image_size: 320}\n      count: 3\n      montage: {size: 200}")
    jobs = copy.jobs(TARGET)
    assert "prepare_skeletons" not in jobs
    assert [jobs[rule] for rule in FEATURES[1:]] == [1, 1, 1, 1]
    shard = "tiny/000-of-001.h5"
    copy(f"results/montages/{shard}")
    with h5py.File(copy.folder / "results/crops" / shard) as crops:
        assert crops["frame"].shape[1:] == crops["images"].shape[1:] == (3,)
        assert 7 in crops["frame"][:, 1]  # of 21 frames or more the second is ⌊F/3⌋
    with h5py.File(copy.folder / "results/montages" / shard) as montages:
        assert jpeg.decode(montages["images"][0]).shape == (200, 200, 3)


def test_reordered_keys_and_comments_run_nothing(copy):
    copy.edit("epochs: 2, batch: 4,", "batch: 4, epochs: 2,")
    copy.config.write_text("# a comment\n" + copy.config.read_text())
    assert copy.jobs("results/tiny/ensemble.json") == {}


def test_without_both_modules_no_video_is_touched(copy):
    jobs = copy.jobs("results/tiny_plain/ensemble.json")
    assert jobs == {"train_stream": 4, "score_stream": 4, "ensemble": 1}


# ------------------------------------------------------------------------------------------- shared runs


def test_members_and_targets_come_and_go_without_training(copy):
    copy.edit("    zero_shot: {targets: {tiny_target: utd_mhad}}\n", "")
    assert copy.jobs(TARGET) == {}
    text = copy.config.read_text()
    copy.edit(
        "members: [{stream: joint, graph: natural}, {stream: bone, graph: hd21}]",
        "members: [{stream: joint}]",
    )
    assert copy.jobs(TARGET) == {"ensemble": 1}
    copy.config.write_text(
        text.replace("{stream: bone, graph: hd21}]", "{stream: bone, graph: hd21}, {stream: bone}]")
    )
    # the new member, whole and for the fusion weights
    assert copy.jobs(TARGET) == {"train_stream": 2, "score_stream": 2, "ensemble": 1}


def test_a_benchmark_with_other_members_trains_only_those(copy):
    copy.edit(
        "benchmarks:\n",
        "benchmarks:\n  other: {like: tiny, ensemble: {weights: equal, members: [{stream: joint}, {stream: bone}]}}\n",
    )
    assert copy.jobs("results/other/ensemble.json") == {"train_stream": 1, "score_stream": 1, "ensemble": 1}
    copy("results/other/ensemble.json")
    first, second = (
        result(copy, path)["members"][0]["run"] for path in (TARGET, "results/other/ensemble.json")
    )
    assert first == second == copy.trained("other")
    assert copy.jobs(TARGET, ZERO_SHOT) == {}


def test_a_further_question_is_answered_in_the_same_pass(copy):
    """It trains nothing anew, and switching the instruction to it asks the model nothing again."""
    shutil.rmtree(copy.folder / "results/answers")
    other = "what is in the {left} hand?"
    copy.edit("image_size: null, batch: 1}", f"image_size: null, batch: 1, also_ask: ['{other}']}}")
    answers = f"results/answers/tiny/demo-blip/{slug(INSTRUCTION)}/000-of-001.h5"
    copy(answers)
    assert (copy.folder / answers.replace(slug(INSTRUCTION), slug(other))).exists()
    assert "answer_question" not in copy.jobs(TARGET)
    copy.edit(INSTRUCTION, other)
    assert copy.jobs(TARGET) == {"train_stream": 4, "score_stream": 4, "ensemble": 1}


def test_a_further_question_alone_runs_nothing(copy):
    copy.edit("image_size: null, batch: 1}", "image_size: null, batch: 1, also_ask: ['is it red?']}")
    assert copy.jobs(TARGET, ZERO_SHOT) == {}


def test_a_benchmark_has_its_own_question(copy):
    copy.edit(
        "benchmarks:\n",
        "benchmarks:\n  cup: {like: tiny, instruction: 'is it a cup?', ensemble: {weights: equal}}\n",
    )
    jobs = copy.jobs("results/cup/ensemble.json")
    assert jobs == {
        "write_question": 1,
        "answer_question": 1,
        "train_stream": 2,
        "score_stream": 2,
        "ensemble": 1,
    }
    assert copy.jobs(TARGET) == {}


# ---------------------------------------------------------------- no spurious and no missing reruns


def test_touched_scripts_run_nothing(copy, tmp_path):
    """A checkout that was updated has scripts with new times."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(PROJECT / name, checkout)
    for name in ("workflow", "profiles"):
        shutil.copytree(PROJECT / name, checkout / name)  # scripts of now are newer than all results
    for name in ("mmcl", "resources"):
        (checkout / name).symlink_to(PROJECT / name)
    for script in (checkout / "workflow").rglob("*"):
        if script.is_file():
            os.utime(script)
    command = copy.command("--dry-run", TARGET, ZERO_SHOT)
    command[command.index("--snakefile") + 1] = str(checkout / "Snakefile")
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
    assert "Nothing to be done" in done.stdout + done.stderr, done.stderr[-3000:]


def test_results_copied_to_another_clone_run_nothing(finished, tmp_path):
    other = Run(tmp_path)
    shutil.copy(finished.config, other.config)
    # as cp -r does: every file with the time of its copying
    shutil.copytree(finished.folder / "results", tmp_path / "results", copy_function=shutil.copyfile)
    assert other.jobs(TARGET, ZERO_SHOT) == {}
    other.edit("epochs: 2,", "epochs: 3,")
    assert other.jobs(TARGET) == {"train_stream": 4, "score_stream": 4, "ensemble": 1}


def recordings(run, kind):
    return sorted((run.folder / f"results/demo/raw/tiny/{kind}").glob("S003C001P003R001A0*"))


def test_a_changed_skeleton_runs_what_depends_on_it(copy):
    later = {"train_stream": 4, "score_stream": 4, "ensemble": 1}
    file = recordings(copy, "skeletons")[0]
    content = file.read_text()
    last = content.rindex(".") + 1
    file.write_text(
        content[:last] + ("1" if content[last] != "1" else "2") + content[last + 1 :]
    )  # the same size
    assert copy.jobs(TARGET) == {"prepare_skeletons": 1, **later}
    copy(TARGET)
    assert copy.jobs(TARGET, ZERO_SHOT) == {"zero_shot": 1}
    file.write_text(content)
    assert copy.jobs(TARGET) == {"prepare_skeletons": 1, **later}


def test_a_touched_recording_runs_nothing(copy):
    for kind in ("skeletons", "videos"):
        for file in recordings(copy, kind):
            os.utime(file)
    assert copy.jobs(TARGET, ZERO_SHOT) == {}


def test_a_changed_video_runs_its_shard_again(copy):
    file = recordings(copy, "videos")[0]
    other = recordings(copy, "videos")[1]
    shutil.copyfile(other, file)
    jobs = copy.jobs(TARGET)
    assert "prepare_skeletons" not in jobs
    assert "index_clips" not in jobs
    assert jobs["crop_people"] == jobs["concatenate_frames"] == jobs["answer_question"] == 1
    assert jobs["train_stream"] == 4
    assert copy.jobs("results/tiny_plain/ensemble.json") == {
        "train_stream": 4,
        "score_stream": 4,
        "ensemble": 1,
    }


def test_an_added_and_a_removed_recording_run_everything_after_the_index(copy):
    plain = "results/tiny_plain/ensemble.json"
    copy(plain)
    assert copy.jobs(plain) == {}
    first = recordings(copy, "skeletons")[0]
    added = first.with_name(first.name.replace("R001", "R007"))
    shutil.copy(first, added)
    every = {"index_clips": 1, "prepare_skeletons": 1, "train_stream": 4, "score_stream": 4, "ensemble": 1}
    assert copy.jobs(plain) == every
    assert copy.jobs(TARGET)["crop_people"] == 1
    copy(plain)
    assert result(copy, plain)["clips"] == result(copy)["clips"]  # subject 3 trains
    assert added.stem in (copy.folder / "results/index/tiny.tsv").read_text()
    assert copy.jobs(plain) == {}
    added.unlink()
    assert copy.jobs(plain) == every


def test_a_data_set_that_is_drawn_anew_settles(copy):
    copy.edit(
        "      cameras: [1]\n      frames: [20, 24]\n      damaged: true",
        "      cameras: [1, 2]\n      frames: [20, 24]",
    )
    target = "results/skeletons/tiny.h5"
    assert copy.jobs(target) == {"draw_demo": 1, "index_clips": 1, "prepare_skeletons": 1}
    copy(target)
    assert copy.jobs(target) == {}


def test_an_interrupted_rerun_is_finished_later(copy):
    """What was made from other settings is made again, also if the stage before it has run already."""
    copy.edit("image_size: 320}", "image_size: 320, confidence: 0.3}")
    copy("results/crops/tiny/000-of-001.h5")
    jobs = copy.jobs(TARGET)
    assert "crop_people" not in jobs
    assert jobs["concatenate_frames"] == jobs["answer_question"] == jobs["encode_montages"] == 1
    # even if times say otherwise
    for path in sorted((copy.folder / "results").rglob("*"), reverse=True):
        os.utime(path, (1, 1))
    assert copy.jobs(TARGET) == jobs


def test_a_raised_version_runs_its_stage_and_what_follows(copy, tmp_path):
    """Even where only some of the later stages have run since."""
    text = (PROJECT / "mmcl/stages.py").read_text()
    (tmp_path / "sitecustomize.py").write_text(
        "import mmcl.stages\nmmcl.stages.VERSIONS['concatenate_frames'] += 1\n"
    )
    assert "concatenate_frames" in text
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = copy("--dry-run", TARGET, env={"PYTHONPATH": path})
    planned = yaml.safe_load("\n".join(_table(said)))
    assert planned["concatenate_frames"] == planned["encode_montages"] == planned["answer_question"] == 1
    assert "crop_people" not in planned
    assert planned["train_stream"] == 4


def _table(said):
    lines = said.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("job ") and "count" in line)
    for line in lines[start + 2 :]:
        if line.startswith("total"):
            return
        name, count = line.split()
        yield f"{name}: {count}"


def test_a_moved_data_folder_runs_nothing(copy):
    raw = copy.folder / "results/demo/raw/tiny"
    (raw / "skeletons").rename(copy.folder / "elsewhere")
    copy.edit("skeletons: results/demo/raw/tiny/skeletons", "skeletons: elsewhere")
    assert copy.jobs(TARGET) == {}
    # copied and not moved: other times, the same content
    shutil.copytree(copy.folder / "elsewhere", copy.folder / "again", copy_function=shutil.copyfile)
    copy.edit("skeletons: elsewhere", "skeletons: again")
    assert copy.jobs(TARGET) == {}
