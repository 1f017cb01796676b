"""docs/reproduce.md and resources/papers agree, every entry can be planned, and the costs are those of the plan."""

import re

import pytest
import yaml
from planned import at, stream

from mmcl.config import Config, with_demo
from mmcl.errors import UserError
from mmcl.plan import Plan
from mmcl.settings.merging import merge

PAPERS = ("mmcl", "ikem")
CLIPS = {
    "ntu60_xsub": 40091,
    "ntu60_xview": 37646,
    "ntu120_xsub": 63026,
    "ntu120_xset": 54468,
    "nw_ucla": 1020,
    "odd_subjects": 431,
    "sysu_setting1": 240,
}
"""Training clips of the protocols; odd_subjects is UTD-MHAD's."""
GMACS = {"ctrgcn": 1.78, "ctrs": 2.53, "hdgcn": 1.78, "inception_v3": 5.7, "resnet34": 3.7, "stgcn16": 0.61}
"""Forward pass of a clip or a picture; a training step is three of them."""
SPEED = 3 * 1.78 * 1285
"""GMAC a second: CTR-GCN's 1,285 clips a second on an H200 in TF32. See docs/reproduce.md."""


@pytest.fixture
def raw(project):
    merged = with_demo(yaml.safe_load((project / "config.yaml").read_text()))
    for paper in PAPERS:
        merged = merge(merged, yaml.safe_load((project / f"resources/papers/{paper}.yaml").read_text()))
    for dataset in merged["datasets"].values():
        dataset |= {kind: dataset.get(kind) or "/data" for kind in ("skeletons", "videos")}
    return merged


@pytest.fixture
def plan(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Plan(Config(raw))


@pytest.fixture
def rows(project):
    """Rows of docs/reproduce.md that name entries: (paper's row, entries, targets, trainings, GPU hours)."""
    found = []
    for line in (project / "docs/reproduce.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 6 and "`" in cells[1]:
            entries, targets = (re.findall(r"`([^`]+)`", cell) for cell in cells[1:3])
            found.append((cells[0], entries, targets, cells[3], cells[4]))
    return found


def test_every_entry_is_in_a_row_and_every_row_has_entries(project, raw, rows):
    named = {entry for _, entries, *_ in rows for entry in entries}
    assert named <= set(raw["benchmarks"])
    own = set()
    for paper in PAPERS:
        own |= set(yaml.safe_load((project / f"resources/papers/{paper}.yaml").read_text())["benchmarks"])
    assert not own - named
    for number in range(1, 11):  # each table, and the figure that is a result
        assert any(re.search(rf"\b{number}\b", row) for row, *_ in rows if "Table" in row) or number == 7
    assert any("Fig. 5" in row for row, *_ in rows)


def test_every_row_is_planned_and_costs_what_it_says(plan, rows):
    for row, entries, targets, trainings, hours in rows:
        runs: dict[str, float] = {}
        for entry in entries:
            for target in targets:
                runs |= planned(plan, entry, target)
        assert (row, trainings) == (row, str(len(runs)))
        assert float(hours) == pytest.approx(sum(runs.values()), rel=0.06, abs=0.06), row


def planned(plan, entry, target):
    """Plan all jobs of a target but those on recordings; the trainings that it takes → hours."""
    of = at(benchmark=entry)
    if target == "ikem/result.json":
        assert plan.ikem_settings(of)
        assert plan.ikem_upstream(of)
        probes = plan.probes(of)
        assert probes
        for what in probes:
            probe = at(benchmark=entry, what=what, seed="1")
            assert plan.probed_model(probe)
            assert plan.probe_settings(probe)
        return pretraining(plan.config.benchmark(entry), entry, "student" in probes)
    if target.startswith("zero-shot/"):
        where = at(benchmark=entry, target=target.removeprefix("zero-shot/").removesuffix(".json"))
        assert plan.zero_shot_settings(where)
        assert plan.zero_shot_upstream(where)
        assert plan.target_skeletons(where)
        return planned(plan, entry, "ensemble.json")
    assert target == "ensemble.json"
    assert plan.ensemble_settings(of)
    assert plan.ensemble_upstream(of)
    benchmark, runs = plan.config.benchmark(entry), {}
    fits = (False, True) if benchmark.ensemble.weights == "fitted" else (False,)
    for member in benchmark.members:
        for fit in fits:
            where = stream(plan, entry, benchmark.seeds[0], fit, member.name)
            assert plan.stream_settings(where)
            assert plan.score_upstream(where)
            needed = plan.initial_model(where) or plan.training_inputs(where)
            assert bool(needed) == bool(benchmark.train.init or benchmark.model.enabled_terms)
            folder = plan.folder_of(entry, member, benchmark.seeds[0], fit)
            runs[folder] = stream_hours(plan.run(where).training, fit)
    if benchmark.train.init:  # the stream that it begins from is trained, too
        source = benchmark.train.init.from_
        [member] = benchmark.members
        where = stream(plan, source, member=member.name)
        runs[plan.folder_of(source, member, 1)] = stream_hours(plan.run(where).training, False)
    return runs


def stream_hours(training, fit):
    train, model = training.train, training.model
    clips = CLIPS[training.protocol] * (0.8 if fit else 1) * train.epochs * train.repeat
    networks = [model.backbone, *([model.fam.cnn.name] if model.fam.enabled else [])]
    return clips * 3 * sum(GMACS[name] for name in networks) / SPEED / 3600


def pretraining(benchmark, entry, students):
    """Queries forward and backward, keys forward; then frozen teachers and students."""
    selfsup, student = benchmark.selfsup, benchmark.selfsup.student
    clips, teachers = CLIPS[benchmark.protocol], len(selfsup.modalities)
    learning = 1 if student.early else len(student.modalities)
    hours = {f"{entry} pretrain": clips * selfsup.epochs * 4 * teachers * GMACS["stgcn16"] / SPEED / 3600}
    if students:
        work = clips * student.epochs * (teachers + 3 * learning) * GMACS["stgcn16"]
        hours[f"{entry} student"] = work / SPEED / 3600
    return hours


@pytest.mark.parametrize("paper", PAPERS)
def test_each_file_stands_alone_on_config_yaml(project, paper):
    own = yaml.safe_load((project / f"resources/papers/{paper}.yaml").read_text())
    config = Config(merge(with_demo(yaml.safe_load((project / "config.yaml").read_text())), own))
    assert set(own["benchmarks"]) < set(config.benchmarks)


def test_rows_of_several_tables_are_trained_once(plan):
    def runs(entry):
        return set(plan.member_files("model.pt", "first")(at(benchmark=entry)))

    # Table 6's last row, Table 8's natural one and Table 10's are Table 3's; Table 5's BLIP is Table 9's baseline
    assert runs("t3_ctrgcn_mmcl") < runs("ntu120_xsub") == runs("t2_preset")
    assert runs("t10_hdgcn") < runs("t8_hdgcn_six")
    assert len(runs("t3_ctrgcn") | runs("t3_ctrgcn_own")) == 8
    with pytest.raises(UserError, match="no zero-shot target"):
        plan.zero_shot_settings(at(benchmark="t2_ctrgcn_ntu60_xsub", target="sysu"))
