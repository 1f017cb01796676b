"""Whether a file is the published one."""

from pathlib import Path

from mmcl.errors import UserError
from mmcl.fetch.published import PublishedFile
from mmcl.naming import sha256


def verified(path: Path, published: PublishedFile) -> str:
    """The sha256 of a file that is as published, as far as that is known.

    Raises:
        UserError: another size or sha256. It names no path, as the file may lie under a temporary name.
    """
    if not path.is_file():
        raise UserError("it is no file")
    size = path.stat().st_size
    if published.size is not None and size != published.size:
        raise UserError(f"it has {size:,} bytes, the published file {published.size:,}")
    found = sha256(path)
    if published.sha256 is not None and not found.startswith(published.sha256):
        raise UserError(f"its sha256 is {found}, that of the published file is {published.sha256}")
    return found
