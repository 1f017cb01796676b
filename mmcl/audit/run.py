"""The audit itself: one pass over all clips, then comparisons between them."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmcl.audit.copies import Copies, Fingerprint, find_copies, fingerprint
from mmcl.audit.damage import find_damage
from mmcl.audit.finding import HINTS, KINDS, Finding
from mmcl.audit.labels import find_conflicts, find_doubts
from mmcl.audit.names import check_list
from mmcl.audit.sides import find_swaps
from mmcl.audit.source import Source
from mmcl.audit.videos import find_video_faults
from mmcl.datasets.names import name_lines
from mmcl.errors import UserError, one_line
from mmcl.layouts import get_layout
from mmcl.progress import tracked

log = logging.getLogger(__name__)

TOLERANCE = 0.01
"""Metres. The two nearest of UTD-MHAD's 861 recordings, trials of one person, are 17 mm apart."""

EXCERPTS = ("copy", "excerpt", "near_identical")
"""Kinds of pairs that, across training and test, let a network recognise a training clip."""


class Report(NamedTuple):
    """What an audit found.

    Attributes:
        clips: how many were audited.
        findings: faults and hints, in the order of KINDS.
        train_test_duplicates: {train, test, kind}, sorted by test clip; a test clip appears once for each of its
            training copies.
        protocol: whose training and test clips are meant, None if none was given.
        test_clips: how many clips test in it.
    """

    clips: int
    findings: list[Finding]
    train_test_duplicates: list[dict[str, str]]
    protocol: str | None
    test_clips: int

    @property
    def clean(self) -> bool:
        """Whether nothing but hints was found."""
        return all(finding.kind in HINTS for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For a file: `clips`, `findings`, `hints`, `train_test_duplicates`, `protocol`."""
        parts: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for finding in self.findings:
            parts[finding.kind in HINTS].append({**finding._asdict(), "clips": list(finding.clips)})
        return {
            "clips": self.clips,
            "findings": parts[False],
            "hints": parts[True],
            "train_test_duplicates": self.train_test_duplicates,
            "protocol": self.protocol,
            "test_clips": self.test_clips,
        }


def audit(
    source: Source,
    sides: tuple[np.ndarray, np.ndarray] | None = None,
    protocol: str | None = None,
    tolerance: float = TOLERANCE,
    rate: float = 30.0,
    listed: Path | None = None,
) -> Report:
    """Check every clip once, and compare those that may be copies.

    Args:
        source: the clips.
        sides: (N,) training and test clips, to find copies across them.
        protocol: of the sides.
        tolerance: see `find_copies`.
        rate: frames per second of the skeletons.
        listed: a list of names to compare with.

    Raises:
        UserError: the list cannot be read.
    """
    names, action = source.clips.names, source.clips.action
    joints = get_layout(source.layout)
    findings = [Finding("left_out", (name,), reason) for name, reason in source.left_out.items()]
    findings += [Finding("unreadable", (name,), reason) for name, reason in source.unreadable.items()]
    prints: list[Fingerprint | None] = []
    lengths = {}
    for number, name in enumerate(tracked(names, "audit", "clips")):
        made = None
        try:
            clip = source.read(number)
        except UserError as error:
            findings.append(Finding("unreadable", (name,), str(error)))
        else:
            lengths[name] = len(clip)
            for kind, detail in (*find_damage(clip, joints, rate), *find_swaps(clip, joints)):
                findings.append(Finding(kind, (name,), detail))
            made = fingerprint(clip, joints)
            if made is None:
                findings.append(Finding("unreadable", (name,), "no frame in which a body has a position"))
        prints.append(made)
    log.info("comparing %d clips with each other", len(names) - prints.count(None))
    copies = find_copies(prints, joints, source.read, tolerance)
    findings += _copies_found(copies, names)
    findings += find_conflicts(copies, names, action)
    findings += find_doubts(copies.near, names, action)
    findings += find_video_faults(source, lengths)
    if listed is not None:
        findings += check_list(listed, source, protocol)
    order = list(KINDS)
    findings.sort(key=lambda finding: order.index(finding.kind))
    across = _across(copies, names, sides) if sides else []
    return Report(len(names), findings, across, protocol, int(sides[1].sum()) if sides else 0)


def write_exclusion(path: Path, report: Report, side: str, how: str) -> int:
    """Write the list of clips to leave out in the form of a benchmark's `exclude`.

    Args:
        path: of the list.
        report: with `train_test_duplicates`.
        side: `test`, `train` or `both`: whose copies are listed.
        how: the command, for the comment at the top.

    Returns:
        The number of names.
    """
    from mmcl.files import write_text

    keys = ("train", "test") if side == "both" else (side,)
    names = sorted({pair[key] for pair in report.train_test_duplicates for key in keys})
    about = (
        f"# {len(names)} clips that lie on both sides of the protocol {report.protocol}, here those of: {side}\n"
        f"# made with: {one_line(how)}\n"
    )
    write_text(path, about + name_lines(names))
    return len(names)


def counts(report: Report) -> dict[str, tuple[int, int]]:
    """Kind → findings, and different clips in them."""
    clips: defaultdict[str, set[str]] = defaultdict(set)
    for finding in report.findings:
        clips[finding.kind].update(finding.clips)
    number = Counter(finding.kind for finding in report.findings)
    return {kind: (number[kind], len(clips[kind])) for kind in KINDS if number[kind]}


def _copies_found(copies: Copies, names: Sequence[str]) -> list[Finding]:
    found = [
        Finding("identical", tuple(names[i] for i in group), "equal bit for bit") for group in copies.groups
    ]
    found += [Finding(pair.kind, (names[pair.a], names[pair.b]), pair.detail) for pair in copies.pairs]
    found += [
        Finding("common_pose", tuple(names[i] for i in crowd), f"in {len(crowd)} clips")
        for crowd in copies.common
    ]
    return found


def _across(
    copies: Copies, names: Sequence[str], sides: tuple[np.ndarray, np.ndarray]
) -> list[dict[str, str]]:
    """Pairs of a training and a test clip that are copies, identical ones through their groups."""
    train, test = sides
    group_of = {group[0]: group for group in copies.groups}
    found = set()

    def add(ones: list[int], others: list[int], kind: str) -> None:
        for a in ones:
            for b in others:
                if train[a] and test[b]:
                    found.add((names[b], names[a], kind))

    for group in copies.groups:
        add(group, group, "identical")
    for pair in copies.pairs:
        if pair.kind in EXCERPTS:
            a, b = (group_of.get(number, [number]) for number in (pair.a, pair.b))
            add(a, b, pair.kind)
            add(b, a, pair.kind)
    return [{"train": a, "test": b, "kind": kind} for b, a, kind in sorted(found)]
