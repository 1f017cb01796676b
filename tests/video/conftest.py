import pytest
import rectangles

from mmcl.settings import tables


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> type[rectangles.Detector]:
    """Opened by `architecture: rectangles`."""
    monkeypatch.setitem(tables.DETECTORS, "rectangles", "rectangles:Detector")
    monkeypatch.setattr(rectangles.Detector, "calls", [])
    monkeypatch.setattr(rectangles.Detector, "patience", 10**9)
    return rectangles.Detector
