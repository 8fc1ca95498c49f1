"""What a design is built of: how its multipliers and memories are made.

A technology goes down the hierarchy as Amaranth's `platform`: `emit_verilog` hands it to elaboration, and the few
components that are made in different ways ask `technology_of`. Nothing else knows of it, and no port of a whole
engine, no latency and no value depends on it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from amaranth.hdl import Signal

MEMORY_CONTROL_BITS = 16


@dataclass(frozen=True)
class Technology:
    """How the leaves of a design are made.

    name: as a configuration has it. meaning: in a few words. dsp48e2: products come from the primitive of Xilinx
    UltraScale+, in the arrays two of 8 bits from each. memory_control: where each kind of RAM is a module
    of its own, for a macro to take its place, the signal that goes to all of them from an input of the top module, for
    whatever pins of test, margin and power macros have. simulated: components whose Verilog is written by hand are the
    same registers in Amaranth, for Amaranth's simulator, which reads no Verilog.
    """

    name: str
    meaning: str
    dsp48e2: bool = False
    memory_control: Signal | None = field(default=None, compare=False)
    simulated: bool = False

    @property
    def macros(self) -> bool:
        """Whether each kind of RAM is a module of its own."""
        return self.memory_control is not None

    def in_simulation(self) -> Technology:
        """The same for Amaranth's simulator: `Simulator(Fragment.get(component, technology.in_simulation()))`."""
        return dataclasses.replace(self, simulated=True)


GENERIC = Technology("generic", "plain arithmetic and inferred RAMs, for any FPGA")
ULTRASCALE = Technology(
    "ultrascale", "DSP48E2 of Xilinx UltraScale+, two products of an engine in each; inferred RAMs", dsp48e2=True
)
ASIC = Technology(
    "asic",
    "plain arithmetic; each kind of RAM is a module of its own, for a macro",
    memory_control=Signal(MEMORY_CONTROL_BITS, name="memory_control"),
)
TECHNOLOGIES = {technology.name: technology for technology in (GENERIC, ULTRASCALE, ASIC)}


def technology_of(platform) -> Technology:
    """The technology that elaboration was given. Without one, as Amaranth's simulator elaborates: generic, simulated.

    Raises TypeError for any other platform.
    """
    if platform is None:
        return GENERIC.in_simulation()
    if not isinstance(platform, Technology):
        raise TypeError(f"platform must be a Technology of hdl.technology, not {type(platform).__name__}")
    return platform
