"""Boards with their FPGAs, a row each. Pins and wrappers come as files beside this one."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Family(enum.StrEnum):
    """FPGAs that count in the same cells, by the name that `triovit generate --synthesize` has for them."""

    XILINX = "xilinx"  # 7-series, UltraScale+: 6-input LUTs, DSP48, block RAMs of 36 kbit
    ECP5 = "ecp5"  # 4-input LUTs, 18 x 18 multipliers, block RAMs of 18 kbit


class Resources(NamedTuple):
    """Cells of an FPGA, or ratios of them. lut: those used as memory count too. ram: block RAMs, halves where two fit
    one."""

    lut: float
    ff: float
    dsp: float
    ram: float


RESOURCE_NAMES = ("LUT", "FF", "DSP", "RAM")


ANY = ("generic", "asic")  # what has no macro in place is inferred
ULTRASCALE = (*ANY, "ultrascale")


class Board(NamedTuple):
    """A board and what its FPGA's data sheet (`source`) says it has. technologies: what it can be built with
    (field `technology` of a configuration)."""

    name: str
    device: str
    family: Family
    has: Resources
    source: str
    technologies: tuple[str, ...] = ANY


BOARDS = (
    Board("ZCU102", "XCZU9EG", Family.XILINX, Resources(274080, 548160, 2520, 912), "AMD DS891", ULTRASCALE),
    # Its 96 UltraRAMs, and the 64 of the KV260, hold none of the buffers: synthesis is not told to use them.
    Board("ZCU104", "XCZU7EV", Family.XILINX, Resources(230400, 460800, 1728, 312), "AMD DS891", ULTRASCALE),
    Board("KV260", "XCK26", Family.XILINX, Resources(117120, 234240, 1248, 144), "AMD DS987", ULTRASCALE),
    Board("Ultra96-V2", "XCZU3EG", Family.XILINX, Resources(70560, 141120, 360, 216), "AMD DS891", ULTRASCALE),
    Board("PYNQ-Z2", "XC7Z020", Family.XILINX, Resources(53200, 106400, 220, 140), "AMD DS190"),
    Board("ULX3S", "LFE5U-85F", Family.ECP5, Resources(83640, 83640, 156, 208), "Lattice FPGA-DS-02012"),
    Board("ECPIX-5", "LFE5UM5G-85F", Family.ECP5, Resources(83640, 83640, 156, 208), "Lattice FPGA-DS-02012"),
)
