"""docs/python.md and docs/stores.md: their snippets run one after another on a finished benchmark."""

import numpy as np
from snippets import blocks, run_python

import mmcl


def test_every_snippet_runs(here, project, capsys):
    page = project / "docs/python.md"
    names = run_python(page)
    said = capsys.readouterr().out
    assert "times as long as in the median training clip" in said  # centimetres are refused
    assert names["found"].probabilities.shape == (1, 4)
    assert names["recorded"].names == ["a0_s1", "a1_s2"]
    assert names["features"].values.shape == (32, names["stream"].recogniser.first.model.backbone.feature_dim)
    assert set(names["both"].columns) >= {"class_name", "text", "p_yes"}
    assert names["picture"].shape == (16, 16, 3)
    assert len(blocks(page, "python")) == page.read_text().count("```python")


def test_a_store_is_read_without_mmcl_as_its_page_says(here, project, capsys):
    names = run_python(project / "docs/stores.md")
    assert "'unit': 'm'" in capsys.readouterr().out
    clip = mmcl.open_store("results/skeletons/demo.h5").clip(names["names"][0])
    np.testing.assert_array_equal(names["first"], clip.reshape(-1, *clip.shape[2:]))


def test_a_block_has_the_line_of_its_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\n```\n\ntext\n\n```bash title\nls\n```\n\n```\nplain\n```\n")
    assert [tuple(one) for one in blocks(page)] == [
        ("python", 4, "x = 1\n"),
        ("bash", 10, "ls\n"),
        ("", 14, "plain\n"),
    ]
    assert [one.text for one in blocks(page, "bash", "")] == ["ls\n", "plain\n"]
    assert run_python(page)["x"] == 1
