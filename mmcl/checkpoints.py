"""Checkpoints: ours, written in one step, and those of the reference repositories.

Nothing is unpickled but tensors and plain values.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mmcl import archive
from mmcl.errors import UserError, one_line, shown
from mmcl.files import written
from mmcl.released import COUNTER, DERIVED, HEADS, SIDE_HEAD, WRAPPERS, released_shape
from mmcl.state_dict import check_finite, read_tensors

log = logging.getLogger(__name__)

MOST_NAMED = 20
"""Reasons against a checkpoint that a message gives."""


class Net(Protocol):
    """A network whose weights were published: a backbone, a `CoLearner`, a `Pretrainer` or a `Distiller`."""

    def state_dict(self) -> dict[str, Any]:
        """See `torch.nn.Module`."""

    def reference_names(self) -> dict[str, list[str]]:
        """Our state entries → those of the released model that they hold, joined along the first axis."""

    def reference_aliases(self) -> dict[str, str]:
        """Entries that the released model saves a second time: second name → name in `reference_names`."""

    def reference_constants(self) -> dict[str, Tensor]:
        """Entries that the released model saves although they are not learned: name → value."""


def save(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that `path` holds either the old or the new one, never half of one.

    Args:
        path: the file.
        content: tensors, numbers, strings, and lists and dicts of them.

    Raises:
        UserError: the disk is full.
    """
    try:
        with written(path, sync=True) as temporary:
            with open(temporary, "wb") as file:
                torch.save(content, file)
            archive.seal(temporary)
    except (OSError, RuntimeError) as error:  # torch reports a short write as a RuntimeError
        raise UserError(f"{path}: cannot be written ({error})") from error


def read(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are admitted.

    Raises:
        UserError: no such file, or not a checkpoint of tensors and plain values.
    """
    content: dict[str, Any] = read_tensors(path, "checkpoint", device)
    return content


def tensors(content: Any, path: str | Path) -> dict[str, Tensor]:
    """What a file of our own has under `state`.

    Raises:
        UserError: no tensors by name, each with numbers of its own.
    """
    state = content.get("state") if isinstance(content, dict) else None
    whole = isinstance(state, dict) and all(
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type != "meta"
        # a tensor may repeat the numbers that are stored
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        for name, value in state.items()
    )
    if not whole:
        raise UserError(f"{path}: state: no tensors by name")
    assert isinstance(state, dict)
    return state


def check_state(state: Mapping[str, Tensor], build: Callable[[], nn.Module], path: str | Path) -> None:
    """Check that a file's weights are exactly those of a network, and finite.

    The network is built without memory for its numbers, so that nothing is allocated that the file does not hold.

    Args:
        state: of `tensors`.
        build: the network.
        path: the file, for the message.

    Raises:
        UserError: an entry is missing, left over, or of another shape or type; a value is not finite; a network that
            cannot be built.
    """
    try:
        form = _form(build)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # sizes that lack, or that no tensor can have
        reason = f"{type(error).__name__} {shown(str(error).partition(chr(10))[0])}"
        raise UserError(f"{path}: the network that it describes cannot be built ({reason})") from None
    problems = [
        *(f"{name} is missing" for name in form if name not in state),
        *(f"{shown(name)} is left over" for name in state if name not in form),
        *(
            f"{name} is {_kind(state[name])}, not {_kind(value)}"
            for name, value in form.items()
            if name in state and _kind(state[name]) != _kind(value)
        ),
    ]
    if problems:
        others = f", and {len(problems) - 1} more entries do not fit" if problems[1:] else ""
        raise UserError(
            f"{path}: its weights are not those of the network that it describes: {problems[0]}{others}"
        )
    check_finite(path, state)


def _form(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """A network's state as far as names, shapes and types go."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return build().state_dict()
        except (
            NotImplementedError,
            RuntimeError,
            ImportError,
        ):  # a network of the user's looks at its numbers
            return build().state_dict()


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def load_reference(net: Net, state_or_path: Mapping[str, Any] | str | Path) -> list[str]:
    """Load a published checkpoint of the reference repositories.

    Args:
        net: a backbone of `build_backbone`; a `CoLearner` for MMCL's own checkpoints; a `Pretrainer` for CrosSCLR's
            and IKEM's, a `Distiller` for those of IKEM's students.
        state_or_path: the state dict, or its file, alone or under a usual key such as `state_dict`. Of a name,
            all up to the last `module.` is ignored.

    Returns:
        The entries that were left out because the net lacks the part they belong to, such as FAM in a backbone.

    Raises:
        UserError: an entry is missing, left over, of another shape or not finite, or a graph is not the net's; the
            first MOST_NAMED are named.
    """
    where, state = reference_entries(state_or_path)
    form = _released_form(net)
    dropped = [name for name in state if name not in form and name.startswith(_unused_heads(form))]
    problems = [*_misfits(net, form, state, dropped)]
    if problems:
        named = [one_line(problem, 200) for problem in problems[:MOST_NAMED]]
        if more := problems[MOST_NAMED:]:
            named.append(f"and {len(more)} more")
        raise UserError(f"{where} does not fit {type(net).__name__}:\n  " + "\n  ".join(named))
    if dropped:
        log.info("%s: %s has no use for %s", where, type(net).__name__, _summary(dropped))
    values, own = form | state, net.state_dict()
    for ours, theirs in net.reference_names().items():
        joined = values[theirs[0]] if own[ours].dim() == 0 else torch.cat([values[name] for name in theirs])
        own[ours].copy_(joined.reshape(own[ours].shape))
    return dropped


def reference_entries(state_or_path: Mapping[str, Any] | str | Path) -> tuple[str, dict[str, Tensor]]:
    """What a published checkpoint holds.

    Args:
        state_or_path: see `load_reference`.

    Returns:
        What to call it in messages, and its entries by name.

    Raises:
        UserError: no such file, or it holds something else than a state dict.
    """
    if isinstance(state_or_path, str | Path):
        where, content = str(state_or_path), read(state_or_path)
    else:
        where, content = "state dict", dict(state_or_path)
    return where, _state_dict(content, where)


def reference_state(net: Net) -> dict[str, Tensor]:
    """The weights as the released model's state dict: what `load_reference` reads, the other way round.

    Args:
        net: see `load_reference`.

    Returns:
        Released names → values, independent of the net. Entries that the release saves twice share their memory.

    Raises:
        UserError: the net has an entry that the released model lacks. All of them are named.
    """
    extra = net.state_dict().keys() - net.reference_names().keys()
    if extra:
        what = f"{type(net).__name__} has entries that the released model lacks"
        raise UserError(f"{what}: {', '.join(sorted(extra))}")
    aliases = net.reference_aliases()
    state = {name: value.clone() for name, value in _released_form(net).items() if name not in aliases}
    return state | {alias: state[name] for alias, name in aliases.items()}


def _released_form(net: Net) -> dict[str, Tensor]:
    """All entries of the released model as the net has them; parts of the net's own memory where possible."""
    own = net.state_dict()
    form: dict[str, Tensor] = {}
    for ours, theirs in net.reference_names().items():
        value, count = own[ours], len(theirs)
        shape = released_shape(theirs[0], value, count)
        # counters of batches are the same in all parts
        parts = [value] * count if value.dim() == 0 else value.reshape(count, *shape).unbind()
        form |= dict(zip(theirs, parts, strict=True))
    form |= net.reference_constants()
    return form | {alias: form[name] for alias, name in net.reference_aliases().items()}


def _state_dict(content: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """The state dict in what a file holds, without the `module.` of parallel training."""
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{where}: no state dict: it must hold names and tensors, alone or under {WRAPPERS}")
    state = {name.rpartition("module.")[2]: value for name, value in content.items()}
    if len(state) < len(content):
        raise UserError(f"{where}: holds several networks, whose entries differ only in front of `module.`")
    return state


def _unused_heads(form: dict[str, Tensor]) -> tuple[str, ...]:
    return (SIDE_HEAD, *DERIVED, *(head for head in HEADS if not any(name.startswith(head) for name in form)))


def _misfits(
    net: Net, form: dict[str, Tensor], state: dict[str, Tensor], dropped: list[str]
) -> Iterator[str]:
    """Every reason against loading `state`, one line each."""
    aliases, constants = net.reference_aliases(), net.reference_constants()
    for name in sorted(form.keys() - state.keys() - aliases.keys()):
        if not name.endswith(COUNTER):
            yield f"missing: {name}"
    for name in state:
        if name not in form and name not in dropped:
            yield f"left over: {name}"
    for name in sorted(net.state_dict().keys() - net.reference_names().keys()):
        yield f"not in the reference: {name}"
    for name in (name for name in form if name in state):
        expected, value = tuple(form[name].shape), tuple(state[name].shape)
        if value != expected:
            yield f"wrong shape: {name} {value} for {expected}"
        elif state[name].is_floating_point() and not state[name].isfinite().all():
            yield f"not finite: {name}"
        elif name in constants and not torch.allclose(state[name].to(form[name]), form[name]):
            yield f"another graph than the layout's: {name}"
        elif name in aliases and not torch.equal(state[name], state.get(aliases[name], state[name])):
            yield f"two values for one entry: {name} and {aliases[name]}"


def _summary(names: list[str]) -> str:
    """Names by the part they belong to: `PosMatrix, mlp (4 entries)`."""
    parts = Counter(name.partition(".")[0] for name in names)
    return ", ".join(part if count == 1 else f"{part} ({count} entries)" for part, count in parts.items())
