"""What all tests share.

`MMCL_TEST_SEED` (an integer, 0 by default) shifts the seeds of the tests that train or compare arithmetic, see
seeds.py.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# the tests share the machine with each other; libraries that spin on all cores make them slower, not faster. Set
# before torch is imported, which reads it once
os.environ.setdefault("OMP_NUM_THREADS", "1")
# and before onnxruntime is imported, which looks up a host for telemetry otherwise
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest
import torch
import yaml
from made_stores import SETTINGS, changed, make_stores
from seeds import shifted

from mmcl.config import with_demo
from mmcl.models import kernels
from mmcl.settings.merging import Plain

# Triton's own functions are interpreted only if it is in the environment before anything imports Triton, as torch may
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

PROJECT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of whole workflows first: each takes minutes, and the last of them would run with one core idle."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture
def interpreted():
    """Kernels run on CPU tensors, by Triton's interpreter."""
    pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are interpreted where there is no GPU; on one: benchmarks/gpu.py --only kernels")
    with kernels.interpreted():
        yield


@pytest.fixture(scope="session", autouse=True)
def empty_folder(tmp_path_factory) -> Iterator[None]:
    """Work in an empty folder: `results/` of the checkout may hold whatever was tried there."""
    with contextlib.chdir(tmp_path_factory.mktemp("empty")):
        yield


@pytest.fixture(autouse=True)
def random_numbers() -> None:
    """The same random numbers whatever ran before, and others where MMCL_TEST_SEED says so."""
    torch.manual_seed(shifted(0))


@pytest.fixture
def project() -> Path:
    """The folder of Snakefile and mmcl/."""
    return PROJECT


@pytest.fixture
def raw(project: Path) -> Plain:
    """The project's configuration, with the demo's."""
    return with_demo(yaml.safe_load((project / "config.yaml").read_text()))


@pytest.fixture
def mmcl_data() -> Path:
    """The folder with real recordings; the test is skipped where there is none."""
    folder = os.environ.get("MMCL_DATA")
    if not folder:
        pytest.skip("real recordings: set MMCL_DATA to their folder")
    return Path(folder)


@pytest.fixture
def settings() -> dict:
    """Settings of train_stream that take a second."""
    return changed(SETTINGS)


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Path]:
    """Skeletons, rgb, montages and answers of 32 clips: 8 subjects, 4 classes, 20 joints, one person."""
    return make_stores(tmp_path)
