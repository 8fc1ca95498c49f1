"""Cells that Yosys' synthesis gave for some configurations: what the estimate is fitted to.

`make measurements` synthesizes all of them again (minutes each) and writes measurements.json.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from triovit.boards.devices import Family, Resources
from triovit.hdl.config.accelerator import AcceleratorConfig

CORE, SHARED = PARTS = ("core", "shared")  # parts of a machine: each core, and what exists once
FILE = Path(__file__).with_name("measurements.json")
# Cells of either family by what they take of an FPGA. A cell of distributed memory fills several LUTs.
MEMORY_LUTS = {"RAM32M16": 8, "RAM64M8": 8, "TRELLIS_DPR16X4": 6}  # of an ECP5 three slices
LUTS = {**{f"LUT{inputs}": 1 for inputs in range(1, 7)}, "SRL16E": 1, "SRLC32E": 1, "CCU2C": 2, **MEMORY_LUTS}
FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "TRELLIS_FF")
MULTIPLIERS = ("DSP48E2", "MULT18X18D")
BLOCK_RAMS = {"RAMB36E2": 1, "RAMB18E2": 0.5, "DP16KD": 1}


class Measurement(NamedTuple):
    """Cells by type of each part of a configuration that was synthesized: of a core, which are all alike, at least."""

    config: AcceleratorConfig
    parts: Mapping[str, Mapping[str, int]]

    @property
    def whole(self) -> bool:
        """Whether it is of all parts."""
        return len(self.parts) == len(PARTS)

    @property
    def resources(self) -> Resources:
        """Of the whole machine, else of a core."""
        core = resources(self.parts[CORE])
        if not self.whole:
            return core
        shared = resources(self.parts[SHARED])
        return Resources(*(once + self.config.cores * each for once, each in zip(shared, core, strict=True)))


def resources(cells: Mapping[str, int]) -> Resources:
    """What cells of synthesis, by their types, take of an FPGA."""
    return Resources(
        lut=sum(cells.get(name, 0) * luts for name, luts in LUTS.items()),
        ff=sum(cells.get(name, 0) for name in FLIP_FLOPS),
        dsp=sum(cells.get(name, 0) for name in MULTIPLIERS),
        ram=sum(cells.get(name, 0) * share for name, share in BLOCK_RAMS.items()),
    )


def count_memory_luts(cells: Mapping[str, int]) -> int:
    """LUTs among cells that serve as memory; shift registers do not count."""
    return sum(cells.get(name, 0) * luts for name, luts in MEMORY_LUTS.items())


def records() -> list[dict]:
    """The file: family, fields of the configuration, and the cells of each part."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@functools.cache
def measurements(family: Family) -> tuple[Measurement, ...]:
    """All measurements of a family."""
    return tuple(
        Measurement(AcceleratorConfig(**record["config"]).validate(), record["parts"])
        for record in records()
        if record["family"] == family
    )
