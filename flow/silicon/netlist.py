"""A netlist of mapped cells, as Yosys' `write_json` gives it with the hierarchy kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from triovit.flow.errors import UsageError

Bit = int | str  # number of a net's bit in its module, or a constant: "0", "1", "x", "z"


@dataclass(frozen=True)
class Cell:
    """An instance. kind: its type, or the name of its module. pins: bits from the lowest on. parameters: as text."""

    name: str
    kind: str
    pins: dict[str, tuple[Bit, ...]]
    parameters: dict[str, str]

    def bits(self, pin: str) -> tuple[Bit, ...]:
        """Bits at a pin; none where it is left open."""
        return self.pins.get(pin, ())

    def value(self, parameter: str, default: int = 0) -> int:
        """A parameter that is a number: Yosys writes 32 bits or more as a text of binary digits."""
        return int(str(self.parameters.get(parameter, f"{default:b}")), 2)


@dataclass(frozen=True)
class Port:
    """A port of a module."""

    name: str
    is_input: bool
    bits: tuple[Bit, ...]


@dataclass(frozen=True)
class Module:
    """One kind of module: cells of the chip, instances of other modules, and names of nets' bits as in the Verilog."""

    name: str
    label: str  # with its parameters where Yosys' name has a hash of them
    ports: tuple[Port, ...]
    cells: tuple[Cell, ...]
    instances: tuple[Cell, ...]
    names: dict[int, str]
    size: int  # all bits have smaller numbers

    def name_of(self, bits: Iterable[Bit], cell: Cell) -> str:
        """Name of the first of a cell's output bits that has one, else of the cell, else its type."""
        named = next((self.names[bit] for bit in bits if isinstance(bit, int) and bit in self.names), None)
        return named or (cell.kind if "$" in cell.name else cell.name)


class Netlist:
    """Modules by name, and the top module."""

    def __init__(self, modules: dict[str, Module], top: str):
        if top not in modules:
            raise UsageError(f"a netlist must hold its top module: {top} is not among {', '.join(modules) or 'none'}")
        self.modules, self.top = modules, top

    def below(self) -> Iterator[Module]:
        """The modules that the top needs, each once, children before their parents."""
        done: set[str] = set()

        def visit(name: str) -> Iterator[Module]:
            if name not in done:
                done.add(name)
                for child in dict.fromkeys(cell.kind for cell in self.modules[name].instances):
                    yield from visit(child)
                yield self.modules[name]

        yield from visit(self.top)


def read_netlist(path: Path, top: str) -> Netlist:
    """Netlist of a file of Yosys' `write_json`; raises UsageError for a file that is none, or lacks the top module."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["modules"]
        described = {name.lstrip("\\"): module for name, module in found.items() if not _is_library(module)}
        modules = {name: _module(name, module, described) for name, module in described.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: must be a netlist of Yosys' write_json ({type(error).__name__}: {error})") from None
    return Netlist(modules, top)


def _is_library(module: dict) -> bool:
    """Whether this is the model of a cell of the chip, which comes along."""
    return any(str(module["attributes"].get(name, "")).strip("0") for name in ("blackbox", "whitebox"))


def _module(name: str, described: dict, modules: dict) -> Module:
    cells, instances = [], []
    for label, cell in described["cells"].items():
        kind = cell["type"].lstrip("\\")
        pins = {pin: tuple(bits) for pin, bits in cell["connections"].items()}
        (instances if kind in modules else cells).append(Cell(label, kind, pins, cell["parameters"]))
    ports = tuple(
        Port(label, port["direction"] == "input", tuple(port["bits"])) for label, port in described["ports"].items()
    )
    every = [*(port.bits for port in ports), *(bits for cell in (*cells, *instances) for bits in cell.pins.values())]
    size = 1 + max((bit for bits in every for bit in bits if isinstance(bit, int)), default=0)
    names = _names(described["netnames"])
    return Module(name, _label(name, described), ports, tuple(cells), tuple(instances), names, size)


def _label(name: str, described: dict) -> str:
    """'triovit_ram DEPTH=64 WIDTH=32' for a module that was made for parameters; those that are numbers are told."""
    if not name.startswith("$paramod"):
        return name
    values = described.get("parameter_default_values", {}).items()
    numbers = [f"{key}={int(value, 2)}" for key, value in sorted(values) if value.strip("01") == ""]
    return " ".join([described["attributes"].get("hdlname", name), *numbers])


def _names(nets: dict) -> dict[int, str]:
    """Name of each bit that has one of the Verilog's: of several the shortest, then the first of the alphabet."""
    found: dict[int, str] = {}
    for net, described in sorted(nets.items(), key=lambda item: (len(item[0]), item[0])):
        if described["hide_name"] or "$" in net:
            continue
        bits, first = described["bits"], described.get("offset", 0)
        for k, bit in enumerate(bits):
            if isinstance(bit, int):
                found.setdefault(bit, net if len(bits) == 1 else f"{net}[{k + first}]")
    return found
