"""Delays of a family of FPGAs, for a model of timing before placement."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass


class Stage(enum.IntEnum):
    """What a signal passes between two registers."""

    WIRE = 0  # a net that a module hands through
    LUT = 1
    CARRY = 2
    MULTIPLEXER = 3
    MEMORY = 4
    DSP = 5


@dataclass(frozen=True)
class Delays:
    """Nanoseconds. Fan-out and distance cost nothing here, so the model ranks paths and does not promise a clock.

    *_out: from the clock to the output; *_setup: before the next clock. net: to every input pin but those of dedicated
    wires (carry to carry, cascades of DSPs).
    """

    net: float
    lut: float
    multiplexer: float  # of LUTs' outputs
    carry_in: float  # from a LUT onto the chain
    carry_bit: float  # each bit further
    carry_out: float  # from the chain to a sum
    register_out: float
    register_setup: float
    control_setup: float  # clock enable, reset
    shift_out: float  # shift register in a LUT
    memory_out: float  # read of a LUT RAM whose address stands still: from the writing clock
    memory_setup: float
    block_out: float  # block RAM
    block_out_registered: float  # its output register
    block_setup: float
    dsp_preadder: float
    dsp_multiplier: float
    dsp_adder: float  # and with the multiplier the delay of a DSP without registers
    dsp_out: float
    dsp_setup: float

    def table(self) -> dict[str, float]:
        """All delays by name."""
        return asdict(self)


# Round figures after data sheets of speed grade -2, for comparing designs: AMD DS925 has no net delays.
ULTRASCALE_PLUS = Delays(
    net=0.35,
    lut=0.10,
    multiplexer=0.08,
    carry_in=0.12,
    carry_bit=0.015,
    carry_out=0.10,
    register_out=0.08,
    register_setup=0.03,
    control_setup=0.08,
    shift_out=0.35,
    memory_out=0.48,
    memory_setup=0.15,
    block_out=0.95,
    block_out_registered=0.35,
    block_setup=0.30,
    dsp_preadder=0.40,
    dsp_multiplier=1.30,
    dsp_adder=0.90,
    dsp_out=0.40,
    dsp_setup=0.40,
)
