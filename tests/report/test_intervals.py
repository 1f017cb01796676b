import pytest

from mmcl.report import intervals
from mmcl.report.intervals import Dot, plot_intervals


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures that would be saved."""
    found = []
    monkeypatch.setattr(intervals, "save", lambda figure, output: found.append(figure))
    return found


def test_the_first_is_at_the_top_and_kinds_have_colours(drawn, tmp_path):
    dots = [
        Dot("a $ name", 90.0, [80.0, 95.0], "member"),
        Dot("b", 92.0, [85.0, 96.0], "ensemble", (91.0, 93.0)),
    ]
    plot_intervals(dots, "x", "t", tmp_path / "i.png")
    [axes] = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a $ name", "b"]
    assert axes.yaxis_inverted()
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert ([80.0, 95.0], [0, 0]) in lines
    assert ([91.0, 93.0], [1, 1]) in lines
    assert ([92.0], [1]) in lines
    assert len({line.get_color() for line in axes.lines if list(line.get_xdata()) in ([90.0], [92.0])}) == 2
    low, high = axes.get_xlim()
    assert low < 80 < 96 < high <= 102


def test_differences_are_about_zero(drawn, tmp_path):
    plot_intervals([Dot("a", -1.0, [-3.0, 1.0])], "x", "t", tmp_path / "i.png", zero=True)
    low, high = drawn[0].axes[0].get_xlim()
    assert low == -high < -3
