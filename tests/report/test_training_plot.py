import pytest

from mmcl.report import training_plot
from mmcl.report.training_plot import plot_training


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures that would be saved."""
    found = []
    monkeypatch.setattr(
        training_plot, "save", lambda figure, output: (figure.canvas.draw(), found.append(figure))
    )
    return found


def history(epochs: int, **more) -> dict:
    values = [float(epochs - number) for number in range(epochs)]
    return {"epoch": list(range(1, epochs + 1)), "loss": values, **more}


def panels(figure) -> dict:
    return {axes.get_title(): axes for axes in figure.axes}


@pytest.mark.parametrize("epochs", [1, 2, 5, 40])
def test_epochs_are_integers_and_axes_begin_at_zero(drawn, tmp_path, epochs):
    found = {"columns": ["loss"], "histories": {"a": [history(epochs)]}}
    plot_training(found, "t", tmp_path / "t.png")
    [axes] = drawn[0].axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) >= 1 for tick in ticks)
    assert axes.get_ylim()[0] == 0
    assert not any("10^" in label.get_text() for label in axes.get_yticklabels())


def test_a_panel_for_the_test_clips_where_they_were_evaluated(drawn, tmp_path):
    first = history(4, accuracy=[10.0, 20, 30, 40], test_top1=[None, 15.0, None, 35.0])
    found = {
        "columns": ["loss", "accuracy", "test_top1"],
        "histories": {"joint": [first, history(4, accuracy=[1.0, 2, 3, 4])], "bone": [history(4)]},
    }
    plot_training(found, "t", tmp_path / "t.png")
    test = panels(drawn[0])["accuracy on test clips, %"]
    assert [list(line.get_xdata()) for line in test.lines] == [[2, 4]]
    assert [list(line.get_ydata()) for line in test.lines] == [[15.0, 35.0]]
    training = panels(drawn[0])["accuracy on training clips, %"]
    thin, full = training.lines  # the other seed lies below the first
    assert thin.get_linewidth() < full.get_linewidth()
    assert thin.get_color() == full.get_color()
    assert training.get_ylim() == (0, 102)
    assert len({line.get_color() for line in panels(drawn[0])["total loss in training"].lines}) == 2


def test_many_runs_differ_in_colour_or_dashes(drawn, tmp_path):
    found = {"columns": ["loss"], "histories": {f"run {i}": [history(3)] for i in range(20)}}
    plot_training(found, "t", tmp_path / "t.png")
    looks = {(line.get_color(), line.get_linestyle()) for line in drawn[0].axes[0].lines}
    assert len(looks) == 20
