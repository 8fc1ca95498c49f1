"""Every memory of a design: its kinds, and where in the hierarchy each of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from triovit.hdl.emit.hierarchy import ModuleRecord


def memories(modules: Mapping[str, ModuleRecord], top: str) -> list[dict]:
    """A row for each kind, the one with most bits first, for the map beside the Verilog.

    module: what is instantiated, or the module with an array of registers in it. component: Ram, or the queue that has
    the array. depth, width,
    parts (strobes of a word), latency (of a read, 0: in the same cycle) and style: as `hdl.memory.ram.Ram` has them.
    ports: one write port and one read port in all. bits: of one instance. instances: how many. places: path of the
    module that holds some, names joined with dots, -> their paths from there.
    """
    kinds: dict[tuple, dict] = {}
    for holder, name, record in _instances(modules, top, ()):
        of_module = next(iter(record.external), record.name)
        inner = f".{next(iter(record.instances))}" if record.external else ""
        for facts in [record.facts] if record.facts else record.arrays:
            kind = kinds.setdefault(
                (of_module, *facts.values()),
                {"module": of_module, "component": record.component, **facts, "ports": "1 write, 1 read"}
                | {"bits": facts["depth"] * facts["width"], "instances": 0, "places": {}},
            )
            kind["instances"] += 1
            kind["places"].setdefault(".".join(holder), []).append(f"{name}{inner}")
    return sorted(kinds.values(), key=lambda kind: (-kind["bits"] * kind["instances"], kind["module"], kind["depth"]))


def _instances(
    modules: Mapping[str, ModuleRecord], module: str, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str, ModuleRecord]]:
    """(path of the holder, name in it, record) of every instance of a module that the design defines."""
    for name, child in modules[module].instances.items():
        if child in modules:
            yield path, name, modules[child]
            yield from _instances(modules, child, (*path, name))
