"""The multipliers of an R-MAC engine and what makes them go."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.choice import pair_of
from triovit.hdl.multiplier.pair import LATENCY, SUMS, Addend
from triovit.hdl.shapes import OPERAND


class RMACArray(wiring.Component):
    """lanes / 2 cascades of `macs` pairs of multiply-accumulators; pair q holds the lanes 2q and 2q + 1.

    A column works down-forward when its bit of `chained` is set: its products are added to the sums of the column
    before, whose operands came a cycle earlier. It works by itself when its bit is low and `alone` is set.

    Parameters
    ----------
    lanes, macs : int

    Members
    -------
    a : In(ArrayLayout(ArrayLayout(signed(8), macs), lanes)), b : In(ArrayLayout(signed(8), macs))
        Operands.
    chained : In(macs), alone : In(1), first : In(1)
        With the operands. `first`: self-accumulation starts anew. `alone` excludes all bits of `chained`.
    sums : Out(ArrayLayout(ArrayLayout(SUMS, macs), lanes / 2))

    Latency: `latency = 4` cycles from the operands to the `sums` of their column, initiation interval 1. Columns
    without operands keep their sums. Registers have no reset.

    Numerics: those of the pairs.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine and its two modes of accumulation.
    """

    a: data.View
    b: data.View
    chained: Signal
    alone: Signal
    first: Signal
    sums: data.View

    latency = LATENCY

    longest = 31
    """Products of a self-accumulation: the most that sums of a pair can hold."""

    def __init__(self, lanes: int, macs: int):
        self.lanes, self.macs = lanes, macs
        vector = data.ArrayLayout(OPERAND, macs)
        super().__init__(
            {
                "a": In(data.ArrayLayout(vector, lanes)),
                "b": In(vector),
                "chained": In(macs),
                "alone": In(1),
                "first": In(1),
                "sums": Out(data.ArrayLayout(data.ArrayLayout(SUMS, macs), lanes // 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind = pair_of(platform)
        pairs = [
            [kind(self.longest, self.macs, cascaded=j > 0) for j in range(self.macs)] for _ in range(self.lanes // 2)
        ]
        alone = delayed(m, self.alone, 2, "alone")[2]
        first = delayed(m, self.first, 2, "first")[2]
        for j in range(self.macs):
            start = Signal(name=f"start{j}")
            m.d.comb += start.eq(self.chained[j] | self.alone)
            enables = Cat(*delayed(m, start, LATENCY - 1, f"enable{j}"))
            chain = Addend.CASCADE if j else Addend.ZERO
            addend = Mux(alone, Mux(first, Addend.ZERO, Addend.OWN), chain)
            for q, row in enumerate(pairs):
                m.submodules[f"pair{q}_{j}"] = pair = row[j]
                m.d.comb += [
                    pair.a[0].eq(self.a[2 * q][j]),
                    pair.a[1].eq(self.a[2 * q + 1][j]),
                    pair.b.eq(self.b[j]),
                    pair.en.eq(enables),
                    pair.addend.eq(addend),
                    self.sums[q][j].eq(pair.sums),
                ]
                if j:
                    m.d.comb += pair.cascade_in.eq(row[j - 1].cascade_out)
        return m
