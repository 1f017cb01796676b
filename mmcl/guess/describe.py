"""From a folder of recordings to a data set, a protocol and a benchmark with all that was guessed."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.coverage import coverage
from mmcl.datasets.own_table import COLUMNS
from mmcl.errors import UserError, meant
from mmcl.guess import published, rewrite
from mmcl.guess.finding import Finding
from mmcl.guess.inside import read_inside
from mmcl.guess.labels import Told, read_paths
from mmcl.guess.shapes import Shapes, guess_shapes, read_samples
from mmcl.guess.survey import Survey, survey
from mmcl.guess.tables import read_tables
from mmcl.naming import find
from mmcl.settings.protocol import Folds, Rule, SelectionSettings

FOLDS = 5
UNEVEN = 3
"""The largest class has so many times the clips of the smallest: then classes are weighted."""
POSE_MODEL = "yolov8n-pose"


@dataclass
class Description:
    """What is written for a data set.

    Attributes:
        name: of data set and benchmark.
        dataset: its section in config.yaml.
        protocol: the benchmark's; "" where there are no labels, and so no benchmark.
        rule: of a protocol of one's own.
        train: settings that the recordings ask for.
        rows: the clips' table, its columns first; none where the reader lists the clips.
        layout: a layout of one's own, joint → parent.
        findings: what was guessed, and why.
        needed: what has to be done before the workflow can run.
    """

    name: str
    dataset: dict[str, Any]
    protocol: str = ""
    rule: Rule | None = None
    train: dict[str, Any] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    layout: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)


def dataset_name(data: Path) -> str:
    """A name for the recordings in a folder or file, as names in config.yaml are."""
    words = re.sub(r"[^a-z0-9]+", "_", data.resolve().stem.lower()).strip("_")
    return words if words[:1].isalpha() else f"data_{words}".rstrip("_")


def describe(data: Path, name: str, working: Path) -> Description:
    """Look into a folder of recordings, or one file of another tool.

    Files in forms that no reader takes are written again below the working directory.

    Args:
        data: the folder or file.
        name: of the data set.
        working: the working directory.

    Raises:
        UserError: nothing there can be used; says what was found.
    """
    if data.is_file():
        reader = published.exchange_reader(data)
        if not reader:
            raise UserError(
                f"{data}: is no file that holds a whole data set; name the folder of the recordings"
            )
        return _published(published.open_exchange(reader, data, working / f"{name}.pkl"), name)
    if not data.is_dir():
        raise UserError(f"{data}: no such folder")
    found = survey(data)
    if known := published.recognise(found, working / f"{name}.pkl"):
        return _published(known, name, found)
    if not found.skeletons and not found.videos:
        raise UserError(
            f"{data}: {found.packed[0]} is no file of joints that mmcl knows; docs/exchange.md lists them"
        )
    return _own(found, name, working)


# --------------------------------------------------------------------------------- readers of data sets


def _published(known: published.Published, name: str, found: Survey | None = None) -> Description:
    dataset: dict[str, Any] = {"reader": known.reader, "skeletons": str(known.skeletons.resolve())}
    if found and found.videos and known.reader in published.FILE_NAMES:
        dataset["videos"] = str(found.folder.resolve())
    dataset |= {"threads": 2, **({"options": known.options} if known.options else {})}
    described = Description(name, dataset, findings=known.findings)
    described.findings += _video_findings(found, _picture(found) if found else None)
    if found:
        used = [known.file] if known.file else [*found.skeletons, *found.packed, *found.videos]
        described.findings += _unused(found, used)
    _split(described, known.entries, known.protocols)
    return described


# --------------------------------------------------------------------------------------- reader `own`


def _own(found: Survey, name: str, working: Path) -> Description:
    folder, clips = found.folder, found.skeletons
    findings = []
    if found.frame_files:
        folder = working / f"{name}-skeletons"
        clips = rewrite.join_frames(found.folder, found.skeletons, folder)
        findings.append(
            Finding("reader", "own", f"OpenPose's files of single frames, joined to clips in {folder.name}/")
        )
    elif found.endings in ([".txt"], [".tsv"]) or (
        found.endings == [".csv"] and rewrite.needs_arrays(folder / clips[0])
    ):
        folder = working / f"{name}-skeletons"
        clips = rewrite.as_arrays(found.folder, found.skeletons, folder)
        findings.append(Finding("reader", "own", f"numbers line by line, written as npz in {folder.name}/"))
    elif clips:
        findings.append(Finding("reader", "own", f"{len(clips)} files {', '.join(found.endings)}"))
    else:
        findings.append(Finding("reader", "own", f"{len(found.videos)} videos and no skeleton file"))
    dataset: dict[str, Any] = {"reader": "own"}
    described = Description(name, dataset, findings=findings)
    shapes, picture = None, _picture(found)
    if clips:
        samples = read_samples(folder, clips)
        shapes = guess_shapes(samples, picture[0] if picture else None)
        described.findings += shapes.findings
        if samples.unreadable:
            described.findings.append(
                Finding(
                    "unreadable", str(len(samples.unreadable)), samples.unreadable[0], "they are left out"
                )
            )
        dataset["skeletons"] = str(folder.resolve())
    if found.videos:
        dataset["videos"] = str(found.folder.resolve())
    described.findings += _video_findings(found, picture)
    for fault in found.unreadable:
        described.findings.append(Finding("table", "", fault, "put right, it may tell labels"))
    dataset["threads"] = 2
    options = _options(described, shapes, name)
    if not clips:
        _poses(described, working)
    told = _told(found, folder, clips or found.videos)
    described.findings += _unused(found, [*found.skeletons, *found.videos, told.table])
    if any(one.what == "frame rate" for one in told.findings):
        described.findings = [one for one in described.findings if one.what != "frame rate"]
    described.findings += told.findings
    if counted := _from_one(told.columns.get("subject", [])):
        told.columns["subject"] = counted
        why = "they are numbered from 0, which is no known subject in mmcl"
        described.findings.append(Finding("subject numbers", "one more", why))
    described.rows = _rows(found, clips, told)
    options["clips"] = f"{name}.csv"
    dataset["options"] = options
    labels = told.columns.get("label", [])
    if sum(1 for label in labels if label) < 2 or len({*labels} - {""}) < 2:
        why = "neither a table, nor class folders, nor the files' names tell classes"
        check = f"for training, add a column label to {name}.csv; new clips can be recognised without"
        described.findings.append(Finding("label", "", why, check))
        return described
    if shapes is None or shapes.flat:
        described.train["rotation"] = 0.0
    _split(described, _entries(described.rows), ("given",) if "split" in told.columns else ())
    return described


def _from_one(subjects: Sequence[str]) -> list[str]:
    """Subjects that are numbered from 0, counted from 1; none where they are not."""
    numbers = [re.fullmatch(r"([A-Za-z]*[ _-]?)(\d+)", one) for one in subjects if one]
    counts = [(match[1], int(match[2])) for match in numbers if match]
    if len(counts) < len(numbers) or len({text for text, _ in counts}) != 1 or all(n for _, n in counts):
        return []
    return [one and str(int(re.sub(r"\D", "", one)) + 1) for one in subjects]


def _options(described: Description, shapes: Shapes | None, name: str) -> dict[str, Any]:
    if shapes is None:
        return {}
    described.layout = shapes.tree
    return {"layout": shapes.layout or f"{name}-layout.json", **shapes.options}


def _poses(described: Description, working: Path) -> None:
    """A pose estimator for videos alone."""
    weights = f"weights/{POSE_MODEL}.pt"
    described.dataset["poses"] = {"architecture": POSE_MODEL, "weights": weights}
    described.findings += [
        Finding("layout", "coco17", "what a pose estimator finds in videos"),
        Finding("dimensions", "2-D", "joints in a picture, in parts of its height"),
    ]
    if not ((working / weights).exists() or find(weights).exists()):
        described.needed.append(f"mmcl fetch {POSE_MODEL}")


def _told(found: Survey, folder: Path, clips: Sequence[str]) -> Told:
    """Labels and the like of a table; what it lacks of the files themselves, then of their paths."""
    table = read_tables(found.folder, found.tables, clips)
    together = Told(table=table.table)
    sources = [
        table,
        read_inside(folder, clips) if found.skeletons else Told(),
        read_paths(clips),
    ]
    for told in sources:
        # what a table lacks beside label and subject is taken for not known
        wanted = ("label", "subject") if together.columns else tuple(told.columns)
        for column, values in told.columns.items():
            if column not in together.columns and column in wanted:
                together.columns[column] = values
                together.findings += [one for one in told.findings if one.what == column]
        together.findings += [
            one for one in told.findings if one.what not in COLUMNS and one not in together.findings
        ]
    return together


def _unused(found: Survey, used: Collection[str]) -> list[Finding]:
    """What else lies in the folder, so that nobody takes it for read."""
    left = found.unused(used)
    if not left:
        return []
    counts = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in left.most_common(6))
    tables = [table for table in found.tables if table not in used]
    unmatched = f"no column of {tables[0]} names the clips" if tables else ""
    return [Finding("files not used", counts, "other files in the folder", unmatched)]


def _rows(found: Survey, clips: Sequence[str], told: Told) -> list[list[str]]:
    """The table: a line of names, then one for each clip. `val` is the test side where no clip is `test`."""
    sides = told.columns.get("split", [])
    if "test" not in sides and sides:
        told.columns["split"] = [side.replace("val", "test") for side in sides]
    listed = list(clips or found.videos)
    stems = Counter(PurePosixPath(path).stem for path in listed)
    names = [
        PurePosixPath(path).stem
        if stems[PurePosixPath(path).stem] == 1
        else str(PurePosixPath(path).with_suffix(""))
        for path in listed
    ]
    names = [name.replace("/", "__") for name in names]
    place = "skeleton" if clips else "video"
    columns = {
        "name": names,
        **{key: told.columns[key] for key in COLUMNS if key in told.columns},
        place: listed,
    }
    if clips and found.videos:
        videos: dict[str, list[str]] = {}
        for path in found.videos:
            videos.setdefault(PurePosixPath(path).stem.lower(), []).append(path)
        beside = [videos.get(PurePosixPath(path).stem.lower(), []) for path in listed]
        columns["video"] = [paths[0] if len(paths) == 1 else "" for paths in beside]
    others = {key: values for key, values in told.columns.items() if key not in columns}
    # a column much like one of ours that is not there would be taken for a slip
    lacking = [key for key in COLUMNS if key not in columns and any(meant(other, [key]) for other in others)]
    columns |= {key: [""] * len(listed) for key in lacking} | others
    return [list(columns), *(list(row) for row in zip(*columns.values(), strict=True))]


def _entries(rows: list[list[str]]) -> list[ClipEntry]:
    """The table's clips as protocols see them."""
    from mmcl.datasets.index import as_subjects

    head, *body = rows
    stated = [dict(zip(head, row, strict=True)) for row in body]
    subjects = as_subjects([one.get("subject", "") for one in stated])
    return [
        ClipEntry(one["name"], one.get("label", ""), subject, 1, 1, None, "x", "x", "", one.get("split", ""))
        for one, subject in zip(stated, subjects, strict=True)
    ]


# ------------------------------------------------------------------------------------------ protocol


def _split(described: Description, entries: Sequence[ClipEntry], protocols: Sequence[str]) -> None:
    """Choose the protocol: a published one or the data set's own sides if both have clips, else folds."""
    usable = [entry for entry in entries if not entry.left_out and entry.action]
    counts = Counter(entry.action for entry in usable)
    subjects = {entry.subject for entry in usable} - {0, ""}
    tries: list[tuple[str, Rule | None, str]] = [(name, None, _why(name)) for name in protocols]
    if len(subjects) > 1 and all(entry.subject not in (0, "") for entry in usable):
        k = min(FOLDS, len(subjects))
        of_subjects = Rule(folds=Folds(k=k, of="subjects"))
        tries.append(
            (f"{described.name}_folds", of_subjects, f"{len(subjects)} subjects, none on both sides")
        )
    k = min(FOLDS, min(counts.values(), default=0))
    if k > 1:
        of_clips = Rule(folds=Folds(k=k, of="clips_per_class"))
        tries.append((f"{described.name}_folds", of_clips, "subjects are not known, or do not suffice"))
    sides = [
        coverage(entries, SelectionSettings(protocol=protocol, rule=rule)) for protocol, rule, _ in tries
    ]
    fits = [
        number
        for number, found in enumerate(sides)
        if not (found.problem("trained") or found.problem("tested") or found.warning())
    ]
    if not fits:
        check = "a class has a single clip, or no split leaves clips of every class on both sides: a column split says"
        described.findings.append(
            Finding("protocol", "", f"{len(counts)} classes, {len(usable)} clips", check)
        )
        return
    (protocol, rule, why), found = tries[fits[0]], sides[fits[0]]
    described.protocol, described.rule = protocol, rule
    value = f"{rule.folds.k} folds" if rule and rule.folds else protocol
    check = ""
    if rule and rule.folds and rule.folds.of == "clips_per_class":
        check = "if one person made several clips, accuracy on new people will be lower: a column subject"
    described.findings.append(Finding("protocol", value, why, check))
    trained = int(found.train.sum())
    described.train |= {"batch": max(4, min(64, trained // 8))}
    if max(counts.values()) >= UNEVEN * min(counts.values()):
        described.train["class_weights"] = "balanced"
        why = f"classes have {min(counts.values())} to {max(counts.values())} clips"
        described.findings.append(Finding("class weights", "balanced", why))


def _why(protocol: str) -> str:
    return "clips state their side" if protocol == "given" else "published, see resources/protocols.json"


# -------------------------------------------------------------------------------------------- videos


def _picture(found: Survey) -> tuple[int, float] | None:
    """Height in pixels and frame rate of the first video that can be opened."""
    from mmcl.video.decode import Recording

    for path in found.videos[:3]:
        try:
            video = Recording(found.folder / path)
        except UserError:
            continue
        return video.size[1], video.rate
    return None


def _video_findings(found: Survey | None, picture: tuple[int, float] | None) -> list[Finding]:
    if not picture or found is None:
        return [Finding("frame rate", "", "skeleton files state none; nothing here needs it")]
    return [
        Finding("videos", str(len(found.videos)), f"{picture[0]} pixels high"),
        Finding("frame rate", f"{picture[1]:g}", f"of {found.videos[0]}"),
    ]
