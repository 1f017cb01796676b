"""The tables of docs/weights.md, made from `resources/weights.yaml`: `python -m mmcl.fetch.document` prints them."""

from collections.abc import Iterable
from pathlib import Path

from mmcl.fetch.published import NOT_PINNED, table

WEIGHTS = Path("weights")


def markdown() -> str:
    """The published weights, and their files."""
    entries = [
        (
            f"`{name}`",
            entry.what,
            f"`{entry.section}`",
            entry.licence,
            f"[{entry.revision}]({entry.page})",
            entry.known_from or NOT_PINNED,
        )
        for name, entry in table().items()
    ]
    files = [
        (
            f"`{path}`",
            f"{about.size:,}" if about.size else "unknown",
            f"`{about.sha256}`" if about.sha256 else NOT_PINNED,
        )
        for name, entry in table().items()
        for file, path in entry.places(name, WEIGHTS)
        for about in (entry.files[file],)
    ]
    head = ("name", "what", "used in", "licence", "published as", "sha256 known from")
    return f"{_table(head, entries)}\n{_table(('file', 'bytes', 'sha256'), files)}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    print(markdown(), end="")
