"""A folder to run the workflow in without a clone: what `mmcl init` writes.

Its Snakefile includes the one of the installed package, so that another version of mmcl brings its own rules; the other
files are copies of the package's, for the user to edit, under the paths that they have in a clone.
"""

import re
from pathlib import Path

from mmcl.errors import UserError
from mmcl.files import write_text
from mmcl.naming import PROJECT
from mmcl.start import check_project

COPIED = (
    *("config.yaml", "profiles", "workflow/profiles"),
    *("resources/papers/ikem.yaml", "resources/papers/mmcl.yaml"),
)
"""What is copied from the package, files and folders."""

SNAKEFILE = '''"""The workflow of the installed mmcl: `snakemake --list` names its rules. Rules of your own go below."""

from mmcl.files import write_text
from mmcl.naming import PROJECT


include: str(PROJECT / "Snakefile")


rule demo:
    """What `snakemake` makes without a target: the demo."""
    default_target: True
    input:
        rules.all.input,
'''


def lay(folder: Path) -> list[Path]:
    """Make a folder in which the workflow runs.

    Files that are there already with the same content stay.

    Args:
        folder: made where it is missing.

    Returns:
        The files that were written.

    Raises:
        UserError: a file of another content is there, and then nothing is written; the folder cannot be made or
            written to, or its path holds what Snakemake takes for a pattern.
    """
    check_project(folder.absolute())
    texts = {folder / name: text for name, text in _texts().items()}
    there = {path for path in texts if path.exists() or path.is_symlink()}
    for path in there:
        if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != texts[path]:
            raise UserError(
                f"{path}: is there already, and nothing was written; name another folder, or move it away"
            )
    written = sorted(texts.keys() - there)
    for path in written:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, texts[path])
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}: {error.filename})") from None
    return written


def _texts() -> dict[str, str]:
    """Path in the folder → text."""
    files = (file for name in COPIED for file in (PROJECT / name, *(PROJECT / name).rglob("*")))
    copied = {file.relative_to(PROJECT).as_posix(): file for file in files if file.is_file()}
    return {"Snakefile": SNAKEFILE} | {name: _with_schema(file) for name, file in copied.items()}


def _with_schema(file: Path) -> str:
    """A file's text, in which editors find the package's schema."""
    named = re.compile(r"(?<=^# yaml-language-server: \$schema=)\S*(?=workflow/schemas/)")
    return named.sub(lambda _: f"{PROJECT.as_posix()}/", file.read_text(encoding="utf-8"))
