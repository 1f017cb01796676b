"""The table of published weights, and the documentation made from it."""

import re
from pathlib import Path

import pytest
import yaml

from mmcl.errors import UserError
from mmcl.fetch.document import markdown
from mmcl.fetch.published import find, table
from mmcl.settings.model import CnnSettings
from mmcl.settings.video import DetectorSettings, PoseSection
from mmcl.settings.vlm import VlmSection

SECTIONS = {
    "video.detector": DetectorSettings,
    "datasets.<name>.poses": PoseSection,
    "vlm": VlmSection,
    "model.fam.cnn": CnnSettings,
}
WEIGHTS = Path("weights")


@pytest.mark.parametrize("name", table())
def test_the_configuration_takes_what_an_entry_says(name):
    entry = table()[name]
    [(section, stated)] = yaml.safe_load(entry.configured(name, WEIGHTS, "ab" * 32)).items()
    settings = SECTIONS[section].model_validate(stated)
    assert settings.weights == str(entry.weights(name, WEIGHTS))
    assert settings.sha256 == "ab" * 32


def test_what_the_configuration_names_is_known(project):
    """Every default, and every path below weights/ in config.yaml."""
    known = {str(entry.weights(name, WEIGHTS)) for name, entry in table().items()}
    defaults = {model.model_fields["weights"].default for model in SECTIONS.values()} - {None}
    named = set(re.findall(r"\bweights/[\w./-]+", (project / "config.yaml").read_text()))
    assert {path for path in defaults if isinstance(path, str)} | named <= known


@pytest.mark.parametrize("name", table())
def test_an_entry_fits_together(name):
    entry = table()[name]
    files = entry.files.values()
    # a folder without its weights is unfinished, and found to be
    sizes = [file.size or 0 for file in files]
    assert max(sizes) == sizes[-1]
    assert bool(entry.known_from) == any(file.sha256 for file in files)
    assert all(file.size for file in files if file.sha256)
    for file, about in entry.files.items():
        address = entry.address(file)
        assert address.startswith("https://")
        assert address.endswith(f"/{file}")
        # the hub's are at a commit, not at a branch
        assert "huggingface.co" not in address or re.search(r"/resolve/[0-9a-f]{40}/", address)
        # torchvision's names hold the first digits
        if "download.pytorch.org" in address:
            assert about.sha256.startswith(re.search(r"-([0-9a-f]{8})\.pth$", file)[1])


def test_one_file_has_one_sha256():
    seen = {}
    for entry in table().values():
        for file, about in entry.files.items():
            if about.sha256:
                assert seen.setdefault(entry.address(file), about.sha256) == about.sha256


def test_an_entry_is_found_by_its_name_and_its_file(project):
    assert find("yolov5m")[0] == find("yolov5m.pt")[0] == "yolov5m"
    assert find("model_base_vqa_capfilt_large.pth")[0] == "blip-original"
    assert find("inception_v3_google-0cc3c7bd.pth")[0] == "inception_v3"
    with pytest.raises(UserError, match="did you mean 'yolov5mu'"):
        find("yolov5mu.pth")


def test_docs_hold_the_table(project):
    text = (project / "docs" / "weights.md").read_text()
    assert markdown() in text, "put what `python -m mmcl.fetch.document` prints into docs/weights.md"


def test_missing_weights_name_the_command():
    from mmcl.models import cnn
    from mmcl.video import detect, pose, torchvision_detector
    from mmcl.vlm import blip, blip_original

    with pytest.raises(UserError, match="mmcl fetch inception_v3") as told:
        cnn.weights_sha256(CnnSettings(weights="nowhere/inception.pth"))
    modules = (detect, pose, blip, blip_original)
    texts = [torchvision_detector.FasterRcnn.what_belongs, *(module.WHAT_BELONGS for module in modules)]
    for text in (str(told.value), *texts):
        named = re.findall(r"`mmcl fetch ([\w-]+)`", text)
        assert named
        assert [find(name)[0] for name in named] == named
