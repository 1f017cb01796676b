"""Classes, subjects, cameras and setups from the names and labels in other tools' files."""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import numbered_names
from mmcl.datasets.index import read_index
from mmcl.datasets.names import clip_name, name_fault, read_lines
from mmcl.datasets.ntu import parse_name
from mmcl.datasets.prepare import SCHEMA, class_order, read_subjects
from mmcl.errors import UserError, shown
from mmcl.store import opened

NTU_CLASSES = (60, 120)
ACTION = re.compile(r"A\d{3}")
MAX_CLASSES = 10_000


def are_ntu(names: Iterable[str]) -> bool:
    """Whether all names are of the form SsssCcccPpppRrrrAaaa."""
    return all(parse_name(name) for name in names)


def ntu_classes(count: int) -> dict[str, str]:
    """Class id → name of the first `count` actions of NTU RGB+D."""
    return dict(list(numbered_names("ntu/actions.txt", "A", 3).items())[:count])


def plain_classes(count: int) -> dict[str, str]:
    """Class ids for labels without names: `c0` … ."""
    return {f"c{label}": f"class {label}" for label in range(min(count, MAX_CLASSES))}


def labelled_classes(labels: Sequence[tuple[str, int]]) -> dict[str, str]:
    """Class id → name, in the order of labels, of clips that no list of classes is given for.

    Clips named as NTU RGB+D's have its 60 or 120 classes. If their labels are not those of its actions but, one for
    each, number the actions that occur, as in a subset, or count from one, the labels mean the actions of the names.

    Args:
        labels: name and label of each clip.
    """
    count = max((label for _, label in labels), default=0) + 1
    parts = [parse_name(name) for name, _ in labels]
    if count > NTU_CLASSES[-1] + 1 or not all(parts):
        return plain_classes(count)
    pairs = {(label, part.action) for (_, label), part in zip(labels, parts, strict=True) if part}
    numbers, actions = sorted(label for label, _ in pairs), {action for _, action in pairs}
    once = len(set(numbers)) == len(actions) == len(pairs)
    first = numbers[0] if numbers else 0
    named = ntu_classes(NTU_CLASSES[-1])
    dense = first in (0, 1) and numbers == list(range(first, first + len(numbers)))
    own = once and (dense or all(label == action for label, action in pairs))
    if own and all(f"A{action:03d}" in named for action in actions):
        by_label = {label: f"A{action:03d}" for label, action in pairs}
        if any(label != action - 1 for label, action in pairs):
            ids = (by_label.get(label, f"c{label}") for label in range(count))
            return {key: named.get(key, key) for key in ids}
    return ntu_classes(next((many for many in NTU_CLASSES if count <= many), NTU_CLASSES[-1]))


def read_classes(path: Path) -> dict[str, str]:
    """Classes of a text file: line i names label i, as `name` or as `id<TAB>name`.

    Raises:
        UserError: no such file, or a line is empty, cannot be printed or occurs twice.
    """
    classes: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        key, _, name = (part.strip() for part in line.partition("\t"))
        fault = name_fault(key) or (name and name_fault(name)) or ("occurs twice" if key in classes else "")
        if fault:
            raise UserError(f"{path}: line {number}: {shown(line)}: {fault}")
        classes[key] = name or key
    if len(classes) > MAX_CLASSES:
        raise UserError(f"{path}: names {len(classes)} classes, more than {MAX_CLASSES}")
    return classes


def names_of_paths(paths: Sequence[str]) -> Callable[[str], str]:
    """How clips are named whose file has paths: by the last part, or by all parts if clips share their last.

    So `data/S001C001P001R001A001` is named by itself, and `walk/001` and `run/001` are `walk__001` and `run__001`;
    folders that all have in common do not count.
    """
    split = [path_parts(path) for path in paths]
    whole = len({parts[-1] for parts in split}) < len(set(split))
    folders = [parts[:-1] for parts in split] or [()]
    first, last = min(folders), max(folders)  # what these two have in common all have
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    top = tuple(part for part, _ in same)

    def name(path: str) -> str:
        parts = path_parts(path)
        if not whole:
            return clip_name(parts[-1])
        return clip_name("/".join(parts[len(top) :] if parts[: len(top)] == top else parts))

    return name


def path_parts(path: str) -> tuple[str, ...]:
    """The parts of a path of any system, at least one."""
    return tuple(part for part in re.split(r"[/\\]", path.strip()) if part not in ("", ".")) or ("",)


def named_clip(
    name: str, label: int, split: str, place: str, video: str, classes: Sequence[str]
) -> ClipEntry:
    """The entry of a clip that a file holds with its name and label.

    Args:
        name: the clip's name; subject, camera and setup are those of an NTU name, else 0 (unknown).
        label: 0 … C−1.
        split: train, test or "".
        place: where in the file its skeleton is.
        video: path of its video.
        classes: ids of labels. Where they are actions of NTU RGB+D, a label must be that of an NTU name.
    """
    parts = parse_name(name)
    numbers = (parts.subject, parts.camera, parts.setup) if parts else (0, 0, 0)
    if not 0 <= label < len(classes):
        problem = f"label {label} is not one of {len(classes)} classes"
        return ClipEntry(name, "", 0, 0, 0, None, place, video, problem, split)
    action, wrong = classes[label], ""
    if parts and ACTION.fullmatch(action) and action != (own := f"A{parts.action:03d}"):
        action, wrong = own, f"label {label} is not the action {own} of its name"
    return ClipEntry(name, action, *numbers, None, place, video, wrong, split)


def list_named_clips(path: str | Path) -> list[ClipEntry]:
    """The clips that a list names, in name order, with what is known of them.

    Args:
        path: a text file with one NTU name per line (the public `skes_available_name.txt`; empty lines, `# comments`
            and the ending `.skeleton` are ignored), an index (….tsv) or a store of skeletons (….h5). Clips that an
            index leaves out do not count.

    Raises:
        UserError: cannot be read, a line is no NTU name, or a name occurs twice.
    """
    path = Path(path)
    if path.suffix.lower() == ".h5":
        entries = stored_clips(path)
    elif path.suffix.lower() == ".tsv":
        entries = [entry for entry in read_index(path) if not entry.left_out]
    else:
        entries = [_of_line(path, number, line) for number, line in enumerate(read_lines(path), 1) if line]
    entries.sort(key=lambda entry: entry.name)
    for one, other in pairwise(entries):
        if one.name == other.name:
            raise UserError(f"{path}: {one.name} occurs twice")
    if not entries:
        raise UserError(f"{path}: names no clip")
    return entries


def class_names_of(path: str | Path) -> dict[str, str]:
    """Class id → name: those that a store holds, NTU's for every other list."""
    if Path(path).suffix.lower() != ".h5":
        return ntu_classes(NTU_CLASSES[-1])
    with opened(path, SCHEMA) as h5:
        return dict(zip(h5["classes/id"].asstr()[:], h5["classes/name"].asstr()[:], strict=True))


def _of_line(path: Path, number: int, line: str) -> ClipEntry:
    name = clip_name(line)
    parts = parse_name(name)
    if parts is None:
        raise UserError(
            f"{path}: line {number}: {shown(name)} is not SsssCcccPpppRrrrAaaa; give an index or a store"
        )
    return ClipEntry(name, f"A{parts.action:03d}", parts.subject, parts.camera, parts.setup, None, "", "", "")


def stored_clips(path: str | Path) -> list[ClipEntry]:
    """The clips that have a row in a store of skeletons, in name order."""
    with opened(path, SCHEMA) as h5:
        names = h5["names"].asstr()[:]
        actions = h5["classes/id"].asstr()[:][h5["labels"][:]]
        places = (read_subjects(h5, "subject"), h5["camera"][:], h5["setup"][:])
        numbers = zip(*(column.tolist() for column in places), strict=True)
        splits = h5["split"].asstr()[:]
    entries = [
        ClipEntry(name, action, subject, camera, setup, None, "", "", "", split)
        for name, action, (subject, camera, setup), split in zip(names, actions, numbers, splits, strict=True)
    ]
    return sorted(entries, key=lambda entry: entry.name)


def label_order(entries: Iterable[ClipEntry], count: int | None = None) -> list[str]:
    """Class ids by label.

    Classes of NTU RGB+D are ordered by their own numbers, 60 or 120 of them; of other sets the classes that occur
    are numbered in the order of `class_order`.

    Args:
        entries: clips.
        count: classes of the file, if that is known.
    """
    actions = {entry.action for entry in entries}
    for many in NTU_CLASSES:
        known = ntu_classes(many)
        if (count == many and actions & set(known)) or (count is None and actions <= set(known)):
            return list(known)
    return sorted(actions, key=class_order)
