"""Code on the pages that is no command: Python is run, YAML is a configuration that mmcl takes."""

import json
import re
import textwrap

import pytest
import torch
import yaml
from documented import BLOCK, PAGES, PROJECT

from mmcl.checkpoints import reference_state
from mmcl.config import Config, with_demo
from mmcl.models import build_backbone
from mmcl.settings.merging import merge

BY_TESTS = {
    "extending.md": "tests/test_extending.py",
    "vlm-models.md": "tests/vlm/test_imported.py",
}
"""Pages whose Python another test runs."""


def snippets(language):
    return [
        (page.name, text)
        for page in PAGES
        for _, tag, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if tag == language
    ]


def test_networks(tmp_path, monkeypatch):
    """What the page has at hand is put into the folder."""
    monkeypatch.chdir(tmp_path)
    net = build_backbone("ctrgcn", num_classes=120, layout="ntu25", persons=2)
    torch.save(reference_state(net), "runs-65-64000.pt")
    [code] = [text for page, text in snippets("python") if page == "networks.md"]
    here = {"x": torch.zeros(1, 3, 8, 25, 2)}
    exec(code, here)
    assert here["dropped"] == []


def test_python_is_run_somewhere():
    for page in {page for page, _ in snippets("python")} - {"networks.md"}:
        assert page in (PROJECT / BY_TESTS[page]).read_text(), page


@pytest.mark.parametrize(("page", "text"), snippets("yaml"))
def test_configurations_are_taken(page, text):
    own = yaml.safe_load(textwrap.dedent(text))
    base = with_demo(yaml.safe_load((PROJECT / "config.yaml").read_text()))
    others = [yaml.safe_load(textwrap.dedent(one)) for name, one in snippets("yaml") if name == page]
    for part in [*others, own]:
        known = {"benchmarks": part} if all(re.match("[a-z]+_", key) for key in part) else part
        if "options" in known:
            known = {"vlm": known}
        base = merge(base, known)
    Config(base)


def test_json_is_json():
    for _, text in snippets("json"):
        json.loads(text)
