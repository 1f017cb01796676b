"""The table of published weights, `resources/weights.yaml`."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mmcl.errors import UserError, known
from mmcl.naming import PROJECT
from mmcl.settings.base import Count, Section, Text

FILE = PROJECT / "resources" / "weights.yaml"
NOT_PINNED = "not pinned"
Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class PublishedFile(Section):
    """What is known of a published file.

    Attributes:
        size: bytes; None if unknown.
        sha256: 64 hex digits, or the first 8; None if it is not pinned.
        source: what stands before its name in its address, where that is not the entry's.
    """

    size: Count | None = None
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{8}|[0-9a-f]{64})$")] | None = None
    source: Address | None = None

    def __str__(self) -> str:
        size = f"{self.size:,} bytes" if self.size else "size unknown"
        if self.sha256 is None:
            return f"{size}, sha256 {NOT_PINNED}"
        return f"{size}, sha256 {self.sha256}{'' if len(self.sha256) == 64 else '…'}"


class Published(Section):
    """An entry of the table; the file says what each key holds."""

    what: Text
    licence: Text
    section: Text
    settings: dict[str, str | int]
    page: Address
    revision: Text
    source: Address
    folder: bool = False
    files: dict[str, PublishedFile] = Field(min_length=1)
    known_from: Text | None = None

    def address(self, file: str) -> str:
        """Where a file is published."""
        return (self.files[file].source or self.source) + file

    def places(self, name: str, to: Path) -> Iterator[tuple[str, Path]]:
        """Each file's name and where it lies in a folder of weights; `name` is the entry's."""
        for file in self.files:
            yield file, to / name / file if self.folder else to / file

    def weights(self, name: str, to: Path) -> Path:
        """What the configuration names as `weights`: the folder, or the last file."""
        return to / name if self.folder else to / list(self.files)[-1]

    def configured(self, name: str, to: Path, sha256: str) -> str:
        """The section of config.yaml that uses it, on one line of YAML."""
        stated = {**self.settings, "weights": self.weights(name, to), "sha256": sha256}
        return f"{self.section}: {{{', '.join(f'{key}: {value}' for key, value in stated.items())}}}"


@cache
def table() -> dict[str, Published]:
    """Name → what is known of it."""
    import yaml

    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Published.model_validate(entry) for name, entry in entries.items()}


def find(name: str) -> tuple[str, Published]:
    """An entry by its name, or by the name of its weights file.

    Raises:
        UserError: there is none.
    """
    for entry, published in table().items():
        if name in (entry, list(published.files)[-1]):
            return entry, published
    raise UserError(f"{name}: no weights of this name{known(name, table())}")
