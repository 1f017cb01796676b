"""Messages about settings that are wrong: the key's path, what is wrong, what is allowed."""

import json
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mmcl.errors import UserError, meant, shown
from mmcl.settings.base import S, Section

NUMBER_AS_TEXT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "string": "string",
    "tuple": "array",
    "list": "array",
}

LONGEST = 200
"""Characters of a value that are shown as JSON."""

KeyPath = tuple[str | int, ...]
"""The path of a key, such as ("train", "steps", 0)."""


class ConfigError(UserError):
    """A mistake in the configuration; the message starts with the key's path."""


def dotted(path: Sequence[str | int]) -> str:
    """A key's path as it is written in messages: `train.steps.0`."""
    return ".".join(str(part) for part in path)


def validated(
    model: type[S],
    stated: Any,
    source: str | Path | None = None,
    where: Callable[[KeyPath], KeyPath] = lambda path: path,
) -> S:
    """Settings from plain values.

    Args:
        model: of the settings.
        stated: the values.
        source: the file or part that states them, for the message; None for the configuration itself.
        where: path in the model → path in the file that the user wrote.

    Raises:
        UserError: an unknown key, or a wrong type or value; a `ConfigError` without `source`.
    """
    try:
        return model.model_validate(stated)
    except ValidationError as error:
        found = _explained(error, model, where)
        if source is not None:
            raise UserError(f"{source}: {str(found).removeprefix('config: ')}") from None
        raise found from None


def _explained(
    error: ValidationError, model: type[Section], where: Callable[[KeyPath], KeyPath]
) -> ConfigError:
    """The first mistake that a validation found, as a message.

    Args:
        error: of `model.model_validate`.
        model: what was validated.
        where: path in the model → path in the file that the user wrote.
    """
    errors = error.errors()
    # of a union the member that text can be, where the user wrote text
    same = [one for one in errors if _stated(one["loc"]) == _stated(errors[0]["loc"])]
    named = [one for one in same if one["type"] == "literal_error" and isinstance(one["input"], str)]
    first: dict[str, Any] = dict((named or errors)[0])
    if first["type"] == "nested":  # of a reader's, backbone's or term's own model
        inner = first["ctx"]
        model, inside = inner["model"], tuple(inner["error"]["loc"])
        first = {**inner["error"], "loc": first["loc"], "input": first["input"]}
    else:
        inside = first["loc"]
    path, text = where(_stated(first["loc"])), ""
    if first["type"] == "value_error":  # of a model's own check, which may begin with a key below the model
        below, colon, text = str(first["ctx"]["error"]).partition(": ")
        if colon and re.fullmatch(r"[a-z0-9_.]+", below):
            # values that do not fit together: the key may be stated elsewhere, and be right there
            path = (*path, *below.split("."))
        else:
            text = str(first["ctx"]["error"])
    return ConfigError(_message(first, path, model, inside, _description(model, inside), text))


def _stated(loc: KeyPath) -> KeyPath:
    """A location without what pydantic adds for the members of a union."""
    return tuple(
        part
        for part in loc
        if not (isinstance(part, str) and re.search(r"[\[(-]|^(bool|int|str|float)$", part))
    )


def _message(error: Any, path: KeyPath, model: type[Section], inside: KeyPath, about: str, text: str) -> str:
    key, value = dotted(path), _shown(error["input"])
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            owner = _model(model, inside[:-1])
            allowed = (
                sorted(field.alias or name for name, field in owner.model_fields.items()) if owner else []
            )
            hint = f"; allowed here: {', '.join(allowed)}" if allowed else "; there are no such settings"
            return f"{key}: unknown key{meant(str(path[-1]), allowed)}{hint}"
        case "missing":
            if isinstance(path[-1], int):
                return f"{dotted(path[:-1])}: {value} is too short{about}"
            return f"{dotted(path[:-1]) or 'config'}: the key {path[-1]!r} is missing"
        case "one_of":
            options = ", ".join(json.dumps(option) for option in context["allowed"])
            hint = meant(str(error["input"]), context["allowed"])
            return f"{key}: {value} is not allowed{hint}; allowed: {options}{about}"
        case "literal_error":
            options = context["expected"].replace("'", '"').replace(" or ", ", ")
            return f"{key}: {value} is not allowed; allowed: {options}{about}"
        case "greater_than_equal":
            return f"{key}: {value} is less than the minimum of {context['ge']}{about}"
        case "greater_than":
            return f"{key}: {value} is less than or equal to the minimum of {context['gt']}{about}"
        case "less_than_equal":
            return f"{key}: {value} is greater than the maximum of {context['le']}{about}"
        case "less_than":
            return f"{key}: {value} is greater than or equal to the maximum of {context['lt']}{about}"
        case "finite_number":
            return f"{key}: {value} is not a finite number{about}"
        case "multiple_of":
            return f"{key}: {value} is not a multiple of {context['multiple_of']}{about}"
        case "string_pattern_mismatch":
            return f"{key}: {shown(error['input'])} does not match {context['pattern']!r}{about}"
        case "too_short" | "string_too_short":
            return f"{key}: {value} is too short{about}"
        case "too_long" | "string_too_long":
            return f"{key}: {value} is too long{about}"
        case "value_error":
            return f"{key}: {text}" if key else text
        case kind if wanted := _wanted(kind):
            return f"{key}: {value} is not of type {wanted}{about}{_exponent(error['input'], wanted)}"
        case _:
            return f"{key}: {error['msg']}{about}"


def _wanted(kind: str) -> str:
    """The type that an error of pydantic misses, in JSON's words."""
    name = kind.removesuffix("_type")
    if name == kind:
        return "integer" if kind == "int_from_float" else ""
    return TYPES.get(name, "object")


def _exponent(value: Any, wanted: str) -> str:
    """What to write where YAML reads a number as text."""
    if wanted == "number" and isinstance(value, str) and NUMBER_AS_TEXT.fullmatch(value):
        mantissa, _, exponent = value.lower().partition("e")
        signed = exponent if exponent[0] in "+-" else f"+{exponent}"
        dotted_mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        return f"; YAML reads {value} as text, write {dotted_mantissa}e{signed} or {float(value)!r}"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, Section):
        value = value.dump()
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else shown(value)


def _description(model: type[Section], path: KeyPath) -> str:
    """The description of a key, in parentheses; nothing if there is none."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    owner = _model(model, path[:-1]) if path else None
    field = _field(owner, str(path[-1])) if owner else None
    return f" ({field.description})" if field is not None and field.description else ""


def _field(model: type[Section], key: str) -> FieldInfo | None:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field
    return None


def _model(model: type[Section], path: KeyPath) -> type[Section] | None:
    """The settings model at a path below another."""
    inside_mapping = False
    for key in path:
        if isinstance(key, int):
            continue
        if inside_mapping:  # the name of an entry
            inside_mapping = False
            continue
        field = _field(model, key)
        inside_mapping = field is not None and typing.get_origin(field.annotation) is dict
        inner = _section_of(field.annotation) if field else None
        if inner is None:
            return None
        model = inner
    return model


def _section_of(annotation: Any) -> type[Section] | None:
    """The settings model in an annotation such as `X | None` or `tuple[X, ...]`."""
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, Section)
    ):
        return annotation
    for part in typing.get_args(annotation):
        if found := _section_of(part):
            return found
    return None
