"""What all settings have in common.

A settings model is frozen and closed: an unknown key is an error, and nothing changes a value after validation.
Defaults are in the models alone. `dump` gives what enters a rule's params, a store's fingerprint and
`settings.json`; `model_validate` reads it back.
"""

import json
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    ValidationError,
    model_serializer,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

T = TypeVar("T")


class Off:
    """Marks a key whose default switches something off: `dump` leaves it out then.

    So a key that is new makes no older result anew, as long as nobody uses it.
    """


OFF = Off()

Items = Annotated[tuple[T, ...], Strict(False)]
"""A list in the configuration."""
Pair = Annotated[tuple[T, T], Strict(False)]
"""A list of two."""
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeastZero = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Persons = Annotated[int, Field(ge=1, le=1000)]
"""Of a clip, as a model file states them."""
Seed = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PathName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]*$")]
"""A name that is part of a path."""
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
"""The name of a data set, benchmark or protocol."""
Question = Annotated[str, Field(min_length=1, max_length=500, pattern="^[^\\r\\n]+$")]
Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the configuration, or the settings of a stage."""

    model_config = ConfigDict(
        # NaN compares false with every bound, so it would pass them all
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            key = field.alias or name
            if key in dumped and self._is_off(name):
                del dumped[key]
        return dumped

    def _is_off(self, name: str) -> bool:
        field = type(self).model_fields[name]
        marked = any(isinstance(mark, Off) for mark in field.metadata)
        return marked and bool(getattr(self, name) == field.get_default(call_default_factory=True))

    def dump(self) -> dict[str, Any]:
        """The settings as plain values of JSON, keys sorted; what is off is left out."""
        # sorted, as Snakemake compares params by their text
        dumped: dict[str, Any] = json.loads(
            json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        )
        return dumped


class Options(Section):
    """What one reader, backbone, adapter or term alone takes. `dump` holds what differs from the defaults."""

    def _is_off(self, name: str) -> bool:
        default = type(self).model_fields[name].get_default(call_default_factory=True)
        return bool(getattr(self, name) == default)


S = TypeVar("S", bound=Section)
OptionsT = TypeVar("OptionsT", bound=Options)


def replaced(section: S, **values: Any) -> S:
    """The same settings with some values replaced, and validated again."""
    return narrowed(type(section), section, **values)


def narrowed(model: type[S], section: Section, **values: Any) -> S:
    """The settings of another model that a section holds, with further values.

    Args:
        model: what is wanted.
        section: has keys of that model, and may have others.
        values: by field name; they come first.
    """
    stated = {
        field.alias or name: values[name] if name in values else getattr(section, name)
        for name, field in model.model_fields.items()
        if name in values or name in type(section).model_fields
    }
    return model.model_validate(stated)


def by_table(value: Any, table: Mapping[str, str], attribute: str) -> Any:
    """A mapping name → settings, each validated by the model of the class that a table names.

    The class is imported only where its settings are stated, so that plain configurations are read without torch.

    Args:
        value: as stated.
        table: name → `module:class`.
        attribute: of the class, its settings model.

    Raises:
        ValidationError: an unknown name, or settings that the model refuses.
    """
    if not isinstance(value, dict):
        return value
    return {name: of_table(name, stated, table, attribute, (name,)) for name, stated in value.items()}


def of_table(
    name: str, stated: Any, table: Mapping[str, str], attribute: str, loc: tuple[str, ...] = ()
) -> Section:
    """One of `by_table`; `loc` is its path, for the message."""
    if name not in table:
        raise at(loc[:-1], "extra_forbidden", stated, name)
    # a class without such an attribute has no options of its own
    model: type[Section] = getattr(resolve_name(table[name]), attribute, Options)
    if isinstance(stated, model):
        return stated
    try:
        return model.model_validate(stated)
    except ValidationError as error:
        raise ValidationError.from_exception_data(
            error.title,
            [
                InitErrorDetails(
                    type=PydanticCustomError(
                        "nested", "{said}", {"error": one, "model": model, "said": one["msg"]}
                    ),
                    loc=(*loc, *one["loc"]),
                    input=one["input"],
                )
                for one in error.errors()
            ],
        ) from None


def with_options(stated: Any, key: str, default: str, table: Mapping[str, str]) -> Any:
    """A section as stated, with `options` validated by the `Options` of the class that one of its keys names.

    Args:
        stated: the section.
        key: its key whose value is a name in the table.
        default: of that key.
        table: name → `module:class`; a class without the attribute `Options` has no options.

    Raises:
        ValidationError: options that the class does not take.
    """
    if not isinstance(stated, dict) or not isinstance(stated.get("options"), dict) or not stated["options"]:
        return stated
    name = stated.get(key, default)
    if name not in table:
        return {**stated, "options": Options()}  # the error about the name is enough
    return {**stated, "options": of_table(name, stated["options"], table, "Options", ("options",))}


def own_options(options: Options, model: type[OptionsT]) -> OptionsT:
    """Options as their owner reads them: the defaults if none are stated."""
    return options if isinstance(options, model) else model()


def at(loc: tuple[str, ...], kind: str, value: Any, key: str) -> ValidationError:
    """A validation error of a known type at a key."""
    return ValidationError.from_exception_data(
        "settings", [InitErrorDetails(type=kind, loc=(*loc, key), input=value)]
    )
