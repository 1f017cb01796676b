"""The network addresses that a program and all its children ask for, by their system calls (strace)."""

import re
import subprocess
from pathlib import Path

import pytest

CALLS = "connect,sendto,sendmsg,sendmmsg"


def can_trace() -> bool:
    """Whether strace is there and may follow a process."""
    try:
        return (
            subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
        )
    except FileNotFoundError:
        return False


def need_trace() -> None:
    """Skip a test that watches system calls where they cannot be watched."""
    if not can_trace():
        pytest.skip("strace: not installed, or it may not follow a process here")


def traced(file: Path) -> tuple[str, ...]:
    """What to put before a command whose calls are to be written to `file`."""
    return ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "120", "-e", f"trace={CALLS}", "-o", str(file))


def asked_for(file: Path) -> list[str]:
    """The calls with an internet address, which those that look a name up are, too."""
    lines = file.read_text(errors="replace").splitlines()
    return [line for line in lines if re.search(r"sa_family=AF_INET6?\b", line)]
