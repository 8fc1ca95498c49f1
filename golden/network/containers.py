"""What a checkpoint file holds beside one network's weights: other sets of weights, wrappers, prefixes of names.

Trainers keep raw and averaged weights, student and teacher, in one file; wrappers (`DataParallel`, `torch.compile`,
Lightning) put a prefix in front of all names. Which of several sets is meant nobody but the user knows: where there is
more than one, one must be named. A name is the path of the set in the file, keys joined by points, and may end in the
beginning of tensors' names: "state_dict_ema", "ema.0.9998", "state_dict.model".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from triovit.golden.errors import TriovitError
from triovit.golden.messages import listing

DEEPEST = 8  # levels of containers that are looked through


class CheckpointError(TriovitError, ValueError):
    """A checkpoint that cannot be used; the message is one line.

    missing, unexpected, mis_shaped, non_finite: complete tuples of parameter names (empty unless the file
    could be read and was meant for this network size and class count).
    """

    def __init__(self, message, *, missing=(), unexpected=(), mis_shaped=(), non_finite=()):
        super().__init__(message)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mis_shaped = tuple(mis_shaped)
        self.non_finite = tuple(non_finite)


@dataclass(frozen=True)
class Weights:
    """One set of weights out of a file.

    tensors: by name, the shared prefix taken off. path: of the set in the file, empty if it is the whole file. prefix:
    what all names began with, the point included. ignored: what else the file or the set holds.
    """

    tensors: dict[str, torch.Tensor]
    path: str = ""
    prefix: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def are_all(self) -> bool:
        """Whether the file holds nothing else, and these under the names that they have here."""
        return not (self.path or self.prefix or self.ignored)


Recognizes = Callable[[Mapping[str, torch.Tensor]], bool]  # whether tensors by name are a network that is known


def choose(content: Any, recognizes: Recognizes, wanted: str | None = None) -> Weights:
    """The weights in the content of a file: the only ones, or those that `wanted` names.

    Raises CheckpointError where there are none, several and none is wanted, or none of that name; for entries that are
    no plain tensors, and for names of which some have a prefix and others do not.
    """
    sets = dict(_sets(content))
    if wanted is not None:
        path, found, ignored = _named(wanted, sets)
    elif len(sets) > 1:
        raise CheckpointError(_several({path or ".": _count(found) for path, found in sets.items()}))
    elif sets:
        ((path, found),) = sets.items()
        ignored = _beside(content, path)
    else:
        path, found, ignored = "", content, []
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError("holds no dictionary of tensors")
    tensors, others = _plain_tensors(found)
    prefix, tensors, counters = _without_prefix(path, tensors, recognizes)
    place = ".".join(filter(None, [path, prefix[:-1]]))
    inside = [first for first, group in _by_first(tensors).items() if _holds_network(group, recognizes)]
    own = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] not in inside}
    if inside and wanted is None:
        counts = {first: sum(name.startswith(f"{first}.") for name in tensors) for first in inside}
        raise CheckpointError(
            _several({place or ".": len(own)} | {f"{place}.{k}".lstrip("."): n for k, n in counts.items()})
        )
    return Weights(own, path, prefix, (*ignored, *others, *counters, *inside))


def _sets(content: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping]]:
    """(path, dictionary) of all sets of weights: dictionaries with tensors under names that have a point, as parameters
    of networks do and states of optimizers do not."""
    if depth > DEEPEST:
        return
    if isinstance(content, Mapping):
        if any(isinstance(name, str) and "." in name and isinstance(x, torch.Tensor) for name, x in content.items()):
            yield path, content
        entries = content.items()
    elif isinstance(content, (list, tuple)):
        entries = enumerate(content)
    else:
        return
    for name, value in entries:
        if isinstance(value, (Mapping, list, tuple)):
            yield from _sets(value, f"{path}.{name}" if path else str(name), depth + 1)


def _named(wanted: str, sets: dict[str, Mapping]) -> tuple[str, Mapping, list[str]]:
    """(path, dictionary, what is left out) of the wanted set."""
    above = "" if wanted == "." else wanted
    inside = [path for path in sets if path == above or path.startswith(f"{above}.")]
    if above in sets or (above and len(inside) == 1):
        path = above if above in sets else inside[0]
        return path, sets[path], [other or "." for other in sets if other != path]
    if above and inside:
        raise CheckpointError(f"{wanted!r}: " + _several({path: _count(sets[path]) for path in inside}))
    for path, found in sets.items():  # or the beginning of names in one of them
        if not above or not above.startswith(f"{path}." if path else ""):
            continue
        start = above[len(path) :].lstrip(".") + "."
        chosen = {name: x for name, x in found.items() if isinstance(name, str) and name.startswith(start)}
        if chosen:
            rest = [name for name in found if name not in chosen]
            return above, {name.removeprefix(start): x for name, x in chosen.items()}, [listing([*map(str, rest)])]
    there = listing([path or "." for path in sets]) or "none"
    raise CheckpointError(f"holds no weights called {wanted!r}, but {there}")


def _count(found: Mapping) -> int:
    return sum(isinstance(value, torch.Tensor) for value in found.values())


def _several(sets: dict[str, int]) -> str:
    """An error about a choice. sets: number of tensors by name."""
    names = [f"{path} ({count} tensors)" for path, count in sets.items()]
    return f"holds {len(sets)} sets of weights, {', '.join(names)}; choose one, such as --weights {list(sets)[-1]}"


def _beside(content: Any, path: str) -> list[str]:
    """The other containers in those that the set at `path` lies in: an optimizer's state and the like."""
    if not path or not isinstance(content, Mapping):
        return []
    return [
        str(name)
        for name, value in content.items()
        if str(name) != path and not path.startswith(f"{name}.") and isinstance(value, (Mapping, list, tuple)) and value
    ]


def _plain_tensors(found: Mapping) -> tuple[dict[str, torch.Tensor], list[str]]:
    """(tensors by name, other entries that can be passed over: numbers, texts and containers without a point in their
    names). Raises CheckpointError for everything else."""
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and is_plain(value)}
    others = [name for name in found if name not in tensors]
    strange = [
        str(name)
        for name in others
        if not tensors or not isinstance(name, str) or "." in name or isinstance(found[name], torch.Tensor)
    ]
    if strange:
        raise CheckpointError(f"not plain tensors with names: {listing(strange)}")
    return tensors, others


def is_plain(value: Any) -> bool:
    """Whether a value is a tensor of plain numbers: not sparse, nested or packed, and not without any."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_nested
        and value.dtype != torch.float4_e2m1fn_x2
    )


def _without_prefix(
    path: str, tensors: dict[str, torch.Tensor], recognizes: Recognizes
) -> tuple[str, dict[str, torch.Tensor], list[str]]:
    """(prefix, tensors without it, counters beside it): the shortest one that all names share and behind which a
    network is recognized; no prefix where there is no such network.

    Counters, single numbers such as the `n_averaged` of averaged weights, need not have it. Raises CheckpointError for
    names of which some have it and others do not.
    """
    prefix, inner, counters = "", tensors, []
    while not recognizes(inner):
        counters += [name for name, tensor in inner.items() if "." not in name and tensor.dim() == 0]
        named = {name: tensor for name, tensor in inner.items() if name not in counters}
        groups = _by_first(named)
        if len(groups) != 1 or "." not in next(iter(named)):
            _refuse_mixed(".".join(filter(None, [path, prefix[:-1]])), named, groups, recognizes)
            return "", tensors, []
        ((first, inner),) = groups.items()
        prefix += f"{first}."
        if "" in inner:
            raise CheckpointError(f"the name of a tensor must not be the others' prefix alone, but there is {prefix!r}")
    return prefix, inner, counters


def _by_first(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors in groups by the first part of their names, which is taken off."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = tensor
    return groups


def _refuse_mixed(path: str, tensors: dict[str, torch.Tensor], groups: dict, recognizes: Recognizes) -> None:
    """Raise CheckpointError if one or more of the groups are networks, or a group and what stands beside it is one."""
    networks = {f"{path}.{first}".lstrip("."): g for first, g in groups.items() if _holds_network(g, recognizes)}
    if len(networks) > 1:
        raise CheckpointError(_several({name: len(group) for name, group in networks.items()}))
    for first, group in groups.items():
        outside = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{first}.")}
        if not outside or not (f"{path}.{first}".lstrip(".") in networks or recognizes({**outside, **group})):
            continue
        inside = next(name for name in tensors if name.startswith(f"{first}."))
        remedy = f"choose with --weights {next(iter(networks))}" if networks else "give all names the same prefix"
        raise CheckpointError(
            f"some names begin with {first + '.'!r} ({inside}), others do not ({listing(list(outside))}); {remedy}"
        )


def _holds_network(tensors: dict[str, torch.Tensor], recognizes: Recognizes) -> bool:
    """Whether tensors are a network, behind a shared prefix or not."""
    while not recognizes(tensors):
        groups = _by_first(tensors)
        if len(groups) != 1 or "" in next(iter(groups.values())):
            return False
        ((_, tensors),) = groups.items()
    return True
