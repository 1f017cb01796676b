"""Content stamps of recordings: which results a changed, added or removed recording invalidates.

A table beside the index, `results/index/<dataset>.seen`, holds size, modification time and digest of every recording.
The job index_clips writes it (`record`) with the token of its own params. At planning time `planned_stamps` lists the
folders, digests again only the files whose size or time differs from the table, and gives each job a token for its
params:

- If the set of recordings differs from the recorded one, or the file that lists the clips has other content, every
  job of the data set gets one new token, a hash of all content. The job index_clips runs then, records the new set
  with that token, and later plans give the same token.
- Otherwise a job whose own recordings have other content than recorded gets a hash of the recorded token and of their
  content; it alone runs again.
- Otherwise a job gets the recorded token.

So a touched file or a folder that was moved or copied changes no token. A folder that does not exist, or is not given,
counts as unchanged: results outlive their recordings. Without a table the token is empty, as it is for the first run of
index_clips. Data sets that the project draws itself need no stamps: they follow from the settings of their drawing.

Files count by their suffix (`Reader.skeleton_suffixes`, `Reader.video_suffixes`), so that other files in the folders
change no token either. Of a file of more than WHOLE bytes only the size and three parts are digested: a change within
the rest that keeps size and parts is not detected.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcl.datasets import reader_class
from mmcl.datasets.clip import ListedOptions
from mmcl.datasets.files import walk_entries
from mmcl.files import Busy, locked, written
from mmcl.progress import tracked
from mmcl.settings.dataset import ReaderSettings

log = logging.getLogger(__name__)

WHOLE = 4 << 20
"""Bytes. Larger files, videos above all, are digested in three parts."""
PART = 64 << 10
THREADS = 16
"""That read files: on a network file system each waits for the server most of the time."""
ABSENT = 0
"""In place of a digest: there is no such file."""
SKELETONS, VIDEOS, LISTING = 0, 1, 2
FORMAT = 1

Key = tuple[int, str]
"""SKELETONS or VIDEOS, and the path relative to the folder; "" where `skeletons` is one file. LISTING and "" for a
table of clips outside the folder."""


class _Folder(NamedTuple):
    """Where recordings of one kind lie, and the suffixes of their names; none allow every name."""

    kind: int
    path: Path
    suffixes: tuple[str, ...]

    def list(self) -> dict[Key, tuple[int, int]]:
        """Recordings → size in bytes and modification time in nanoseconds."""
        if self.path.is_file():
            status = self.path.stat()
            return {(self.kind, ""): (status.st_size, status.st_mtime_ns)}
        found = {}
        for path, entry in walk_entries(self.path):
            if not self.suffixes or path.lower().endswith(self.suffixes):
                status = entry.stat()
                found[self.kind, path] = status.st_size, status.st_mtime_ns
        return found


class _Table:
    """What is known of each recording, one row each.

    Attributes:
        token: of the job that recorded the baseline.
        rows: recording → its row.
        size, time: (N,) int64 as last seen, -1 for a file that was removed.
        current, baseline: (N,) uint64 digests as last seen and as recorded; ABSENT where there is no file.
    """

    def __init__(self, token: str, keys: Iterable[Key], numbers: np.ndarray, digests: np.ndarray):
        self.token = token
        self.rows = {key: row for row, key in enumerate(keys)}
        self.size, self.time = numbers
        self.current, self.baseline = digests

    @classmethod
    def load(cls, path: Path) -> "_Table | None":
        """The table in a file; None if there is none, or it is damaged or of another format."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                if int(archive["format"]) != FORMAT:
                    return None
                kinds = archive["kinds"].tolist()
                names = bytes(archive["names"]).decode("utf-8", "surrogateescape").split("\0")
                keys = zip(kinds, names, strict=True) if kinds else ()
                return cls(str(archive["token"]), keys, archive["numbers"], archive["digests"])
        except FileNotFoundError:
            return None
        except Exception as error:  # the damage may cause any error of zipfile, zlib or NumPy
            log.warning("%s: cannot be read (%s), so changes of recordings are not known", path, error)
            return None

    def save(self, path: Path) -> None:
        names = "\0".join(name for _, name in self.rows).encode("utf-8", "surrogateescape")
        with written(path, shared=True) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                format=FORMAT,
                token=self.token,
                kinds=np.array([kind for kind, _ in self.rows], np.uint8),
                names=np.frombuffer(names, np.uint8),
                numbers=np.stack([self.size, self.time]),
                digests=np.stack([self.current, self.baseline]),
            )

    def update(self, folders: Iterable[_Folder]) -> bool:
        """Update to the present content of the folders; returns whether anything differs."""
        kinds = {folder.kind for folder in folders}
        found = {key: status for folder in folders for key, status in folder.list().items()}
        if new := [key for key in found if key not in self.rows]:
            self.rows |= {key: row for row, key in enumerate(new, len(self.rows))}
            self.size, self.time = (
                np.append(column, np.full(len(new), -1)) for column in (self.size, self.time)
            )
            self.current, self.baseline = (
                np.append(column, np.full(len(new), ABSENT, np.uint64))
                for column in (self.current, self.baseline)
            )
        removed = (-1, -1)
        status = [
            found.get(key, removed) if key[0] in kinds else (size, time)
            for key, size, time in zip(self.rows, self.size.tolist(), self.time.tolist(), strict=True)
        ]
        size, time = np.array(status, np.int64).reshape(-1, 2).T
        changed = np.flatnonzero((size != self.size) | (time != self.time)).tolist()
        if not changed:
            return False
        self.size, self.time = size, time
        keys = list(self.rows)
        paths = {folder.kind: folder.path for folder in folders}
        there = [row for row in changed if size[row] >= 0]
        files = [paths[kind] / name if name else paths[kind] for kind, name in (keys[row] for row in there)]
        self.current[changed] = ABSENT
        self.current[there] = _digests(files)
        return True

    def hash(self, rows: Iterable[int], *more: str) -> str:
        """Of the current content of some recordings, in the order of their names."""
        keys = list(self.rows)
        digest = hashlib.blake2b(repr(more).encode(), digest_size=8)
        for key, row in sorted((keys[row], row) for row in rows):
            digest.update(repr((key, int(self.current[row]))).encode())
        return digest.hexdigest()


class Stamps:
    """Tokens of a data set's jobs. The folders are listed when the first token is computed."""

    def __init__(self, path: Path, folders: list[_Folder], listing: Callable[[Key], bool]):
        """See `planned_stamps`; `listing` selects the files whose content decides which clips there are."""
        self._path, self._folders, self._listing = path, folders, listing
        self._tokens: dict[tuple[bool | frozenset[str], ...], str] = {}

    def listed(self) -> str:
        """Token of index_clips: of the set of recordings and, where there is one, the file that lists the clips."""
        return self._whole_token or (self._table.token if self._table else "")

    @property
    def changed(self) -> bool:
        """Whether the set of recordings is another than the one that the index was made from."""
        return bool(self._whole_token)

    def token(self, skeletons: Collection[str] | bool = False, videos: Collection[str] | bool = False) -> str:
        """Token of a job.

        Args:
            skeletons, videos: which recordings it reads, as paths relative to the folders; True for all.
        """
        if self._table is None or self._whole_token:
            return self.listed()
        asked = tuple(of if isinstance(of, bool) else frozenset(of) for of in (skeletons, videos))
        # every run and shard asks, and many for the same recordings
        if asked not in self._tokens:
            self._tokens[asked] = self._token(self._table, asked)
        return self._tokens[asked]

    def _token(self, table: _Table, asked: tuple[bool | frozenset[str], ...]) -> str:
        rows: list[int] = []
        for kind, wanted in zip((SKELETONS, VIDEOS), asked, strict=True):
            if wanted is True:
                rows += [row for (of, _), row in table.rows.items() if of == kind]
            elif wanted:
                rows += [table.rows[kind, path] for path in wanted if (kind, path) in table.rows]
        if (table.current[rows] == table.baseline[rows]).all():
            return table.token
        return table.hash(rows, table.token)

    @cached_property
    def _table(self) -> _Table | None:
        """The table, updated to the present content of the folders, and saved if that changed it."""
        table = _Table.load(self._path)
        if table is None:
            return None
        recorded = table.token, table.baseline.tobytes()
        if table.update([folder for folder in self._folders if folder.path.exists()]):
            try:
                with _alone(self._path, wait=False):
                    now = _Table.load(self._path)
                    # another process may have recorded a new baseline
                    if now and (now.token, now.baseline.tobytes()) == recorded:
                        table.save(self._path)
            except (OSError, Busy) as error:
                log.debug("%s: not updated (%s)", self._path, error)
        return table

    @cached_property
    def _whole_token(self) -> str:
        """The token of all jobs if the set of recordings or the listing changed, else empty."""
        table = self._table
        if table is None:
            return ""
        changed = (table.current == ABSENT) != (table.baseline == ABSENT)
        listing = [row for key, row in table.rows.items() if self._listing(key)]
        changed[listing] = table.current[listing] != table.baseline[listing]
        return table.hash(np.flatnonzero(table.current != ABSENT).tolist()) if changed.any() else ""


def planned_stamps(
    index: str | Path, settings: ReaderSettings, skeletons: str | Path | None, videos: str | Path | None
) -> Stamps:
    """The stamps of a data set, for planning.

    Args:
        index: results/index/<dataset>.tsv, which need not exist.
        settings: the reader and its options.
        skeletons, videos: folders, or the file, see `mmcl.datasets.open_reader`.
    """
    table = (SKELETONS if skeletons else VIDEOS), _listing_table(settings)
    inside = getattr(reader_class(settings.reader), "lists_content", False)
    return Stamps(
        _table_path(index),
        _folders(settings, skeletons, videos),
        lambda key: key in (table, (LISTING, "")) or (inside and key[0] == SKELETONS),
    )


def _listing_table(settings: ReaderSettings) -> str:
    """The table of clips that a reader takes, relative to the folder; empty without."""
    return os.path.normpath(settings.options.clips) if isinstance(settings.options, ListedOptions) else ""


def record(
    index: str | Path,
    settings: ReaderSettings,
    skeletons: str | Path | None,
    videos: str | Path | None,
    token: str,
) -> None:
    """Record the recordings of a data set as the ones that its index was made from.

    Digests of files whose size and time did not change are kept.

    Args:
        index, settings, skeletons, videos: see `planned_stamps`.
        token: of the job index_clips, see `Stamps.listed`.
    """
    path = _table_path(index)
    old = _Table.load(path)
    table = old or _Table("", (), np.empty((2, 0), np.int64), np.empty((2, 0), np.uint64))
    folders = _folders(settings, skeletons, videos)
    table.update(folders)
    kinds = {folder.kind for folder in folders}
    kept = [row for (kind, _), row in table.rows.items() if kind in kinds and table.current[row] != ABSENT]
    keys = list(table.rows)
    numbers = np.stack([table.size, table.time])[:, kept]
    current = table.current[kept]
    with _alone(path, wait=True):
        _Table(token, (keys[row] for row in kept), numbers, np.stack([current, current])).save(path)


def content(path: Path, seen: Path) -> str:
    """Digest of the content of a file, or of all files below a folder.

    Args:
        path: of them; where nothing is there, the content as it was last seen counts.
        seen: a table of what was seen, so that only files whose size or time differs are read again.
    """
    table = _Table.load(seen) or _Table("", (), np.empty((2, 0), np.int64), np.empty((2, 0), np.uint64))
    if path.exists() and table.update([_Folder(SKELETONS, path, ())]):
        try:
            seen.parent.mkdir(parents=True, exist_ok=True)
            with _alone(seen, wait=False):
                table.save(seen)
        except (OSError, Busy) as error:
            log.debug("%s: not updated (%s)", seen, error)
    return table.hash(np.flatnonzero(table.current != ABSENT).tolist())


def _table_path(index: str | Path) -> Path:
    return Path(index).with_suffix(".seen")


def _folders(
    settings: ReaderSettings, skeletons: str | Path | None, videos: str | Path | None
) -> list[_Folder]:
    reader = reader_class(settings.reader)
    given = (
        (SKELETONS, skeletons, getattr(reader, "skeleton_suffixes", ())),
        (VIDEOS, videos, getattr(reader, "video_suffixes", ())),
    )
    table = _listing_table(settings).lower()
    folders = [
        _Folder(kind, Path(folder), (*suffixes, table) if table and suffixes else suffixes)
        for kind, folder, suffixes in given
        if folder
    ]
    if isinstance(settings.options, ListedOptions) and folders:
        outside = settings.options.table(folders[0].path)
        if not outside.is_relative_to(folders[0].path):
            folders.append(_Folder(LISTING, outside, ()))
    return folders


@contextmanager
def _alone(path: Path, wait: bool) -> Iterator[None]:
    """Hold a table for this process alone."""
    lock = path.with_suffix(".seen.lock")
    with locked(lock, f"{path} is being written by another process", wait=wait):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _digests(files: list[Path]) -> np.ndarray:
    """(N,) uint64 digests of files; ABSENT for those that cannot be read."""
    if len(files) > 10_000:
        log.info("reading %d recordings for their content stamps", len(files))
    with ThreadPoolExecutor(THREADS) as pool:
        digests = tracked(pool.map(digest_file, files), "recordings", "files", len(files))
        return np.fromiter(digests, np.uint64, len(files))


def digest_file(path: Path) -> int:
    """64 bits of a file's content: of all of it up to WHOLE bytes, else of its size and three parts."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= WHOLE:
                content = file.read(WHOLE)
            else:
                parts = (os.pread(file.fileno(), PART, at) for at in (0, (size - PART) // 2, size - PART))
                content = b"".join([str(size).encode(), *parts])
    except OSError:
        return ABSENT
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") or 1
