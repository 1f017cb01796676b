"""Batches as structures of tensors: dicts, lists, tuples, named tuples and dataclasses, one within another."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields, is_dataclass, replace
from operator import itemgetter
from typing import Any

from torch import Tensor

PLAIN = (bool, int, float, str, type(None))
"""What a structure may hold beside tensors, if it is to have a `form`."""


def mapped(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure, its tensors changed."""
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, dict):
        return {key: mapped(value, change) for key, value in values.items()}
    if isinstance(values, tuple) and hasattr(values, "_make"):
        return values._make(mapped(value, change) for value in values)
    if isinstance(values, list | tuple):
        return type(values)(mapped(value, change) for value in values)
    if is_dataclass(values) and not isinstance(values, type):
        return replace(values, **{f.name: mapped(getattr(values, f.name), change) for f in fields(values)})
    return values


def tensors(values: Any) -> list[Tensor]:
    """The tensors of a structure, in an order that its form determines."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(values, note)
    return found


def form(values: Any) -> Hashable:
    """What two structures have in common if they differ in the numbers of their tensors alone.

    Raises:
        TypeError: it holds something that is neither a tensor nor a plain value.
    """
    return tuple(_form(values))


def _form(values: Any) -> Iterator[Hashable]:
    yield f"{type(values).__module__}.{type(values).__qualname__}"
    if isinstance(values, Tensor):
        yield from (values.shape, values.dtype, values.device)
    elif isinstance(values, dict):
        for key, value in values.items():
            yield key
            yield from _form(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _form(value)
        yield None  # its end
    elif is_dataclass(values) and not isinstance(values, type):
        for f in fields(values):
            yield from _form(getattr(values, f.name))
    elif isinstance(values, PLAIN):
        yield values
    else:
        raise TypeError(f"a batch holds a {type(values).__name__}")


def split(values: Any, parts: int) -> list[tuple[Any, float]]:
    """A batch in so many parts of about equally many clips, each with its share of the clips.

    Args:
        values: each tensor has the clips along its first axis.
        parts: no more than there are clips.
    """
    if parts == 1:
        return [(values, 1.0)]
    count = len(tensors(values)[0])
    ends = [count * number // parts for number in range(parts + 1)]
    rows = [slice(*ends[number : number + 2]) for number in range(parts)]
    return [(mapped(values, itemgetter(own)), (own.stop - own.start) / count) for own in rows]
