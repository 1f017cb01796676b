"""`mmcl convert-weights`."""

from pathlib import Path
from typing import Annotated

import typer

from mmcl.cli.app import app
from mmcl.cli.common import message, reported, require_parent

convert_weights = typer.Typer(no_args_is_help=True)
app.add_typer(
    convert_weights,
    name="convert-weights",
    help="Turn published weights into a folder that a vision-language adapter reads.",
)


@convert_weights.callback()
def main() -> None:
    """Turn published weights into a folder that a vision-language adapter reads."""


@convert_weights.command(
    epilog="Example: mmcl convert-weights minigpt4 weights/minigpt4-7b --vision eva_vit_g.pth --qformer "
    "blip2_pretrained_flant5xxl.pth --projection prerained_minigpt4_7b.pth --language vicuna-7b",
)
def minigpt4(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    vision: Annotated[Path, typer.Option(help="EVA ViT-g of BLIP-2, eva_vit_g.pth.")],
    qformer: Annotated[Path, typer.Option(help="BLIP-2's Q-Former, blip2_pretrained_flant5xxl.pth.")],
    projection: Annotated[Path, typer.Option(help="MiniGPT-4's own checkpoint, the projection.")],
    language: Annotated[
        Path, typer.Option(help="Folder of Vicuna or LLaMA 2 in transformers' form, with tokenizer.json.")
    ],
    talk: Annotated[str, typer.Option(help="How it is asked: vicuna or llama2.")] = "vicuna",
) -> None:
    """MiniGPT-4 from its published parts, for vlm.adapter image_text.

    Nothing of a file is executed. Memory: less than twice the largest file of the language model, which is read and
    written file by file. Disk: as much as the parts.
    """
    from mmcl.vlm.minigpt4 import TALKS, convert_minigpt4

    require_parent(output, "OUT")
    if talk not in TALKS:
        raise typer.BadParameter(f"{talk} is none of {', '.join(TALKS)}", param_hint="--talk")
    with reported():
        convert_minigpt4(
            output,
            vision=vision,
            qformer=qformer,
            projection=projection,
            language=language,
            talk=talk,
            report=message,
        )
