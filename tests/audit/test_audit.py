"""The audit as a whole, and its command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_bodies import body, source
from made_readers import recordings
from scipy.io import savemat
from typer.testing import CliRunner

from mmcl.audit import audit, open_folder, part, write_exclusion
from mmcl.cli import app
from mmcl.datasets.exclusion import read_exclusion
from mmcl.errors import UserError
from mmcl.layouts import get_layout

UTD_ORDER = [get_layout("ucla20").index(joint) for joint in get_layout("utd20").joints]


def clean() -> dict[str, np.ndarray | str]:
    """Two classes, subjects 1 to 8."""
    return {f"a{a}_{s}_t1": body(10 * a + s) for a in (1, 2) for s in range(1, 9)}


def sides(made) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    return part(made, "odd_subjects", None)


def test_clean_recordings_have_no_finding() -> None:
    made = source(clean())
    report = audit(made, sides(made), "odd_subjects")
    assert (report.clips, report.findings, report.train_test_duplicates) == (16, [], [])
    assert report.clean
    assert report.test_clips == 8


def test_copies_across_training_and_test_go_through_groups() -> None:
    clips = clean()
    clips["a1_2_t1"] = clips["a1_4_t1"] = clips["a1_1_t1"]
    clips["a2_6_t1"] = clips["a1_1_t1"][5:35] + 0.25
    # two training clips alike are no leak
    clips["a2_3_t1"] = clips["a2_5_t1"]
    # nor are a few common frames, after which the body is elsewhere
    clips["a2_8_t1"] = np.concatenate([clips["a2_7_t1"][-3:], body(99)])
    made = source(clips)
    report = audit(made, sides(made), "odd_subjects")
    assert report.train_test_duplicates == [
        {"train": "a1_1_t1", "test": "a1_2_t1", "kind": "identical"},
        {"train": "a1_1_t1", "test": "a1_4_t1", "kind": "identical"},
        {"train": "a1_1_t1", "test": "a2_6_t1", "kind": "excerpt"},
    ]
    assert [finding.kind for finding in report.findings] == [
        *("identical", "identical", "excerpt", "overlap", "conflicting_labels", "jump")
    ]
    assert not report.clean


def test_a_training_clip_is_found_behind_its_test_twin() -> None:
    clips = clean()
    clips["a1_5_t1"] = clips["a1_2_t1"]
    clips["a1_8_t1"] = clips["a1_2_t1"][:30]
    made = source(clips)
    assert audit(made, sides(made), "odd_subjects").train_test_duplicates == [
        {"train": "a1_5_t1", "test": "a1_2_t1", "kind": "identical"},
        {"train": "a1_5_t1", "test": "a1_8_t1", "kind": "excerpt"},
    ]


def test_exclusion_lists_are_what_benchmarks_read(tmp_path: Path) -> None:
    clips = clean()
    clips["a1_2_t1"] = clips["a1_1_t1"]
    made = source(clips)
    report = audit(made, sides(made), "odd_subjects")
    for side, names in (("test", {"a1_2_t1"}), ("train", {"a1_1_t1"}), ("both", {"a1_1_t1", "a1_2_t1"})):
        assert write_exclusion(tmp_path / "list.txt", report, side, "mmcl audit") == len(names)
        assert read_exclusion(str(tmp_path / "list.txt")) == names


def test_unreadable_clips_are_reported_with_the_reason_and_the_others_go_on() -> None:
    clips = clean() | {"a1_3_t1": "a1_3_t1.mat: broken", "a2_3_t1": np.full((9, 1, 20, 3), np.nan)}
    made = source(clips)
    made.left_out = {"a1_9_t1": "on the authors' list"}
    found = {(finding.kind, finding.clips): finding.detail for finding in audit(made).findings}
    assert found["unreadable", ("a1_3_t1",)] == "a1_3_t1.mat: broken"
    assert found["unreadable", ("a2_3_t1",)] == "no frame in which a body has a position"
    assert found["left_out", ("a1_9_t1",)] == "on the authors' list"


def test_hints_alone_are_clean() -> None:
    made = source(clean())
    made.left_out = {"a1_9_t1": "on the authors' list"}
    report = audit(made)
    assert report.clean
    assert report.as_json()["hints"] == [
        {"kind": "left_out", "clips": ["a1_9_t1"], "detail": "on the authors' list"}
    ]


def test_a_protocol_without_test_clips_is_reported() -> None:
    made = source({"a1_1_t1": body(1)})
    with pytest.raises(UserError, match="no clip of this data set is for test"):
        sides(made)


# ------------------------------------------------------------------------------------------ command line


def write_utd(folder: Path, clips: dict[str, np.ndarray]) -> None:
    folder.mkdir(exist_ok=True)
    for name, clip in clips.items():
        savemat(folder / f"{name}_skeleton.mat", {"d_skel": clip[:, 0, UTD_ORDER].transpose(1, 2, 0)})


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_utd(tmp_path / "raw", {f"a1_s{s}_t1": body(s) for s in range(1, 5)})
    return tmp_path / "raw"


def test_status_0_without_findings(folder: Path) -> None:
    code, out, _ = run("utd_mhad", "--skeletons", folder)
    assert code == 0
    assert "odd_subjects: 0 of 2 test clips (0.0 %) are copies" in out


def test_status_1_json_and_list(folder: Path, tmp_path: Path) -> None:
    broken = body(1)
    broken[3] = np.nan
    write_utd(folder, {"a1_s2_t1": body(3), "a1_s1_t2": broken})
    (folder / "a2_s1_t1_skeleton.mat").write_bytes(b"no file of MATLAB's")
    code, out, err = run(
        *("utd_mhad", "--skeletons", folder, "--json", tmp_path / "found.json"),
        *("--exclude", tmp_path / "list.txt"),
    )
    assert code == 1
    assert "1 of 2 test clips (50.0 %) are copies" in out
    assert "list.txt: 1 clips" in err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["clips"] == 6
    assert found["train_test_duplicates"] == [{"train": "a1_s3_t1", "test": "a1_s2_t1", "kind": "identical"}]
    kinds = {finding["kind"]: finding["clips"] for finding in found["findings"]}
    assert kinds["not_finite"] == ["a1_s1_t2"]
    assert kinds["unreadable"] == ["a2_s1_t1"]
    assert read_exclusion(str(tmp_path / "list.txt")) == {"a1_s2_t1"}


def test_stores_are_audited_too(stores: dict[str, Path]) -> None:
    code, out, _ = run(stores["skeletons"], "--protocol", "odd_subjects")
    assert code in (0, 1)
    assert "32 clips" in out


def test_a_reader_without_a_config_entry_and_a_list(folder: Path, tmp_path: Path) -> None:
    config, names = tmp_path / "own.yaml", tmp_path / "names.txt"
    config.write_text(
        "instruction: what?\n"
        "datasets: {mine: {reader: ntu, skeletons: null, videos: null}}\n"
        "benchmarks: {mine: {dataset: mine, protocol: odd_subjects}}\n"
    )
    names.write_text("a1_s1_t1\na1_s2_t1\na1_s3_t1\n")
    code, out, _ = run("utd_mhad", "--skeletons", folder, "--config", config, "--names", names)
    assert code == 1
    assert "name_missing" in out
    assert "test clips" not in out


def test_an_npz_and_a_list_that_is_not_its(tmp_path: Path) -> None:
    listed = [f"S001C001P00{subject}R001A00{action}" for subject in (1, 2, 3) for action in (1, 2)]
    arrays = {}
    for side, subjects in (("train", (1, 2)), ("test", (3,))):
        made = [body(10 * s + a, 30, "ntu25") for s in subjects for a in (1, 2)]
        padded = np.zeros((len(made), 300, 150), np.float32)
        for row, clip in zip(padded, made, strict=True):
            row[:30, :75] = clip.reshape(30, 75)
        arrays |= {f"x_{side}": padded, f"y_{side}": np.tile(np.eye(60)[:2], (len(subjects), 1))}
    np.savez(tmp_path / "NTU60_CS.npz", **arrays)
    names = tmp_path / "names.txt"
    asked = [
        "ctr_npz",
        "--skeletons",
        tmp_path / "NTU60_CS.npz",
        "--protocol",
        "ntu60_xsub",
        "--names",
        names,
    ]
    names.write_text("\n".join(listed))
    code, out, _ = run(*asked)
    assert "name_order" not in out
    assert "0 of 2 test clips" in out
    names.write_text("\n".join([*listed[:-1], "S001C001P003R001A003"]))
    code, out, _ = run(*asked)
    assert code == 1
    assert "name_order" in out


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["nothing"], "nothing: no data set in"),
        (["utd_mhad", "--skeletons", "absent"], "no folder absent"),
        (["absent.h5"], "absent.h5"),
        (["utd_mhad", "--side", "left"], "left is not test, train or both"),
        (["utd_mhad", "--option", "depth"], "depth is not KEY=VALUE"),
        (["utd_mhad", "--json", "absent/found.json"], "absent is no folder"),
        (["utd_mhad", "--config", "absent.yaml"], "absent.yaml"),
    ],
)
def test_status_2_for_what_cannot_be_looked_at(arguments: list[str], reported: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert reported in " ".join(err.replace("│", " ").split())


# -------------------------------------------------------------------------------------------- real data


@pytest.mark.real
def test_nw_ucla_view_3_of_two_classes_is_view_2(mmcl_data: Path, tmp_path: Path, project: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(mmcl_data / "nw-ucla-skeleton.zip") as archive:
        archive.extractall(tmp_path)
    source = open_folder(recordings("nw_ucla", tmp_path))
    report = audit(source, part(source, "nw_ucla", None), "nw_ucla")
    pairs = report.train_test_duplicates
    assert (report.clips, report.test_clips, len(pairs)) == (1484, 464, 95)
    assert all(pair["kind"] == "identical" for pair in pairs)
    assert {(pair["test"][:3], pair["test"][-3:], pair["train"][-3:]) for pair in pairs} == {
        ("a02", "v03", "v02"),
        ("a03", "v03", "v02"),
    }
    listed = read_exclusion(str(project / "resources" / "nw_ucla" / "duplicates.txt"))
    assert listed == {pair["test"] for pair in pairs}
    conflicts = [finding.clips for finding in report.findings if finding.kind == "conflicting_labels"]
    assert len(conflicts) == 5
    assert ("a08_s01_e04_v02", "a09_s01_e03_v01") in conflicts


@pytest.mark.real
def test_utd_mhad_has_no_leak(mmcl_data: Path, tmp_path: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(mmcl_data / "utd-mhad-skeleton.zip") as archive:
        archive.extractall(tmp_path)
    source = open_folder(recordings("utd_mhad", tmp_path))
    report = audit(source, part(source, "odd_subjects", None), "odd_subjects")
    assert (report.clips, report.test_clips, report.train_test_duplicates) == (861, 430, [])
    kinds = [finding.kind for finding in report.findings]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "overlap": 32,
        "jump": 1,
        "zero_bone": 1,
        "label_doubt": 1,
    }


def test_names_with_brackets_are_printed_as_they_are(tmp_path):
    for name in ("a[red]", ":smile:"):
        (tmp_path / f"{name}.json").write_text(json.dumps([[[0.0, 0.0, 0.0]] * 25] * 8))
    printed = CliRunner().invoke(
        app, ["audit", "own", "--skeletons", str(tmp_path), "--option", "layout=ntu25"], terminal_width=200
    )
    assert printed.exception is None or isinstance(printed.exception, SystemExit)
    for name in ("a[red]", ":smile:"):
        assert name in printed.stdout
