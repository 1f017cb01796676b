"""Classes, subjects, cameras and setups from the names and labels in other tools' files."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.files import numbered_names
from mmcl.datasets.index import read_index
from mmcl.datasets.names import read_lines
from mmcl.datasets.ntu import parse_name
from mmcl.datasets.prepare import SCHEMA, class_order
from mmcl.errors import UserError
from mmcl.store import opened

NTU_CLASSES = (60, 120)
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


def read_classes(path: Path) -> dict[str, str]:
    """Classes of a text file: line i names label i, as `name` or as `id<TAB>name`.

    Raises:
        UserError: no such file, or an id occurs twice.
    """
    classes: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        key, _, name = line.partition("\t")
        if not key or key in classes or not (key + name).isprintable():
            raise UserError(f"{path}: line {number}: is empty, unprintable or occurs twice")
        classes[key] = name or key
    return classes


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
        classes: ids of labels.
    """
    parts = parse_name(name)
    if not 0 <= label < len(classes):
        problem = f"label {label} is not one of {len(classes)} classes"
        return ClipEntry(name, "", 0, 0, 0, None, place, video, problem, split)
    action = classes[label]
    if parts is None:
        return ClipEntry(name, action, 0, 0, 0, None, place, video, "", split)
    wrong = (
        ""
        if parts.action == label + 1
        else f"label {label} is not the action A{parts.action:03d} of its name"
    )
    action = f"A{parts.action:03d}"
    return ClipEntry(name, action, parts.subject, parts.camera, parts.setup, None, place, video, wrong, split)


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
    if path.suffix == ".h5":
        entries = stored_clips(path)
    elif path.suffix == ".tsv":
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
    if Path(path).suffix != ".h5":
        return ntu_classes(NTU_CLASSES[-1])
    with opened(path, SCHEMA) as h5:
        return dict(zip(h5["classes/id"].asstr()[:], h5["classes/name"].asstr()[:], strict=True))


def _of_line(path: Path, number: int, line: str) -> ClipEntry:
    name = line.removesuffix(".skeleton")
    parts = parse_name(name)
    if parts is None:
        raise UserError(
            f"{path}: line {number}: {name[:60]!r} is not SsssCcccPpppRrrrAaaa; give an index or a store"
        )
    return ClipEntry(name, f"A{parts.action:03d}", parts.subject, parts.camera, parts.setup, None, "", "", "")


def stored_clips(path: str | Path) -> list[ClipEntry]:
    """The clips that have a row in a store of skeletons, in name order."""
    with opened(path, SCHEMA) as h5:
        names = h5["names"].asstr()[:]
        actions = h5["classes/id"].asstr()[:][h5["labels"][:]]
        numbers = zip(*(h5[key][:].tolist() for key in ("subject", "camera", "setup")), strict=True)
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
