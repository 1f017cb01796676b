"""Fixtures of the training tests."""

from pathlib import Path

import pytest
from made_stores import SETTINGS, changed, make_stores


@pytest.fixture
def settings() -> dict:
    """Settings of train_stream that take a second."""
    return changed(SETTINGS)


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Path]:
    """Skeletons, rgb, montages and answers of 32 clips: 8 subjects, 4 classes, 20 joints, one person."""
    return make_stores(tmp_path)
