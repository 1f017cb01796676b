"""Which clips train and which test: rules over what a clip's name states, never file lists.

A protocol is a name and a rule, in `resources/protocols.json` or in the user's `protocols`. Four kinds:

- `by` subject, camera or setup with the numbers that `train` and those that `test` (a list, `odd` or `even`);
- `by` split: as the data set itself assigns each clip;
- `random` halves: `of` clips_per_class (of every class half of its clips train) or subjects (half of the subjects
  train), `folds` times. `name/7` is the seventh fold, the bare name the first. What is published as the mean over
  such folds is the mean over `name/1` … `name/30`; the halves that the authors drew are not known, so these are
  others;
- `folds`, k-fold cross-validation: subjects (or the clips of every class) are dealt out to k parts, of which the f-th
  tests in `name/f`, so that every clip tests once.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np

from mmcl.datasets.clip import ClipEntry
from mmcl.errors import UserError, known
from mmcl.naming import PROJECT
from mmcl.settings.explain import validated
from mmcl.settings.protocol import Rule, is_among

FILE = PROJECT / "resources" / "protocols.json"
HELD_OUT_EVERY = 5
MOST_FOLDS = 999

Item = TypeVar("Item", str, int)


class Clips(NamedTuple):
    """The columns of N clips that protocols use.

    Attributes:
        names: the clips.
        action: (N,) the data set's class ids, "" where unknown.
        subject, camera, setup: (N,) numbers; subjects may be texts.
        split: (N,) "train" or "test" where the data set itself assigns them, else "".
    """

    names: Sequence[str]
    action: np.ndarray
    subject: np.ndarray
    camera: np.ndarray
    setup: np.ndarray
    split: np.ndarray


def as_clips(entries: Sequence[ClipEntry]) -> Clips:
    """Entries as protocols see them."""
    columns = {key: [getattr(entry, key) for entry in entries] for key in Clips._fields if key != "names"}
    texts = {key: np.array(columns[key], object) for key in ("action", "split")}
    numbers = {key: np.array(columns[key], int) for key in ("camera", "setup")}
    return Clips(
        [entry.name for entry in entries], subject=as_subject(columns["subject"]), **texts, **numbers
    )


def as_subject(subjects: Sequence[int | str]) -> np.ndarray:
    """(N,) int, or (N,) texts as objects where one is a text: subjects of a data set in one kind, so that they sort."""
    if all(not isinstance(one, str) for one in subjects):
        return np.array(subjects, int)
    return np.array(["" if one in (0, "") else str(one) for one in subjects], object)


def is_known(subject: np.ndarray) -> np.ndarray:
    """(N,) boolean, whether a subject is known: not 0, or no empty text."""
    return np.array([one not in (0, "") for one in np.asarray(subject).tolist()], bool)


@cache
def protocols() -> dict[str, Rule]:
    """The published protocols: name → rule, with its `source`.

    Raises:
        UserError: the file of protocols is damaged; names protocol and key.
    """
    return {name: validated(Rule, rule, FILE) for name, rule in json.loads(FILE.read_text()).items()}


def find_rule(protocol: str, own: Mapping[str, Rule] | None = None) -> tuple[Rule, int]:
    """The rule of a protocol, and the fold that its name selects.

    Args:
        protocol: a name, or `name/fold`.
        own: further protocols than the published ones.

    Raises:
        UserError: there is no such protocol or fold.
    """
    rules = {**protocols(), **(own or {})}
    name, slash, number = protocol.partition("/")
    if name not in rules:
        raise UserError(f"no protocol {name!r}{known(name, rules)}")
    rule = rules[name]
    if not slash:
        return rule, 1
    if rule.fold_count == 1 and rule.random is None:
        raise UserError(f"protocol {name} has no folds, so {protocol!r} names nothing")
    most = rule.fold_count or MOST_FOLDS
    if number not in map(str, range(1, most + 1)):
        raise UserError(f"no protocol {protocol!r}: the folds of {name} are 1 to {most}")
    return rule, int(number)


def count_folds(protocol: str, clips: Clips, rule: Rule | None = None) -> int:
    """How many folds a protocol has: 1 where it has none, the number of subjects for one each.

    Args:
        protocol: its name, without a fold.
        clips: all clips of the data set.
        rule: the protocol's rule, if it is not a published one.

    Raises:
        UserError: there is no such protocol, or there are no subjects.
    """
    rule, _ = find_rule(protocol, {protocol: rule} if rule else None)
    return rule.fold_count or len(_parts(protocol, rule, clips)[1])


def split(protocol: str, clips: Clips, rule: Rule | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Training and test clips of a protocol.

    Random halves follow from the protocol's name, the fold and the set of clips (of subjects) alone: these are
    ordered by the sha256 of `name/fold/clip` (`name/fold/subject`), and the first half trains. Of an odd number
    the training half has one more.

    Args:
        protocol: a name, or `name/fold`.
        clips: all N clips of the data set, in any order.
        rule: the protocol's rule, if it is not a published one.

    Returns:
        Two boolean arrays (N,), disjoint. A clip that the rule does not cover is in neither.

    Raises:
        UserError: there is no such protocol or fold, the data set assigns no clip to a side, or it has fewer subjects
            than there are folds.
    """
    name = protocol.partition("/")[0]
    rule, fold = find_rule(protocol, {name: rule} if rule else None)
    if rule.random is not None:
        return _halves(f"{name}/{fold}", rule.random.of, clips)
    if rule.folds is not None:
        part, parts = _parts(name, rule, clips)
        if fold > len(parts):
            raise UserError(f"no protocol {protocol!r}: the folds of {name} are 1 to {len(parts)}")
        return (part >= 0) & (part != fold - 1), part == fold - 1
    if rule.train is None or rule.test is None:  # by split
        side = np.asarray(clips.split)
        if len(side) and not (side != "").any():
            raise UserError(
                f"protocol {protocol}: the data set does not state which clips train and which test"
            )
        return side == "train", side == "test"
    numbers = np.asarray(getattr(clips, str(rule.by)))
    return _among(numbers, rule.train), _among(numbers, rule.test)


def _among(numbers: np.ndarray, wanted: tuple[int | str, ...] | str) -> np.ndarray:
    """(N,) boolean, `is_among` of each number or text."""
    there = {n for n in np.unique(numbers).tolist() if is_among(n, wanted)}
    return np.array([n in there for n in numbers.tolist()], bool)


def _halves(seed: str, of: str, clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    if of == "subjects":
        subjects = set(clips.subject[is_known(clips.subject)].tolist())
        train = _first_half(seed, subjects)
        return _among(clips.subject, tuple(train)), _among(clips.subject, tuple(subjects - train))
    by_class: dict[str, list[str]] = {}
    for name, action in zip(clips.names, clips.action, strict=True):
        by_class.setdefault(action, []).append(name)
    chosen = set().union(*(_first_half(seed, names) for names in by_class.values()))
    inside = np.array([name in chosen for name in clips.names], bool)
    known = np.asarray(clips.action) != ""
    return inside & known, ~inside & known


def _parts(name: str, rule: Rule, clips: Clips) -> tuple[np.ndarray, list[int]]:
    """The part of each clip in k-fold cross-validation, and the number of clips of every part.

    By subjects: the one with most labelled clips first, ties by the sha256 of `name/subject`, each goes to the part
    that has the fewest clips, the first of several. With k: all every subject is a part, in ascending order. By clips
    of every class: ordered by the sha256 of `name/clip`, they are dealt out one by one, each class from the part where
    the one before ended.

    Returns:
        (N,) the part 0 … k−1; −1 for a clip without a label, or without a subject where subjects are dealt out.

    Raises:
        UserError: there are fewer subjects than parts.
    """
    assert rule.folds
    labelled = np.asarray(clips.action) != ""
    subjects = np.asarray(clips.subject)
    known = is_known(subjects)
    by_subject = rule.folds.of == "subjects" or rule.folds.k == "all"
    if rule.folds.of is None and not by_subject:
        by_subject = bool((known | ~labelled).all()) and len(set(subjects[labelled].tolist())) > 1
    count = dict(zip(*np.unique(subjects[labelled & known], return_counts=True), strict=True))
    k = len(count) if rule.folds.k == "all" else rule.folds.k
    if by_subject and len(count) < max(k, 2):
        raise UserError(
            f"protocol {name}: {max(k, 2)} folds need as many subjects, and the data set names {len(count)}; set k, or "
            "of: clips_per_class"
        )
    sizes = [0] * k
    part = np.full(len(labelled), -1)
    if by_subject:
        order = sorted(count, key=lambda one: (-count[one], _hashed(name, one)))
        if rule.folds.k == "all":
            order = sorted(count)
        for one in order:
            smallest = sizes.index(min(sizes))
            sizes[smallest] += int(count[one])
            part[labelled & (subjects == one)] = smallest
        return part, sizes
    at = 0
    for action in sorted(set(np.asarray(clips.action)[labelled].tolist())):
        rows = np.flatnonzero(clips.action == action)
        for row in sorted(rows.tolist(), key=lambda row: _hashed(name, clips.names[row])):
            part[row] = at % k
            sizes[at % k] += 1
            at += 1
    return part, sizes


def _hashed(seed: str, item: object) -> bytes:
    return hashlib.sha256(f"{seed}/{item}".encode()).digest()


def _first_half(seed: str, items: Iterable[Item]) -> set[Item]:
    ordered = sorted(items, key=lambda item: _hashed(seed, item))
    return set(ordered[: (len(ordered) + 1) // 2])


def fit_split(subject: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training clips split into those to train with and those held out to choose fusion weights.

    Held out is every fifth of the sorted training subjects, from the first.

    Args:
        subject: (N,) subjects, numbers or texts.
        train: (N,) boolean, the training clips.

    Returns:
        Two boolean arrays (N,), disjoint, together `train`.

    Raises:
        UserError: fewer than two training subjects.
    """
    subject, train = np.asarray(subject), np.asarray(train, bool)
    subjects = np.unique(subject[train])
    if len(subjects) < 2:
        raise UserError(
            f"fitted fusion weights need at least two training subjects, found {len(subjects)}; "
            "set ensemble.weights: equal"
        )
    held_out = train & _among(subject, tuple(subjects[::HELD_OUT_EVERY].tolist()))
    return train & ~held_out, held_out
