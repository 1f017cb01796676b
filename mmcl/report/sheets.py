"""The contact sheets of a report."""

from pathlib import Path

from mmcl import paths
from mmcl.datasets.prepare import SkeletonStore
from mmcl.report.contact_sheet import contact_sheet
from mmcl.report.gallery import draw_gallery, gather
from mmcl.report.plots import short
from mmcl.report.sources import Sources


def crops(sources: Sources, output: Path) -> None:
    """A sheet of some clips' crops, with their classes."""
    assert sources.skeletons
    source = SkeletonStore(sources.skeletons)
    classes = dict(zip(source.names, source.labels, strict=True))
    captions = {name: f"{short(source.class_names[label], 50)}\n{name}" for name, label in classes.items()}
    contact_sheet(sources.stores(paths.CROPS), output, captions=captions)


def gallery(sources: Sources, output: Path) -> None:
    """A sheet of pictures and answers."""
    request = sources.questions
    assert request
    draw_gallery(gather(request), output)
