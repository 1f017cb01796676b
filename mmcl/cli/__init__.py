"""The command line. Data goes to stdout, messages to stderr; bad arguments end with status 2."""

from mmcl.cli import audit, compare, convert, convert_weights, describe, export, inspect, predict
from mmcl.cli.app import app

__all__ = [
    "app",
    "audit",
    "compare",
    "convert",
    "convert_weights",
    "describe",
    "export",
    "inspect",
    "predict",
]
