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

FILE = Path(__file__).with_name("measurements.json")
# Cells of either family by what they take of an FPGA. A cell of distributed memory fills several LUTs.
LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "CCU2C": 2,
    "TRELLIS_DPR16X4": 6,  # three slices
}
FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "TRELLIS_FF")
MULTIPLIERS = ("DSP48E2", "MULT18X18D")
BLOCK_RAMS = {"RAMB36E2": 1, "RAMB18E2": 0.5, "DP16KD": 1}


class Measurement(NamedTuple):
    """Resources of a whole configuration and of one of its cores, which are all alike."""

    config: AcceleratorConfig
    whole: Resources
    core: Resources

    @property
    def shared(self) -> Resources:
        """What exists once."""
        return Resources(*(whole - self.config.cores * core for whole, core in zip(self.whole, self.core, strict=True)))


def resources(cells: Mapping[str, int]) -> Resources:
    """What cells of synthesis, by their types, take of an FPGA."""
    return Resources(
        lut=sum(cells.get(name, 0) * luts for name, luts in LUTS.items()),
        ff=sum(cells.get(name, 0) for name in FLIP_FLOPS),
        dsp=sum(cells.get(name, 0) for name in MULTIPLIERS),
        ram=sum(cells.get(name, 0) * share for name, share in BLOCK_RAMS.items()),
    )


def records() -> list[dict]:
    """The file: family, fields of the configuration, cells of the whole and of a core."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@functools.cache
def measurements(family: Family) -> tuple[Measurement, ...]:
    """All measurements of a family."""
    return tuple(
        Measurement(
            AcceleratorConfig(**record["config"]).validate(), resources(record["whole"]), resources(record["core"])
        )
        for record in records()
        if record["family"] == family
    )
