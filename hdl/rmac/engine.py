"""R-MAC engine: reconfigurable multiplier-accumulators for every layer type of an EfficientViT."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.delay_line import delayed
from triovit.hdl.rmac.array import RMACArray
from triovit.hdl.rmac.operands import RMACMode, RMACOperands
from triovit.hdl.rmac.rows import RMACRows, row_layout
from triovit.hdl.shapes import OPERAND
from triovit.hdl.validation import check_even, check_integer


class RMACEngine(wiring.Component):
    """`lanes` x `macs` array for pointwise and generic convolution, depthwise convolution, K^T V and row sums.

    A beat feeds all multipliers once. Beats of one mode from `first` to `last` are a group; its sums leave as rows
    while the array goes on with the next one. Everything moves in every cycle, nothing waits.

    | mode | accumulation | multiplier (l, m) | rows of a group |
    |---|---|---|---|
    | POINTWISE | down-forward | features[0][m] * weights[l][m] | one: acc[l] = sum over m and beats (channel l) |
    | DEPTHWISE | self | features[l][m] * weights[0][m] | `rows`: row r, acc[m] = sum over beats (pixel r, channel m) |
    | OUTER | self | features[0][m] * weights[l][0] | `rows`: row r, acc[m] = sum over beats (v_r, k_m) |
    | ROW_SUM | self | features[l][m], lanes below `count` | one: acc[m] = sum over lanes and beats (channel m) |

    Self-accumulation takes at most 31 beats (25 taps of a depthwise convolution). Longer sums are several groups: a
    group that is not `final` delivers nothing, its rows are kept, and the next one, `resumed`, adds its own to them.

    Parameters
    ----------
    lanes : int, 2..32, even
    macs : int, 2..31
    accumulator_bits : int, 20..32
        Bits of results.

    Members
    -------
    i : In(stream, always ready) of StructLayout
        features, weights : ArrayLayout(ArrayLayout(signed(8), macs), lanes); what a mode does not name is ignored. In
        POINTWISE the weights come skewed: column m of `weights` belongs to the beat m cycles earlier, and is read
        whether or not `i.valid` is high by then.
        mode : RMACMode, constant within a group. first, last : first and last beat of the group (both if single).
        rows : range(lanes + 1), rows to deliver, read with `last` of a DEPTHWISE or OUTER group; 0 delivers none.
        double : read with `last` of DEPTHWISE or OUTER: row r comes from lane 2r (pixels in every second lane).
        count : range(lanes + 1), of ROW_SUM: the lanes from `count` on are ignored.
        resumed, final : read with `last` of a group of self-accumulation.
    o : Out(stream, always ready) of StructLayout
        acc : ArrayLayout(signed(accumulator_bits), max(lanes, macs)), unused elements zero. last : last row of a group.

    Latency: `latency(mode)` cycles from the last beat of a group to its first row on `o`: macs + 5 for POINTWISE, 7 for
    DEPTHWISE and OUTER (further rows follow one per cycle), lanes + 6 for ROW_SUM. Initiation interval 1 beat.

    Obligations of whoever sends beats (nothing here checks them; wrong sums are all that follows):

    * A group of DEPTHWISE, OUTER or ROW_SUM has at most 31 beats.
    * Its last beat comes at least `drain_cycles` cycles after the last beat of such a group before it: as many as
      rows left that one (`lanes` for ROW_SUM), and 3 when it is resumed.
    * A beat of another mode comes at least `macs` cycles after a beat of POINTWISE.
    * A beat of POINTWISE comes at least max(1, rows + 2 - macs) cycles after the last beat of such a group.
    * Between a group that is not final and the one that resumes it there is no other group.

    `spacing(...)` has the numbers.

    Numerics: exact products and sums; results are two's complement and wrap at `accumulator_bits`, which the compiler's
    bounds exclude. Weights of POINTWISE lie in -127..127 (`hdl.multiplier.packed` asks for it), everything else in
    -128..127: 31 products of any two int8 are less than 2**19.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine: down-forward accumulation and self-accumulation; row sums by the
    adder tree beside it, here by the array itself.
    """

    i: stream.Interface
    o: stream.Interface

    longest = RMACArray.longest
    """Beats of a group of self-accumulation."""

    def __init__(self, lanes: int, macs: int, accumulator_bits: int = 27):
        self.lanes = check_even("lanes", lanes, 2, 32)
        self.macs = check_integer("macs", macs, 2, 31)
        self.accumulator_bits = check_integer("accumulator_bits", accumulator_bits, 20, 32)
        self.operands = RMACOperands(lanes, macs)
        self.array = RMACArray(lanes, macs)
        self.rows = RMACRows(lanes, macs, accumulator_bits)
        self.width = self.rows.width
        operands = data.ArrayLayout(data.ArrayLayout(OPERAND, macs), lanes)
        i_layout = data.StructLayout(
            {
                "features": operands,
                "weights": operands,
                "mode": RMACMode,
                "first": 1,
                "last": 1,
                "rows": range(lanes + 1),
                "double": 1,
                "count": range(lanes + 1),
                "resumed": 1,
                "final": 1,
            }
        )
        o_layout = row_layout(self.width, accumulator_bits)
        super().__init__(
            {
                "i": In(stream.Signature(i_layout, always_ready=True)),
                "o": Out(stream.Signature(o_layout, always_ready=True)),
            }
        )

    def latency(self, mode: RMACMode) -> int:
        """Cycles from a group's last beat to its first row on `o`."""
        if mode is RMACMode.POINTWISE:
            return self.array.latency + self.macs - 1 + self.rows.chain_latency
        fold = self.lanes - 1 if mode is RMACMode.ROW_SUM else 0
        return self.array.latency + self.rows.capture_latency + fold

    def spacing(self, before: RMACMode, after: RMACMode, rows: int = 0, *, resumed: bool = False) -> int:
        """Least cycles from the last beat of a group to the next one: to its first beat, but to its last beat when both
        accumulate by themselves. rows: how many leave the group before (ROW_SUM: any number stands for `lanes`)."""
        rows = self.lanes if before is RMACMode.ROW_SUM else rows
        if before is RMACMode.POINTWISE:
            return 1 if after is RMACMode.POINTWISE else self.macs
        if after is RMACMode.POINTWISE:
            return max(1, rows + 2 - self.macs)
        return max(rows, 3 + self.rows.lead if resumed else 1)

    def model(self, mode: RMACMode, features, weights, count=None):
        """All rows of one accumulation, over as many groups as it took. features, weights: (beats, lanes, macs) int8;
        count: (beats,), for ROW_SUM (default: all lanes).

        Returns int64: (1, lanes) for POINTWISE, (lanes, macs) for DEPTHWISE and OUTER, (1, macs) for ROW_SUM.
        OverflowError when an operand that the mode uses leaves int8, a count its range, or a result `accumulator_bits`.
        """
        features, weights = np.asarray(features), np.asarray(weights)
        if mode is RMACMode.POINTWISE:
            features = features[:, :1]
        elif mode is RMACMode.DEPTHWISE:
            weights = weights[:, :1]
        elif mode is RMACMode.OUTER:
            features, weights = features[:, :1], weights[:, :, :1]
        else:
            count = np.full(len(features), self.lanes) if count is None else count
            count = arithmetic.check_range(count, 0, self.lanes, "count")
            weights = (np.arange(self.lanes) < count[:, np.newaxis])[:, :, np.newaxis].astype(np.int64)
        features = arithmetic.check_range(features, -128, 127, "features")
        weights = arithmetic.check_range(weights, -128, 127, "weights")
        sums = np.sum(features * weights, axis=0, dtype=np.int64)
        if mode is RMACMode.POINTWISE:
            sums = sums.sum(axis=-1)[np.newaxis]
        elif mode is RMACMode.ROW_SUM:
            sums = sums.sum(axis=0)[np.newaxis]
        return arithmetic.check_range(sums, *arithmetic.signed_range(self.accumulator_bits), "result")

    def elaborate(self, platform):
        m = Module()
        m.submodules.operands = operands = self.operands
        m.submodules.array = array = self.array
        m.submodules.rows = rows = self.rows
        p = self.i.payload
        pointwise, row_sum = p.mode == RMACMode.POINTWISE, p.mode == RMACMode.ROW_SUM
        down = Signal()
        alone = Signal()
        m.d.comb += [down.eq(self.i.valid & pointwise), alone.eq(self.i.valid & ~pointwise)]
        bottom = array.latency + self.macs - 1  # cycles from a beat to its sums in the last column
        chained = delayed(m, down, bottom, "down", reset=True)
        m.d.comb += [
            operands.features.eq(p.features),
            operands.weights.eq(p.weights),
            operands.outer.eq(p.mode == RMACMode.OUTER),
            operands.one.eq(row_sum),
            operands.own.eq(Cat(~row_sum | (p.count > lane) for lane in range(self.lanes))),
            operands.skewed.eq(Cat(*chained[: self.macs])),
            array.a.eq(operands.a),
            array.b.eq(operands.b),
            array.chained.eq(operands.skewed),
            array.alone.eq(alone),
            array.first.eq(p.first),
            rows.sums.eq(array.sums),
            rows.chain.valid.eq(chained[bottom]),
            rows.chain.first.eq(delayed(m, p.first, bottom, "first")[bottom]),
            rows.chain.last.eq(delayed(m, p.last, bottom, "last")[bottom]),
        ]
        layout = rows.drain.shape()
        drain = data.View(layout, Signal(layout.size, name="drain"))
        m.d.comb += [
            drain.valid.eq(alone & p.last),
            drain.rows.eq(Mux(row_sum, self.lanes, p.rows)),
            drain.double.eq(p.double & ~row_sum),
            drain.fold.eq(row_sum),
            drain.resumed.eq(p.resumed),
            drain.final.eq(p.final),
        ]
        captures = delayed(m, drain.valid, array.latency, "captures", reset=True)
        flags = delayed(m, drain.as_value()[1:], array.latency - rows.lead, "drain")
        m.d.comb += [
            rows.capture.eq(captures[array.latency]),
            rows.drain.eq(Cat(captures[array.latency - rows.lead], flags[-1])),
            self.o.valid.eq(rows.o.valid),
            self.o.payload.eq(rows.o.payload),
        ]
        return m
