"""`mmcl doctor`."""

import typer

from mmcl.cli.app import app
from mmcl.cli.common import Configs, table_console
from mmcl.cli.json_option import Json, check_json, give


@app.command(epilog="Examples: mmcl doctor; mmcl doctor --config mine.yaml --json")
def doctor(
    config: Configs = None,
    json: Json = None,
) -> None:
    """Check environment, GPUs, storage, data folders and weights; each line is ok, warn or fail, with its remedy.

    Ends with status 1 if a line is fail. Nothing is changed or downloaded. It works where packages are missing or
    broken, too.
    """
    from mmcl.doctor.run import as_json, diagnose

    check_json(json)
    found = diagnose(config or ())
    result = as_json(found)

    def show() -> None:
        from rich.text import Text

        out = table_console()
        colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        width = max(len(one["name"]) for one in result["checks"])
        for section, lines in found.items():
            out.print(Text(section, "bold"))
            for one in lines:
                head = Text(f"  {one.state:<4}", colours[one.state]) + Text(
                    f"  {one.name:<{width}}  ", "default"
                )
                out.print(head + Text(one.detail, "default"), soft_wrap=True)
                if one.remedy:
                    out.print(Text(f"        {'':<{width}}→ {one.remedy}", "default"), soft_wrap=True)
        out.print(", ".join(f"{count} {state}" for state, count in result["counts"].items()))

    give(json, result, show)
    raise typer.Exit(0 if result["ok"] else 1)
