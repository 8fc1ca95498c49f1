"""What a sequencer tells the data path: one step, and where the result it belongs to goes."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from triovit.hdl.isa.layouts import INDEX_BITS

# Addresses have 20 bits in an instruction. Sums are kept in 24, so that one leaving its buffer is seen before it wraps.
WORD_ADDRESS_BITS = 24
COUNT_BITS = 12


class StepKind(enum.Enum, shape=unsigned(3)):
    """What the data path does with a step."""

    CONV = 0
    DEPTHWISE = 1
    OUTER = 2
    ROW_SUM = 3
    LAYER_NORM = 4


# Where one accumulation's result goes and how it is post-processed. rows: rows of psums, 1..16. high: words from the
# low to the high bytes of a wide result. final: the last result of its instruction.
RESULT = data.StructLayout(
    {
        "rows": unsigned(5),
        "out": unsigned(WORD_ADDRESS_BITS),
        "high": unsigned(20),
        "parameters": unsigned(13),
        "attention": unsigned(13),
        "pixel": unsigned(24),
        "destination": unsigned(4),
        "mode": unsigned(3),
        "fraction_bits": unsigned(4),
        "residual": unsigned(1),
        "log2_offset": signed(6),
        "final": unsigned(1),
    }
)


def step_layout(block: int) -> data.StructLayout:
    """One step: a read of features and weights, and what to do with them.

    index: number of its instruction. begins: the instruction's first step.
    joint: the MAT engine does it too; of the MAT unit, the step is a MAT_JOIN and stands for all steps of a joint
    instruction. key: an outer product's k half. stride: the window's pixels are every second word. count: valid pixels
    or tokens of a window. push: the step ends an accumulation whose `result` descriptor has to be kept. partner_out:
    where the MAT's result of a joint step goes.
    """
    return data.StructLayout(
        {
            "index": unsigned(INDEX_BITS),
            "begins": 1,
            "kind": StepKind,
            "joint": 1,
            "source": 1,
            "relu": 1,
            "stationary": 1,
            "key": 1,
            "stride": 1,
            "first": 1,
            "last": 1,
            "count": range(block + 1),
            "features": unsigned(WORD_ADDRESS_BITS),
            "weights": unsigned(WORD_ADDRESS_BITS),
            "channels": unsigned(13),
            "epsilon": unsigned(32),
            "push": 1,
            "result": RESULT,
            "partner_out": unsigned(WORD_ADDRESS_BITS),
        }
    )
