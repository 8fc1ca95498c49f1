"""Operand delay line of down-forward accumulation."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.shapes import OPERAND
from triovit.hdl.validation import check_integer


class OperandSkew(wiring.Component):
    """Delays element j of a vector by j enabled cycles, or passes the vector through.

    In down-forward accumulation the psum reaches cell j of a chain j cycles after cell 0, and its operand must too.

    Parameters
    ----------
    macs : int, 2..32
        Elements of the vector.

    Members
    -------
    i, o : In, Out(ArrayLayout(signed(8), macs))
    skewed : In(1)
        High: `o[j]` is `i[j]` of j enabled cycles ago. Low: `o` is `i`.
    en : In(1)
        Registers advance only while it is high.

    Latency: j enabled cycles for element j when skewed, else 0; initiation interval 1. Cost: macs * (macs - 1) / 2
    bytes of registers without reset, held as macs - 1 words (stage d holds elements d and up): few words simulate
    faster than many bytes.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; the operand alignment that the psum cascade of Trio-ViT's down-forward mode implies.
    """

    i: data.View
    o: data.View
    skewed: Signal
    en: Signal

    def __init__(self, macs: int):
        self.macs = check_integer("macs", macs, 2, 32)
        vector = data.ArrayLayout(OPERAND, macs)
        super().__init__({"i": In(vector), "o": Out(vector), "skewed": In(1), "en": In(1)})

    def elaborate(self, platform):
        m = Module()
        size = OPERAND.width
        stage = self.i.as_value()
        taps = [stage[:size]]
        for depth in range(1, self.macs):
            register = Signal(len(stage) - size, name=f"stage{depth}", reset_less=True)
            with m.If(self.en):
                m.d.sync += register.eq(stage[size:])
            taps.append(register[:size])
            stage = register
        for j, tap in enumerate(taps):
            m.d.comb += self.o[j].eq(Mux(self.skewed, tap, self.i[j]).as_signed())
        return m
