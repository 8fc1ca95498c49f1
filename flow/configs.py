"""List configurations: their parts, what they take of an FPGA, and the boards that hold them; all presets by default.

LUTs and flip-flops are estimated, within 15 % of what Yosys' synthesis gives; DSPs and block RAMs are exact for it, and
so are the LUTs that serve as memory. 'triovit generate --synthesize' counts all of them, in minutes. Of a board the
scarcest resource is shown: up to 80 % is "yes", up to 100 % "tight" (hard to place and route), more is "no". The
technology ultrascale is for Xilinx UltraScale+ only.

examples:
  triovit configs
  triovit configs trio-core mine.json
  triovit configs mine.json --json mine.resources.json
"""

from __future__ import annotations

import argparse
import dataclasses

from triovit.boards.devices import BOARDS, RESOURCE_NAMES, Family
from triovit.boards.estimate import ERROR, can_build, estimate
from triovit.boards.fit import fit
from triovit.boards.memories import all_memory_luts
from triovit.flow.arguments import Input
from triovit.flow.configurations import find_config
from triovit.flow.output import Column, table, write_json
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.config.buffers import buffers, copies

SIDE_BY_SIDE = 3  # configurations in a table, so that it has 80 columns
FAMILIES = {Family.XILINX: "Xilinx", Family.ECP5: "ECP5"}
MEMORY = "LUT RAM"  # LUTs that serve as memory
KIB = 1024


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "configs",
        type=Input,
        nargs="*",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)}, or a JSON file (default: all presets)",
    )


def execute(options) -> int:
    configs = [find_config(name, "") for name in options.configs or PRESETS]
    for first in range(0, len(configs), SIDE_BY_SIDE):
        _show(configs[first : first + SIDE_BY_SIDE])
    write_json(options.json, {"error": ERROR, "configurations": [_report(config) for config in configs]})
    return 0


def _show(configs: list[AcceleratorConfig]) -> None:
    columns: list[Column] = [("", "left"), *((config.name, "right") for config in configs)]
    table("configurations", columns, [[name, *values] for name, values in _parts(configs)])
    cells = {(config, family): _cells(config, family) for config in configs for family in Family}
    rows = [
        [f"{FAMILIES[family]} {name}", *(_number(cells[config, family].get(name)) for config in configs)]
        for family in Family
        for name in (*RESOURCE_NAMES, MEMORY)
    ]
    table("cells (LUT and FF: estimates)", columns, rows)
    rows = [[f"{board.name} ({board.device})", *(_fit(config, board) for config in configs)] for board in BOARDS]
    table("boards, by their scarcest resource", columns, rows)


def _parts(configs: list[AcceleratorConfig]) -> list[tuple[str, list]]:
    """Rows of the first table: what a configuration is made of."""
    shapes = [buffers(config) for config in configs]
    sizes = [
        (
            f"buffer {space}, KiB" + (" per core" if copies(space, AcceleratorConfig(cores=2)) > 1 else ""),
            [_number(shape[space].words * shape[space].word_bits / 8 / KIB) for shape in shapes],
        )
        for space in shapes[0]
    ]
    return [
        ("multipliers", [config.multipliers for config in configs]),
        ("cores", [config.cores for config in configs]),
        ("block", [config.block for config in configs]),
        ("AXI ports", [config.ports for config in configs]),
        ("bytes of a port", [config.data_bytes for config in configs]),
        *sizes,
    ]


def _number(value: float | None) -> int | str:
    if value is None:
        return "none"
    return int(value) if value == int(value) else f"{value:.1f}"


def _cells(config: AcceleratorConfig, family: Family) -> dict[str, float]:
    """Resources by their names, and the LUTs among them that are memory; nothing where the family lacks multipliers."""
    if not can_build(config, family):
        return {}
    found = dict(zip(RESOURCE_NAMES, estimate(config, family), strict=True))
    return found | {MEMORY: all_memory_luts(config, family)}


def _fit(config: AcceleratorConfig, board) -> str:
    found = fit(config, board)
    return f"{found.verdict}, {found.text}"


def _report(config: AcceleratorConfig) -> dict:
    fits = {board: fit(config, board) for board in BOARDS}
    return {
        **dataclasses.asdict(config),
        "hash": f"{config.hash:016x}",
        "multipliers": config.multipliers,
        "cells": {
            family.value: {**estimate(config, family)._asdict(), "memory_luts": all_memory_luts(config, family)}
            for family in Family
            if can_build(config, family)
        },
        "boards": {
            board.name: {"device": board.device, "fits": found.fits, "scarcest": found.scarcest, "share": found.share}
            for board, found in fits.items()
        },
    }
