"""The table of probed encoders."""

import io

from rich.console import Console

from mmcl.report.probes import probes


def value(mean, sd=None):
    return {"mean": mean, "sd": sd, "seeds": []}


def encoder(linear, nearest, sd=None):
    return {"top1": value(linear, sd), "knn": {"1": value(nearest), "5": value(0.0)}}


def part(encoders, linear, nearest):
    return {
        "clips": 97,
        "encoders": encoders,
        "together": {"trained": {"top1": value(linear)}, "knn": {"1": value(nearest)}},
    }


def test_a_row_an_encoder_and_a_gap_where_there_is_none():
    result = {
        "benchmark": "demo_ikem",
        "probes": {
            "random": part({"joint": encoder(11.0, 12.0), "bone": encoder(13.0, 14.0)}, 15.0, 16.0),
            "student": part({"joint": encoder(21.0, 22.0, sd=1.5)}, 25.0, 26.0),
        },
    }
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(probes(result))
    lines = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["joint", "11.00", "12.00", "21.00", "±", "1.50", "22.00"] in lines
    assert ["bone", "13.00", "14.00"] in lines
    assert ["together", "15.00", "16.00", "25.00", "26.00"] in lines
