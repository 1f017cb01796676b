"""The command line. Data goes to stdout, messages to stderr; bad arguments end with status 2."""

from mmcl.cli import (
    answers,
    audit,
    compare,
    convert,
    convert_weights,
    describe,
    doctor,
    export,
    fetch,
    init,
    inspect,
    predict,
    report,
    show,
    usage,
)
from mmcl.cli.app import app

__all__ = [
    "answers",
    "app",
    "audit",
    "compare",
    "convert",
    "convert_weights",
    "describe",
    "doctor",
    "export",
    "fetch",
    "init",
    "inspect",
    "predict",
    "report",
    "show",
    "usage",
]
