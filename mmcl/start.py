"""Before a workflow or a command starts: names of files and text that are not ASCII, and the path of Python."""

import io
import os
import shlex
import sys
from pathlib import Path

from mmcl.errors import UserError


def check_names() -> None:
    """Refuse to start where Python cannot take every file's name.

    Raises:
        UserError: names are not UTF-8 by the environment.
    """
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") != "utf8":
        raise UserError(
            f"this Python takes names of files as {encoding} (LC_ALL, LANG or PYTHONUTF8 say so), so that a clip or a "
            "folder with an umlaut would end a job; set PYTHONUTF8=1 in the environment"
        )


def escape_output() -> None:
    """Let standard output and error escape the characters that a terminal or a file's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check_project(project: Path) -> None:
    """Refuse to start where Snakemake takes the path of the project for a pattern.

    Args:
        project: the folder of the Snakefile.

    Raises:
        UserError: it holds a brace or a line end.
    """
    if wrong := [mark for mark in "{}\n\r" if mark in str(project)]:
        raise UserError(
            f"the project's folder {str(project)!r} has {wrong[0]!r} in its path, which Snakemake takes for part of a "
            "pattern; move the project to another folder"
        )


def check_no_result(file: Path) -> None:
    """Refuse a result in the place of a config file: `--configfile` takes a target that follows it, too.

    Raises:
        UserError: the file lies in `results`.
    """
    if file.resolve().is_relative_to(Path("results").resolve()):
        raise UserError(
            f"{file}: is a result, no config file. --configfile takes everything up to the next option: put targets "
            "before it, or behind `--`"
        )


def quoted_python() -> str:
    """This Python's path as a shell takes it: Snakemake puts `sys.executable` into the commands of jobs as it is."""
    return shlex.quote(sys.executable) if os.path.exists(sys.executable) else sys.executable
