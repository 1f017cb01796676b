import pytest
import rectangles

from mmcl.video import detect


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> rectangles.Detector:
    """Opened by `architecture: rectangles`."""
    made = rectangles.Detector()
    monkeypatch.setitem(detect.DETECTORS, "rectangles", lambda settings, device: made)
    return made
