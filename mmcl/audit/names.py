"""Lists of names against the names of a data set."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mmcl.audit.finding import Finding
from mmcl.audit.source import Source
from mmcl.datasets.names import read_names
from mmcl.errors import UserError


def check_list(path: Path, source: Source, protocol: str | None) -> list[Finding]:
    """How a list of names fits the clips; for an npz, whose rows have no names, how it fits its rows.

    Raises:
        UserError: it cannot be read or holds no name, or belongs to an npz and no protocol is given, which orders it.
    """
    if source.skeletons is None or source.skeletons.suffix.lower() != ".npz":
        listed = read_names(path)
        if not listed:
            raise UserError(f"{path}: holds no name")
        return compare_names(listed, [*source.clips.names, *source.left_out, *source.unreadable])
    from mmcl.exchange.order import check_order

    if protocol is None:
        raise UserError(f"{path}: the rows of an npz are in the order of a protocol: give --protocol")
    return [Finding("name_order", (), problem) for problem in check_order(source.skeletons, path, protocol)]


def compare_names(listed: Sequence[str], clips: Sequence[str]) -> list[Finding]:
    """How a list and a data set differ.

    Args:
        listed: names in the list's order.
        clips: names of the data set.
    """
    have, want = set(clips), set(listed)
    found = [Finding("name_missing", (name,), "not on the list") for name in sorted(have - want)]
    found += [
        Finding("name_unknown", (), f"{name} is no clip of the data set") for name in sorted(want - have)
    ]
    counts = Counter(listed)
    found += [
        Finding("name_repeated", (name,), f"{count} times on the list")
        for name, count in sorted(counts.items())
        if count > 1
    ]
    for line, (before, after) in enumerate(pairwise(listed), 2):
        if after < before:
            detail = (
                f"name {line}, {after}, comes after {before}: arrays made in this order are not in name order"
            )
            found.append(Finding("name_order", (after,), detail))
            break
    return found
