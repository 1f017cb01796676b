"""One file over HTTP: it continues where an earlier try stopped, is checked, and only then gets its name."""

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmcl import __version__
from mmcl.errors import UserError, one_line
from mmcl.fetch.published import PublishedFile
from mmcl.fetch.verify import verified
from mmcl.files import DiskFull, disk_full_named
from mmcl.progress import progress

if TYPE_CHECKING:
    from http.client import HTTPResponse

SECONDS = 30.0
"""Without an answer, after which a server is given up."""
CHUNK = 1 << 20
MOST = 64 << 30
"""Bytes of a file whose size is unknown: an endless answer ends there."""
PAGES = (b"<", b"version https://git-lfs")
"""What the content of a web page and of a pointer in place of a large file begins with."""


def part_of(target: Path) -> Path:
    """Where a file lies until it is whole and checked."""
    return target.with_name(f"{target.name}.part")


def download(address: str, target: Path, published: PublishedFile) -> str:
    """Fetch a file. What came before an interruption is kept and used, if its sha256 can tell that it fits the rest.

    Args:
        address: http or https.
        target: where it shall lie; its folder exists, and nothing is there yet.
        published: what is known of the file.

    Returns:
        Its sha256.

    Raises:
        UserError: it cannot be had, or is not the published one; nothing lies under its name then.
    """
    part = part_of(target)
    with disk_full_named(target, "what came is kept"):
        _complete(address, part, published)
        try:
            found = verified(part, published)
        except UserError as error:
            part.unlink()
            raise UserError(f"{address}: not the published file: {error}") from None
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    return found


def _complete(address: str, part: Path, published: PublishedFile) -> None:
    """Append to `part` what it lacks."""
    there = part.stat().st_size if part.exists() and published.sha256 else 0
    if there and there == published.size:
        return
    with _opened(address, there) as response:
        # a server that knows no ranges answers with the whole file
        if not (there and _continues(response, there)):
            there = 0
        whole = there + response.length if response.length is not None else None
        _check_answer(address, response, whole, published)
        if whole is not None and shutil.disk_usage(part.parent).free < whole - there:
            raise DiskFull(part.name)
        _append(address, response, part, there, whole, published)


@contextmanager
def _opened(address: str, there: int) -> Iterator["HTTPResponse"]:
    """The server's answer to a request for what follows the first `there` bytes."""
    headers = {"User-Agent": f"mmcl/{__version__}", **({"Range": f"bytes={there}-"} if there else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            with _opened(address, 0) as response:
                yield response
            return
        # of a loop of redirections, the message has lines
        raise UserError(
            f"{address}: HTTP {error.code} {one_line(' '.join(str(error.reason).split()), 120)}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{address}: cannot be reached ({one_line(str(reason), 160)})") from None
    with response:
        yield response


def _continues(response: "HTTPResponse", there: int) -> bool:
    """Whether an answer begins where a file ends."""
    return response.status == http.HTTPStatus.PARTIAL_CONTENT and (
        response.headers.get("Content-Range") or ""
    ).startswith(f"bytes {there}-")


def _check_answer(
    address: str, response: "HTTPResponse", whole: int | None, published: PublishedFile
) -> None:
    """Raise a UserError if the answer's head tells that it is not the file."""
    if address.startswith("https:") and not response.geturl().startswith("https:"):
        raise UserError(f"{address}: leads to an address without https ({one_line(response.geturl(), 160)})")
    if response.headers.get_content_type() == "text/html":
        raise UserError(f"{address}: the answer is a web page, not the file")
    if whole is not None and published.size is not None and whole != published.size:
        raise UserError(f"{address}: not the published file: {whole:,} bytes, not {published.size:,}")


def _append(
    address: str,
    response: "HTTPResponse",
    part: Path,
    there: int,
    whole: int | None,
    published: PublishedFile,
) -> None:
    limit = published.size or whole or MOST
    count = there
    chunk = _read(address, response, count, published)
    # before the file is opened: what an earlier try left stays
    if not there and chunk.startswith(PAGES):
        raise UserError(f"{address}: the answer is a web page or a pointer, not the file")
    with (
        open(part, "ab" if there else "wb") as file,
        progress(part.stem, whole, "B", done=there) as step,
    ):
        while chunk and (count := count + len(chunk)) <= limit:
            file.write(chunk)
            step.advance(len(chunk))
            chunk = _read(address, response, count, published)
    if count > limit:
        part.unlink()
        raise UserError(f"{address}: not the published file: more than {limit:,} bytes")
    if whole is not None and count < whole:
        raise UserError(_interrupted(address, f"it ended after {count:,} of {whole:,} bytes", published))


def _read(address: str, response: "HTTPResponse", count: int, published: PublishedFile) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        reason = one_line(str(error) or type(error).__name__, 160)
        raise UserError(
            _interrupted(address, f"it broke off after {count:,} bytes ({reason})", published)
        ) from None


def _interrupted(address: str, how: str, published: PublishedFile) -> str:
    return f"{address}: {how}; run again, it {'continues there' if published.sha256 else 'begins again'}"
