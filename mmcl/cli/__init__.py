"""The command line. Data goes to stdout, messages to stderr; bad arguments end with status 2."""

from mmcl.cli import (
    answers,
    audit,
    compare,
    convert,
    convert_weights,
    describe,
    export,
    fetch,
    init,
    inspect,
    predict,
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
    "export",
    "fetch",
    "init",
    "inspect",
    "predict",
]
