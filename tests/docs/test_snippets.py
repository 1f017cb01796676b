"""Code on the pages that is no command: Python is run, YAML is a configuration that mmcl takes."""

import json
import re
import textwrap

import pytest
import torch
import yaml
from documented import BLOCK, PAGES, PROJECT
from made_stores import make_stores

from mmcl.checkpoints import reference_state
from mmcl.config import Config, with_demo
from mmcl.models import build_backbone
from mmcl.settings.merging import merge

BY_TESTS = {
    "extending.md": "tests/test_extending.py",
    "python.md": "tests/api/test_python_page.py",
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


def test_python_is_run(tmp_path, monkeypatch):
    """Here, with what the page takes for granted, or by another test."""
    monkeypatch.chdir(tmp_path)
    net = build_backbone("ctrgcn", num_classes=120, layout="ntu25", persons=2)
    torch.save(reference_state(net), "runs-65-64000.pt")
    skeletons = tmp_path / "results/skeletons/demo.h5"
    skeletons.parent.mkdir(parents=True)
    make_stores(tmp_path)["skeletons"].rename(skeletons)
    for page, code in snippets("python"):
        if page in BY_TESTS:
            assert page.removesuffix(".md") in (PROJECT / BY_TESTS[page]).read_text(), page
            continue
        here = {"x": torch.zeros(1, 3, 8, 25, 2)}
        exec(compile(code, page, "exec"), here)
        assert not here.get("dropped"), page


@pytest.mark.parametrize(("page", "text"), snippets("yaml"))
def test_configurations_are_taken(page, text):
    own = yaml.safe_load(textwrap.dedent(text))
    base = with_demo(yaml.safe_load((PROJECT / "config.yaml").read_text()))
    # the data set `mine` of own-data.md is every page's
    before = [text for name, text in snippets("yaml") if name in ("own-data.md", page)]
    others = [yaml.safe_load(textwrap.dedent(text)) for text in before]
    for part in [*others, own]:
        known = {"benchmarks": part} if all(re.match("[a-z]+_", key) for key in part) else part
        if "options" in known:
            known = {"vlm": known}
        base = merge(base, known)
    Config(base)


def test_json_is_json():
    for _, text in snippets("json"):
        json.loads(text)
