"""Reading a model of transformers from a folder of another's making: strictly, and without running anything of it."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmcl.errors import UserError, memory_reported, shown, some
from mmcl.naming import find_weights
from mmcl.settings.vlm import VlmSettings
from mmcl.state_dict import check_finite

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
STRICT = {"local_files_only": True, "trust_remote_code": False}
"""Of every `from_pretrained`."""
CODE = "auto_map"
"""Key under which a folder names classes of its own Python files."""
TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))
"""Any of these is a tokenizer. Without them transformers makes one that knows no word."""
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
MOST_LAYERS, MOST = 1000, 10**7
"""Largest numbers of layers, and of anything else, in a model's configuration: it is built before weights are read."""
BUFFERS = "position_ids"
"""Entries of older files that nothing is computed from."""


def go_offline() -> None:
    """Keep Hugging Face's libraries from the network; they read this while they are imported."""
    os.environ.update(dict.fromkeys(OFFLINE, "1"))


def find_folder(settings: VlmSettings, model_type: str | None, what_belongs: str) -> Path:
    """The folder that the settings name, looked at before transformers does.

    Args:
        settings: of the model.
        model_type: what config.json must state; None for any.
        what_belongs: what belongs there and where it comes from, for messages.

    Raises:
        UserError: it is missing, incomplete, has another sha256 than the settings state, or see `check_folder`.
    """
    folder = find_weights(settings.weights, None, what_belongs)
    for names in ((CONFIG,), (WEIGHTS, INDEX), ("preprocessor_config.json", "processor_config.json")):
        if not any((folder / name).is_file() for name in names):
            raise UserError(f"{folder}: {names[0]} is missing. {what_belongs}")
    find_weights(folder, settings.sha256, what_belongs)
    check_folder(folder, model_type)
    return folder


def check_folder(folder: Path, model_type: str | None) -> None:
    """Raise a UserError if a folder wants code of its own run, has no tokenizer, or is of another type."""
    read: dict[str, Any] = {}
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        name = path.relative_to(folder).as_posix()
        try:
            read[name] = json.loads(path.read_bytes())
            entries = list(_entries(read[name]))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({shown(str(error))})") from None
        if any(key == CODE and not isinstance(value, int) for key, value in entries):
            raise UserError(
                f"{path}: states {CODE}, so that Python files of the folder would be run; refused, nothing was run. "
                "Take a model that transformers itself has"
            )
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise UserError(
            f"{folder}: has no tokenizer: {' or '.join(' and '.join(names) for names in TOKENIZERS)} must be there"
        )
    config, index = read.get(CONFIG), read.get(INDEX)
    found = config.get("model_type") if isinstance(config, dict) else None
    if model_type and found != model_type:
        raise UserError(f"{folder / CONFIG}: model_type is {shown(found)}, expected {model_type!r}")
    parts = index.get("weight_map") if isinstance(index, dict) else {}
    for key, value in _entries(config):
        most = MOST_LAYERS if "layers" in key else MOST
        if isinstance(value, int) and value > most:
            raise UserError(f"{folder / CONFIG}: {shown(key)[1:-1]} is {shown(value)}, more than {most:,}")
    there = [path.name for path in sorted(folder.glob("*.safetensors"))]
    for part in parts.values() if isinstance(parts, dict) else ():
        if part not in there:
            raise UserError(f"{folder / INDEX}: {shown(part)} is no .safetensors file beside it")


def load_strictly(model_class: Any, source: Path, **options: Any) -> Any:
    """`model_class.from_pretrained` for which every tensor of model and files must fit.

    Args:
        model_class: of transformers.
        source: the folder where the model is, as .safetensors; with `state_dict` among the options, the file of it.
        options: of `from_pretrained`.

    Raises:
        UserError: a tensor is missing, left over, of another shape or not finite; the first ones are named.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # in the middle of what Snakemake prints
    # they advise to ignore what is left over, and tell of layers that no second GPU holds
    for quiet in ("modeling_utils", "distributed.tensor_parallel"):
        logging.getLogger(f"transformers.{quiet}").setLevel(logging.ERROR)
    model, info = model_class.from_pretrained(
        None if "state_dict" in options else source,
        **STRICT,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are told with the others
        **options,
    )
    wrong = {
        "missing": info["missing_keys"],
        "of another shape": [key for key, *_ in info["mismatched_keys"]],
        "left over": info["unexpected_keys"],
    }
    misfit(source, model_class, wrong)
    check_finite(source, model.state_dict())
    return model


def misfit(source: Path, model_class: Any, wrong: Mapping[str, Iterable[str]]) -> None:
    """Raise a UserError if tensors do not fit a model; `wrong` has their names by what is wrong with them."""
    found = {what: sorted(key for key in keys if not key.endswith(BUFFERS)) for what, keys in wrong.items()}
    if any(found.values()):
        listed = "; ".join(f"{what}: {some(names)}" for what, names in found.items() if names)
        raise UserError(f"{source}: its weights do not fit {model_class.__name__}: {listed}")


def opened(folder: Path, what: str, load: Any) -> Any:
    """What `load()` gives; whatever transformers raises about a folder is one sentence.

    Raises:
        UserError: it raised one, or any other exception.
    """
    try:
        with memory_reported("take a smaller model"):
            return load()
    except UserError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors raise by the kind of damage
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{folder}: not {what} ({type(error).__name__}: {said})") from None


def check_words(tokenizer: Any, question: str) -> None:
    """Refuse a question of which the tokenizer knows no word.

    Raises:
        UserError: that is so.
    """
    words = tokenizer(question, add_special_tokens=False)["input_ids"]
    if all(word == tokenizer.unk_token_id for word in words):
        raise UserError(f"instruction: the model's vocabulary has no word of {shown(question)}")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values of all objects in a value of JSON."""
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(part)
