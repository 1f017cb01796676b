import numpy as np
from PIL import Image

from mmcl.report import plots
from mmcl.report.plots import plot_confusion, plot_history


def test_confusion_is_darker_where_more_clips_are(tmp_path):
    counts = np.array([[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    plot_confusion(counts, ["drink", "eat", "wave"], "t", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    dark_blue = (pixels[..., 2] - pixels[..., 0] > 60) & (pixels[..., 0] < 20)
    # two full classes of three on the diagonal, each a ninth of the matrix
    assert 0.02 < dark_blue.mean() < 0.3


def test_history_draws_a_line_a_run(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("epoch,loss,accuracy\n1,2.0,10\n2,1.0,60\n")
    plot_history({n: tmp_path / f"{n}.csv" for n in ("a", "b")}, "t", tmp_path / "h.png")
    plot_history({"a": tmp_path / "a.csv"}, "t", tmp_path / "one.png")
    two, one = (
        np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")).astype(int) for n in ("h", "one")
    )
    orange = [(p[..., 0] > 200) & (p[..., 2] < 80) for p in (two, one)]  # matplotlib's second colour
    assert orange[0].sum() > 100
    assert orange[1].sum() == 0


def test_names_are_no_formulas_and_many_classes_fit(tmp_path):
    plot_confusion(np.eye(2, dtype=int), ["$x^", r"$\frac$"], "100 $ or $\\more", tmp_path / "c.png")
    plots.LARGEST, before = 4.0, plots.LARGEST
    plot_confusion(np.eye(60, dtype=int), list(map(str, range(60))), "t", tmp_path / "d.png")
    plots.LARGEST = before
    with Image.open(tmp_path / "d.png") as image:
        assert image.size == (600, 480)


def test_numbers_of_the_loss_are_written_plainly(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("epoch,loss,accuracy\n1,12.0,10\n2,8.0,60\n")
    closed = []
    monkeypatch.setattr(plots.pyplot(), "close", closed.append)
    plot_history({"a": tmp_path / "a.csv"}, "t", tmp_path / "h.png")
    loss = closed[0].axes[0]
    written = [label.get_text() for label in loss.get_yticklabels(which="both") if label.get_text()]
    assert {"8", "9", "10"} <= set(written)
    assert not any(mark in text for text in written for mark in "$\\{")
