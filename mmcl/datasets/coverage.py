"""Whether the clips that a protocol leaves are enough to train and to test, asked before anything is computed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmcl.datasets.clip import ClipEntry
from mmcl.datasets.protocols import as_clips, find_rule, fit_split, split
from mmcl.errors import UserError, shown
from mmcl.settings.protocol import SelectionSettings

NAMED = 5
"""Classes that a message names."""

Use = Literal["encoded", "trained", "tested", "fitted"]
"""What clips are for: pre-training without labels, training, test, fitting of fusion weights."""


@dataclass(frozen=True)
class Coverage:
    """The usable clips of a protocol.

    Attributes:
        protocol: its name.
        action: (N,) class ids.
        subject: (N,) numbers or texts.
        train, test: (N,) boolean.
        by: what decides: `split`, `random`, `subject`, ….
    """

    protocol: str
    action: np.ndarray
    subject: np.ndarray
    train: np.ndarray
    test: np.ndarray
    by: str

    def problem(self, use: Use) -> str:
        """Why the clips are not enough for a use; empty if they are."""
        if use == "tested":
            return "" if self.test.any() else self._none("test")
        if not self.train.any():
            return self._none("training")
        if use == "encoded":
            return ""
        classes = np.unique(self.action[self.train])
        if len(classes) < 2:
            return (
                f"all {int(self.train.sum())} training clips of protocol {self.protocol} are of one class, "
                f"{shown(str(classes[0]))}, so there is nothing to tell apart"
            )
        if use == "fitted":
            try:
                rest, _ = fit_split(self.subject, self.train)
            except UserError as few:
                return f"{few}"
            if len(np.unique(self.action[rest])) < 2:
                return (
                    "without every fifth training subject all training clips are of one class, so fusion weights "
                    "cannot be fitted; set ensemble.weights: equal"
                )
        return ""

    def warning(self) -> str:
        """What is odd about the classes: those that are tested and not trained; empty if there are none."""
        classes = sorted(set(self.action[self.test]) - set(self.action[self.train]))
        if not classes:
            return ""
        clips = int(np.isin(self.action[self.test], classes).sum())
        named = ", ".join(shown(str(name)) for name in classes[:NAMED]) + ", …" * (len(classes) > NAMED)
        return (
            f"{clips} test clips of protocol {self.protocol} are of {len(classes)} classes that no training clip has "
            f"({named}); they count as wrong"
        )

    def _none(self, kind: str) -> str:
        decides = {
            "split": "the data set itself states which train and which test (reader own: column split)",
            "random": "halves are drawn at random",
            "folds": "the clips of a fold test",
        }.get(self.by, f"the number of each clip's {self.by} decides")
        texts = self.by == "subject" and self.subject.dtype == object
        but = "; subjects are texts here, of which none is odd or even" if texts else ""
        return f"protocol {self.protocol} has no {kind} clip among {len(self.action)} usable ones; {decides}{but}"


def coverage(
    entries: Sequence[ClipEntry],
    settings: SelectionSettings,
    excluded: Collection[str] = (),
    source: str = "skeleton",
) -> Coverage:
    """The coverage of an index: clips that turn out to be damaged count as usable here.

    Args:
        entries: all clips of the index.
        settings: the protocol.
        excluded: names that take no part.
        source: what a clip must have, `skeleton` or `video`.

    Raises:
        UserError: there are fewer subjects than folds.
    """
    clips = as_clips(entries)
    rule = deciding(settings)
    try:
        train, test = split(settings.protocol, clips, settings.rule)
    except UserError:
        if rule == "folds":
            raise
        train = test = np.zeros(len(entries), bool)  # no clip is assigned to a side
    usable = np.array(
        [
            bool(one.action and getattr(one, source)) and not one.left_out and one.name not in excluded
            for one in entries
        ],
        bool,
    )
    action, subject = clips.action[usable].astype(str), clips.subject[usable]
    return Coverage(settings.protocol, action, subject, train[usable], test[usable], rule)


def deciding(settings: SelectionSettings) -> str:
    """What decides which clips train and which test, see `Coverage.by`."""
    name = settings.protocol.partition("/")[0]
    rule, _ = find_rule(settings.protocol, {name: settings.rule} if settings.rule else None)
    return rule.by or ("random" if rule.random else "folds")
