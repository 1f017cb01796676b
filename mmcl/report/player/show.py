"""`mmcl show`: which clips, and into which file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmcl.errors import UserError
from mmcl.progress import tracked
from mmcl.report.player.gather import Examine, Wanted, gather
from mmcl.report.player.movie import MPEG4, codec, write_animation, write_film, write_strip
from mmcl.report.player.page import write_page
from mmcl.report.player.shown import Shown
from mmcl.report.player.source import Request, Source, open_source

if TYPE_CHECKING:
    from mmcl.evaluation.recognise import Recogniser

PAGE, FILM, ANIMATION, STRIP = SUFFIXES = (".html", ".mp4", ".gif", ".png")
IN_PAGE = 12
LARGE, SMALL = 360, 220


@dataclass(frozen=True)
class Look:
    """How clips are shown.

    Attributes:
        views: of each skeleton in films and strips; the usual ones if there are none.
        video: whether their videos are.
        count: of clips where none is named.
        frames: of a strip.
        rate: frames per second, instead of what is known.
        size: pixels of a view.
        layouts: the joints are drawn as those of these.
    """

    views: tuple[str, ...] = ()
    video: bool = True
    count: int | None = None
    frames: int = 8
    rate: float | None = None
    size: int | None = None
    layouts: tuple[str, ...] = ()


def show_clips(
    request: Request,
    patterns: Sequence[str],
    out: Path | None,
    look: Look,
    *,
    compare: str | None = None,
    model: Path | None = None,
    member: str | None = None,
    examine: Examine | None = None,
) -> Iterator[str]:
    """Write a page, a film, an animation or a strip; yields what is to be said about it.

    Args:
        request: where the clips are.
        patterns: their names, or patterns of them.
        out: the file, whose ending says what is written; a page in the working directory if None.
        look: how they are shown.
        compare: another `request.what`.
        model, member: see `mmcl.evaluation.finished.find_models`.
        examine: see `gather`.

    Raises:
        UserError: nothing to show there, or it cannot be shown so.
    """
    source = open_source(request)
    kind = out.suffix.lower() if out else PAGE
    clips = source.chosen(patterns, look.count or (IN_PAGE if kind == PAGE else 1))
    if not clips:
        raise UserError(f"{request.what}: holds no clip")
    if not patterns and len(clips) < len(source.recordings.names):
        yield f"{len(clips)} of {len(source.recordings.names)} clips; name others, or more with --count"
    if out is None:
        title = clips[0] if len(clips) == 1 else source.title
        out = Path(re.sub(r"[^\w-]+", "_", title)[:80] + PAGE)
    wanted = Wanted(
        look.layouts, _beside(request, compare), look.rate, look.video, _recogniser(model, member), examine
    )
    found = tracked(gather(source, clips, wanted), "reading", "clips", len(clips))
    if kind == PAGE:
        page = write_page(found, out, f"{source.title}: {len(clips)} clips" if len(clips) > 1 else clips[0])
        yield f"{out}: {len(page.clips)} {'clip' if len(page.clips) == 1 else 'clips'}, {_size(page.size)}"
        if page.without_video:
            yield f"without video, as the page would be too large: {', '.join(page.without_video)}"
        if left := clips[len(page.clips) :]:
            yield f"no more fit into one page: {', '.join(left)}"
        return
    yield _write(list(found), out, look)


def _write(clips: list[Shown], out: Path, look: Look) -> str:
    kind = out.suffix.lower()
    side = look.size or (LARGE if kind == FILM else SMALL)
    if kind == STRIP:
        count = write_strip(clips, out, look.views or ("front",), side, look.frames)
        return f"{out}: {count} frames of {_named(clips)}"
    views = look.views or ("front", "side", "top")
    write = write_film if kind == FILM else write_animation
    count = write(clips, out, views, side)
    said = (
        f"{out}: {count} frames of {_named(clips)}, {clips[0].rate:g} a second, {_size(out.stat().st_size)}"
    )
    if kind == FILM:
        said += f", {codec()}"
        if codec() == MPEG4:
            said += ', which browsers do not play; pip install "mmcl[film]" for H.264'
    return said


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _named(clips: list[Shown]) -> str:
    return clips[0].name if len(clips) == 1 else f"{len(clips)} clips"


def _beside(request: Request, compare: str | None) -> Source | None:
    if compare is None:
        return None
    return open_source(
        request._replace(what=compare, reader=request.reader if Path(compare).suffix != ".h5" else None)
    )


def _recogniser(model: Path | None, member: str | None) -> "tuple[Recogniser, str] | None":
    if model is None:
        return None
    from mmcl.device import pick_device
    from mmcl.evaluation.finished import find_models
    from mmcl.evaluation.recognise import Recogniser

    found = find_models(model, member)
    named = f"{model} {member}" if member else str(model)
    return Recogniser.load(found.paths, found.weights, pick_device(), normalise=found.normalise), named
