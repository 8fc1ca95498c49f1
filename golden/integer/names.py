"""Short names of layers and tensors, for tables and plots."""

from __future__ import annotations

from collections.abc import Iterable

SILENT = ("backbone", "op_list", "main")  # parts of a name that tell nothing about the place in the network


def short_names(names: Iterable[str]) -> dict[str, str]:
    """A short name of each of a network's names; the full ones should two short ones be equal.

    `backbone.stages.2.op_list.1.context_module.main.qkv` becomes `stages.2.1.context.qkv`.
    """
    names = list(dict.fromkeys(names))
    short = [_short(name) for name in names]
    return dict(zip(names, short if len(set(short)) == len(short) else names, strict=True))


def _short(name: str) -> str:
    """A name of nothing but silent parts stays as it is."""
    return ".".join(part.removesuffix("_module") for part in name.split(".") if part not in SILENT) or name
