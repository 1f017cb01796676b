import warnings

import numpy as np
from PIL import Image

from mmcl.report import plots
from mmcl.report.plots import heading, plot_confusion, short


def test_confusion_is_darker_where_more_clips_are(tmp_path):
    counts = np.array([[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    plot_confusion(counts, ["drink", "eat", "wave"], "t", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    dark_blue = (pixels[..., 2] - pixels[..., 0] > 60) & (pixels[..., 0] < 20)
    # two full classes of three on the diagonal, each a ninth of the matrix
    assert 0.02 < dark_blue.mean() < 0.3


def test_names_are_no_formulas_and_scripts_without_a_font_make_no_noise(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion(np.eye(2, dtype=int), ["$x^", r"$\frac$ 喝水"], "100 $ or $\\more", tmp_path / "c.png")


def test_many_classes_are_numbered_and_few_are_named(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, output: drawn.append(figure.axes[0]))
    for classes in (40, 120):
        names = [f"class {number}" for number in range(classes)]
        plot_confusion(np.eye(classes, dtype=int), names, "t", tmp_path / "c.png")
    few, many = drawn
    assert [label.get_text() for label in few.get_yticklabels()] == [f"class {i}" for i in range(40)]
    assert [label.get_text() for label in many.get_yticklabels()] == ["1", *map(str, range(10, 121, 10))]
    assert many.figure.get_figwidth() == plots.WIDTH
    # one wrong clip of a hundred is to be seen: a tenth of the scale of colours
    assert many.images[0].norm(0.01) == 0.1


def test_texts_are_cut():
    assert short("a  b\nc", 9) == "a b c"
    assert short("abcdef", 5) == "abcd…"
    assert heading("a" * 70 + "\nb") == "a" * 63 + "…\nb"
