"""`mmcl show`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import Configs, message, reader_options, reported, require_parent

if TYPE_CHECKING:
    import numpy as np

    from mmcl.layouts import Layout


class View(StrEnum):
    """A parallel projection, see `mmcl.report.player.views`."""

    front = "front"
    side = "side"
    top = "top"


@app.command(
    epilog="Examples: mmcl show results/skeletons/demo.h5; "
    "mmcl show demo 'S003*A050' --model demo_xsub --out clip.mp4; "
    "mmcl show recordings/a1_s1_t1_skeleton.mat --reader utd_mhad --layout utd20 --layout ucla20 --out joints.png",
)
def show(
    what: Annotated[
        str,
        typer.Argument(
            help="A store of skeletons or poses (….h5), a data set of the configuration, or with --reader a folder of "
            "recordings or one of them."
        ),
    ],
    clips: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CLIP", help="Names or patterns such as 'a1_*'; without, some evenly over all."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="….html, ….mp4, ….gif or ….png; by default a page named after the clip."
        ),
    ] = None,
    reader: Annotated[
        str | None, typer.Option(help="Read recordings as the sensor wrote them: ntu, utd_mhad, …")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the reader, such as modality=depth; repeatable."),
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of videos, instead of the config's.")] = None,
    config: Configs = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Recognise the clips, too: a finished benchmark, the folder of a stream, or a model.pt."
        ),
    ] = None,
    member: Annotated[
        str | None, typer.Option(help="This member of a benchmark alone, such as ctrgcn-natural-joint.")
    ] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option(help="Draw the same joints as those of this layout; repeatable, then side by side."),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="Another WHAT, whose clips of the same names stand beside.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="People as they were recorded, before cleaning.")
    ] = False,
    view: Annotated[
        list[View] | None,
        typer.Option(help="Of films and strips; repeatable. By default all, of a strip front."),
    ] = None,
    video: Annotated[
        bool, typer.Option("--video/--no-video", help="Whether the clip's video is shown.")
    ] = True,
    count: Annotated[
        int | None, typer.Option(min=1, help="Clips where none is named; by default 12 in a page, else 1.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, max=60, help="Frames of a strip (….png).")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.1, max=1000, help="Frames per second, instead of what is known.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=120, max=1080, help="Pixels of a view; by default 360, of ….gif and ….png 220."),
    ] = None,
) -> None:
    """Show skeletons: a page with a player (….html), a film (….mp4), an animation (….gif) or a strip (….png).

    With its video, montage, answers and what a model recognises, as far as they are there; and what looks suspicious.
    """
    from mmcl.report.player.show import SUFFIXES, Look, show_clips
    from mmcl.report.player.source import Request

    if option and reader is None:
        raise typer.BadParameter("needs --reader", param_hint="--option")
    if member and model is None:
        raise typer.BadParameter("needs --model", param_hint="--member")
    if out and out.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{out} ends in none of {' '.join(SUFFIXES)}", param_hint="--out")
    require_parent(out, "--out")
    options = reader_options(option)
    with reported():
        asked = Request(what, reader, options, videos, tuple(config or ()), raw)
        look = Look(
            tuple(str(one) for one in view or ()), video, count, frames, rate, size, tuple(layout or ())
        )
        for line in show_clips(
            asked, clips or [], out, look, compare=compare, model=model, member=member, examine=_examine
        ):
            message(line)


def _examine(clip: "np.ndarray", layout: "Layout", rate: float) -> list[tuple[str, str]]:
    """What `mmcl audit` finds wrong with a clip by itself."""
    from mmcl.audit.damage import find_damage
    from mmcl.audit.sides import find_swaps

    return [*find_damage(clip, layout, rate), *find_swaps(clip, layout)]
