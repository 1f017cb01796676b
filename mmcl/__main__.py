"""`python -m mmcl` is the same as `mmcl`."""

from mmcl.cli import app

app()
