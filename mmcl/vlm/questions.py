"""Question files: the exact text without a line end, named after the text's slug."""

from pathlib import Path

from mmcl.errors import UserError
from mmcl.files import write_text
from mmcl.naming import slug


def freeze_question(path: Path, text: str) -> None:
    """Write the file of a question; an existing one is only checked.

    Raises:
        UserError: the existing file was edited.
    """
    if path.exists():
        read_question(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def read_question(path: Path) -> str:
    """The question in a file.

    Raises:
        UserError: text and name do not belong together.
    """
    text = path.read_text(encoding="utf-8").removesuffix("\n")
    if slug(text) != path.stem:
        raise UserError(
            f"{path}: holds {text!r}, whose name is {slug(text)}. The file was edited; "
            "delete it and change `instruction` in the config instead"
        )
    return text
