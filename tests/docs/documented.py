"""What README.md, CONTRIBUTING.md and the pages of docs/ tell people to type."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent.parent
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.M | re.S)
SHELL = ("sh", "bash")
PROGRAMS = (
    "mmcl|snakemake|python|make|git|pip|uv|pytest|docker|conda|micromamba|sbatch|squeue|scancel|sacct|snakedeploy|"
    "tensorboard|cp|head|tail|cat|source"
)
TYPED = re.compile(rf"(?:# .*\n)* *(?:{PROGRAMS}) (?!=)")
MENTION = re.compile(rf"(?<!`)`((?:{PROGRAMS}) [^`]+)`(?!`)")


class Command(NamedTuple):
    """A command as it stands on a page, without its comment."""

    page: str
    text: str

    def words(self) -> list[str]:
        """As the program gets them; patterns of files are not expanded."""
        return shlex.split(self.text, comments=True)

    @property
    def program(self) -> str:
        return self.words()[0]

    @property
    def plain(self) -> bool:
        """One program and its arguments, nothing of the shell but patterns."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        return not any(set(word) <= set("();<>|&") for word in lexer if word) and "\n" not in self.text


def is_shell(language: str, text: str) -> bool:
    """Whether a block is typed: it says so, or says nothing and begins with a program's name."""
    return language in SHELL or (not language and bool(TYPED.match(text)))


def commands() -> Iterator[Command]:
    """Those of the blocks for a shell, in order."""
    for page in PAGES:
        for _, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if is_shell(language, text):
                for command in split(text):
                    yield Command(page.name, command)


def split(text: str) -> Iterator[str]:
    """Commands of a block: as many lines as the shell wants to read."""
    gathered = ""
    for line in text.splitlines():
        gathered += line.strip() + "\n" if not gathered else line + "\n"
        if complete(gathered):
            command = re.sub(r" *\\\n *", " ", gathered).strip()
            if shlex.split(command, comments=True):
                yield without_comment(command)
            gathered = ""
    assert not gathered.strip(), f"not a whole command: {gathered}"


def complete(text: str) -> bool:
    """Whether a shell would run it and not wait for more lines."""
    if text.endswith("\\\n"):
        return False
    if not re.search(r"<<|['\"{(]|\b(for|while|if|do|then)\b", text):
        return True
    checked = subprocess.run(["bash", "-n", "-c", text], capture_output=True)
    return checked.returncode == 0 and not checked.stderr


def without_comment(command: str) -> str:
    """Of a single line."""
    return command if "\n" in command else re.sub(r"(^|\s)#\s.*", "", command).strip()


def overlooked() -> Iterator[tuple[str, str]]:
    """Lines of other blocks that look like commands: (page, line)."""
    for page in PAGES:
        for _, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if not language and not is_shell(language, text):
                for line in text.splitlines():
                    if TYPED.match(line.lstrip(" $")):
                        yield page.name, line


def mentions() -> Iterator[Command]:
    """Commands within text."""
    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for found in MENTION.findall(text):
            yield Command(page.name, " ".join(found.split()))
