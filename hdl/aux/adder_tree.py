"""Pipelined adder tree."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.golden.integer import arithmetic
from triovit.hdl.validation import check_integer


class AdderTree(wiring.Component):
    """Sum of a vector of signed numbers, one register per level.

    Parameters
    ----------
    inputs : int, 1..1024
        Length of the vector.
    width : int, 1..32
        Bits of one element, two's complement.

    Members
    -------
    i : In(ArrayLayout(signed(width), inputs))
    o : Out(signed(width + ceil_log2(inputs)))
    en : In(1)
        Registers advance only while it is high.

    Latency: `latency = ceil_log2(inputs)` enabled cycles (0 for one input: `o` is `i[0]`); initiation interval 1.

    Numerics: exact; every level is one bit wider than the one before, so nothing rounds, saturates or wraps.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT, hardware section (adder tree of a MAT lane and of the row sum of K).
    """

    i: data.View
    o: Signal
    en: Signal

    def __init__(self, inputs: int, width: int):
        self.inputs = check_integer("inputs", inputs, 1, 1024)
        self.width = check_integer("width", width, 1, 32)
        self.latency = ceil_log2(inputs)
        super().__init__(
            {
                "i": In(data.ArrayLayout(signed(width), inputs)),
                "o": Out(signed(width + self.latency)),
                "en": In(1),
            }
        )

    def model(self, values):
        """Sums of the last axis. values: (..., inputs) within `width` bits; OverflowError otherwise. Returns int64."""
        values = arithmetic.check_range(values, *arithmetic.signed_range(self.width), "adder tree input")
        if values.shape[-1] != self.inputs:
            raise ValueError(f"values must have a last axis of {self.inputs}, not {values.shape[-1]}")
        return np.sum(values, axis=-1, dtype=np.int64)

    def elaborate(self, platform):
        m = Module()
        level = [self.i[k] for k in range(self.inputs)]
        for depth in range(self.latency):
            registers = []
            for k in range(0, len(level), 2):
                register = Signal(signed(self.width + depth + 1), name=f"level{depth}_{k // 2}", reset_less=True)
                with m.If(self.en):
                    # An odd element out waits a level, so that all paths have the same length.
                    m.d.sync += register.eq(sum(level[k + 1 : k + 2], level[k]))
                registers.append(register)
            level = registers
        m.d.comb += self.o.eq(level[0])
        return m
