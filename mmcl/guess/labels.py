"""Labels, subjects, cameras and sides of clips from their paths: class folders, and patterns in file names.

A path is cut into columns: its folders from the top, then the parts of the file's name between `_`, `-`, `.` and
blanks. A part of letters and a number such as `s03` says by its letters what it counts. Of the columns of words the one
that most often holds words of known actions is the label; one whose values occur with several labels is the subject.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from mmcl.guess.finding import Finding
from mmcl.naming import PROJECT

ROLES = {
    "subject": "s p u sub subj subject person participant performer actor user player patient id",
    "label": "a act action activity class cls label gesture g exercise ex motion",
    "camera": "c cam camera v view kinect",
    "setup": "setup scene session env environment day room",
}
"""What is counted → the letters before its number."""
SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "val"
)
ACTIONS = ("ntu", "utd_mhad", "nw_ucla", "sysu")
COMMON = "a an the and of to up down on off in out with for from by at it left right hand body one other person object"
CUT = re.compile(r"[_\-. ()\[\]+]+")
LETTERED = re.compile(r"([A-Za-z]+)(\d+)")
OTHERS = (
    "run walk jump squat lunge push pull fall lie crawl climb dance bow box hop roll turn stretch bend lift carry "
    "idle"
)
"""Words of actions that no list of the project has."""


@dataclass
class Told:
    """What is known of the clips, in their order.

    Attributes:
        columns: `label`, `subject`, `camera`, `setup`, `split`, `skeleton`, `video` and others of the user's →
            a text for each clip.
        findings: why.
        table: the file that told it; "" where there is none.
    """

    columns: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    table: str = ""


@cache
def action_words() -> frozenset[str]:
    """Words of the actions of the data sets that the project knows."""
    texts = [(PROJECT / "resources" / name / "actions.txt").read_text(encoding="utf-8") for name in ACTIONS]
    words = set(re.findall(r"[a-z]{3,}", f"{' '.join(texts).lower()} {OTHERS}"))
    return frozenset(words - set(COMMON.split()))


def read_paths(paths: Sequence[str]) -> Told:
    """What the paths of clips tell; of fewer than two clips, nothing."""
    told = Told()
    if len(paths) < 2:
        return told
    columns = _columns(paths)
    for what, values in list(columns.items()):
        sides = {value.lower() for value in values}
        if sides <= set(SIDES) and len(sides) > 1:
            told.columns["split"] = [SIDES[value.lower()] for value in values]
            told.findings.append(Finding("split", ", ".join(sorted(sides)), f"{what}"))
            del columns[what]
    columns = {what: values for what, values in columns.items() if len(set(values)) > 1}
    counted = _counted(columns)
    words = {
        what: values
        for what, values in columns.items()
        if what not in counted.values() and _are_words(values, len(paths))
    }
    label = max(words, key=lambda what: (_familiar(words[what]), what.startswith("folder")), default="")
    if label and not _familiar(words[label]) and "label" in counted:
        label = ""
    if label:
        counted.pop("label", None)
        counted["label"] = label
        rest = [what for what in words if what != label]
        crossed = [what for what in rest if _crossed(words[what], words[label])]
        if "subject" not in counted and crossed:
            counted["subject"] = crossed[0]
    elif "subject" not in counted and words:
        counted["subject"] = next(iter(words))
    for role in ("label", "subject", "camera", "setup"):
        if role in counted:
            _take(told, role, counted[role], columns[counted[role]])
    return told


def _counted(columns: Mapping[str, list[str]]) -> dict[str, str]:
    """Role → the first column that counts it. Beside performers P, S counts setups, as in NTU's names."""
    lettered = {what: letters for what, values in columns.items() if (letters := _letters(values))}
    performers = "p" in lettered.values()
    counted: dict[str, str] = {}
    for what, letters in lettered.items():
        role = "setup" if performers and letters == "s" else _role(letters)
        if role:
            counted.setdefault(role, what)
    return counted


def _take(told: Told, role: str, what: str, values: list[str]) -> None:
    distinct = sorted(set(values))
    if role in ("camera", "setup"):
        numbers = [re.sub(r"\D", "", value) for value in values]
        order = {value: str(i) for i, value in enumerate(distinct, 1)}
        values = numbers if all(numbers) else [order[value] for value in values]
    told.columns[role] = values
    some = ", ".join(distinct[:4]) + (", …" if len(distinct) > 4 else "")
    check = ""
    if role == "label" and what.startswith("name") and not (_familiar(values) or _counts(values)):
        check = "none of these is an action that mmcl knows"
    told.findings.append(Finding(role, f"{len(distinct)} ({some})", what, check))


def _columns(paths: Sequence[str]) -> dict[str, list[str]]:
    """What a part is → its text for each clip; `folder …` or `name …`."""
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    columns = {}
    if len({len(parts) for parts in folders}) == 1:
        for level in range(len(folders[0])):
            columns[f"folder of level {level + 1}"] = [parts[level] for parts in folders]
    elif all(folders):
        columns["folder of the clip"] = [parts[-1] for parts in folders]
    stems = [_atoms(PurePosixPath(path).stem) for path in paths]
    if len({len(atoms) for atoms in stems}) > 1:
        stems = [_grouped(atoms) for atoms in stems]
    if len({len(atoms) for atoms in stems}) == 1:
        parts = [list(column) for column in zip(*stems, strict=True)]
        for number, values in enumerate(_merged(parts), 1):
            columns[f"name, part {number}"] = values
    return columns


def _atoms(stem: str) -> list[str]:
    """The parts of a name; `S001C002` is two, and `walk01` is a word and a number."""
    atoms: list[str] = []
    for part in filter(None, CUT.split(stem)):
        pieces = LETTERED.findall(part)
        if len(pieces) > 1 and "".join("".join(piece) for piece in pieces) == part:
            atoms += ["".join(piece) for piece in pieces]
        elif (match := LETTERED.fullmatch(part)) and len(match[1]) > 2 and not _role(match[1]):
            atoms += [match[1], match[2]]
        else:
            atoms.append(part)
    return atoms


def _grouped(atoms: list[str]) -> list[str]:
    """Names of different numbers of parts: the first word, further words as one, and numbers behind; words may lack."""
    numbers = [atom for atom in atoms if any(c.isdigit() for c in atom)]
    words = [atom for atom in atoms if atom not in numbers]
    return [words[0] if words else "", "_".join(words[1:]), *(numbers[-1:] or [""])]


def _merged(parts: list[list[str]]) -> list[list[str]]:
    """Neighbouring words that go together, as the two of `sit_down` do, as one column."""
    merged: list[list[str]] = []
    for values in parts:
        if merged and all(v.isalpha() or not v for v in {*values, *merged[-1]}):
            before = merged[-1]
            pairs, most = len(set(zip(before, values, strict=True))), max(len(set(before)), len(set(values)))
            # of a word that all names have only one of an action belongs to the next
            same = len(set(before)) == 1 and _familiar(before)
            if same or (min(len(set(before)), len(set(values))) > 1 and pairs <= 1.2 * most):
                merged[-1] = ["_".join(filter(None, pair)) for pair in zip(before, values, strict=True)]
                continue
        merged.append(values)
    return merged


def _role(letters: str) -> str:
    return next((role for role, known in ROLES.items() if letters.lower() in known.split()), "")


def _counts(values: list[str]) -> str:
    """What a column of letters and a number counts; "" for another column."""
    return _role(_letters(values))


def _letters(values: list[str]) -> str:
    """The letters before the numbers of a column, in lower case; "" where they are not the same."""
    matches = [LETTERED.fullmatch(re.sub(r"[_\- ]", "", value)) for value in values]
    letters = {match[1].lower() for match in matches if match}
    return letters.pop() if all(matches) and len(letters) == 1 else ""


def _are_words(values: list[str], clips: int) -> bool:
    """Whether a column names groups of clips in words."""
    counts = Counter(values)
    return all(re.search(r"[^\W\d]", value) for value in counts) and 1 < len(counts) <= max(2, clips // 2)


def _familiar(values: list[str]) -> float:
    """The part of a column's different values that have a word of a known action."""
    distinct = set(values)
    known = action_words()

    def familiar(value: str) -> bool:
        words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", value).lower())
        stems = {w for word in words for w in (word, word.removesuffix("s"), word.removesuffix("ing"))}
        return bool(stems & known)

    return sum(familiar(value) for value in distinct) / len(distinct)


def _crossed(values: list[str], labels: list[str]) -> bool:
    """Whether most values of a column occur with several labels."""
    seen: dict[str, set[str]] = {}
    for value, label in zip(values, labels, strict=True):
        seen.setdefault(value, set()).add(label)
    return sum(len(with_) > 1 for with_ in seen.values()) > len(seen) / 2
