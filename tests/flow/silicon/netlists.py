"""Small netlists as Yosys writes them, made by hand."""

from __future__ import annotations

import json
from pathlib import Path

from triovit.flow.silicon.netlist import Netlist, read_netlist

Cells = dict[str, tuple[str, dict[str, list]] | tuple[str, dict[str, list], dict[str, str]]]


def module(inputs: dict | None = None, outputs: dict | None = None, cells: Cells | None = None, **nets: list) -> dict:
    """A module: ports by their bits, cells as (type, pins, parameters), further nets by their names.

    Nets whose name begins with `hidden` are of Yosys' making.
    """
    ports = {name: {"direction": "input", "bits": bits} for name, bits in (inputs or {}).items()}
    ports |= {name: {"direction": "output", "bits": bits} for name, bits in (outputs or {}).items()}
    named = {name: port["bits"] for name, port in ports.items()} | nets
    return {
        "attributes": {},
        "ports": ports,
        "cells": {
            name: {"type": cell[0], "parameters": dict(*cell[2:]), "connections": cell[1]}
            for name, cell in (cells or {}).items()
        },
        "netnames": {name: {"hide_name": int(name.startswith("hidden")), "bits": bits} for name, bits in named.items()},
    }


def write(folder: Path, **modules: dict) -> Path:
    """A file of the modules."""
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": modules}))
    return path


def netlist(folder: Path, **modules: dict) -> Netlist:
    """The modules, of which `top` is the top."""
    return read_netlist(write(folder, **modules), "top")


def register(data, output, **pins) -> tuple[str, dict[str, list]]:
    """A flip-flop."""
    return "FDRE", {"C": [2], "D": [data], "Q": [output]} | {pin: [bit] for pin, bit in pins.items()}


def lut(inputs: list, output) -> tuple[str, dict[str, list]]:
    """A LUT of all inputs."""
    pins: dict[str, list] = {f"I{k}": [bit] for k, bit in enumerate(inputs)}
    return f"LUT{len(inputs)}", pins | {"O": [output]}
