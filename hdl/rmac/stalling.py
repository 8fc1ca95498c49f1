"""R-MAC engine: lanes of reconfigurable multiplier-accumulators, one control, one result drain."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.shapes import OPERAND, PSUM
from triovit.hdl.rmac.cell import AccumulationMode
from triovit.hdl.rmac.lane import RMACLane
from triovit.hdl.rmac.skew import OperandSkew
from triovit.hdl.validation import check_integer


class RMACMode(enum.Enum, shape=2):
    """Operand pattern of a beat. The value 3 is reserved and behaves as OUTER."""

    POINTWISE = 0
    DEPTHWISE = 1
    OUTER = 2


class RMACEngine(wiring.Component):
    """`lanes` x `macs` array for pointwise and generic convolution, depthwise convolution and K^T V.

    A beat feeds all cells once. An accumulation group is one or more beats of one mode, marked `first` ... `last`. Its
    results leave as rows while the array goes on with the next group.

    | mode | accumulation | cell (l, m) multiplies | rows of a group |
    |---|---|---|---|
    | POINTWISE | down-forward | features[0][m] * weights[l][m] | one: acc[l] = sum over m and beats (channel l) |
    | DEPTHWISE | self | features[l][m] * weights[0][m] | `rows`: row r, acc[m] = sum over beats (pixel r, channel m) |
    | OUTER | self | features[0][m] * weights[l][0] | `rows`: row r, acc[m] = sum over beats (v_r, k_m) |

    Parameters
    ----------
    lanes, macs : int, 2..32

    Members
    -------
    i : In(stream) of StructLayout
        features, weights : ArrayLayout(ArrayLayout(signed(8), macs), lanes); what a mode does not name is ignored.
        mode : RMACMode, constant within a group. first, last : first and last beat of the group (both if single).
        rows : range(lanes + 1), rows to deliver, read with `last` of a DEPTHWISE or OUTER group; 0 delivers none.
    o : Out(stream) of StructLayout
        acc : ArrayLayout(signed(32), max(lanes, macs)), unused elements zero. last : last row of the group.

    Latency: `latency(mode)` cycles from acceptance of the last beat to its first row being offered, when nothing
    stalls: macs + 4 for POINTWISE, 4 for DEPTHWISE and OUTER; further rows follow one per cycle. Initiation interval 1
    beat; a group costs more only if its rows (1, or `rows`) exceed its beats.

    Stalls: when a group's results are due and the drain still holds rows that do not leave in this cycle, one enable
    freezes the array and `i.ready` is low; nothing is lost. `i.ready` depends on `o.ready` and `i.payload.mode` in the
    same cycle. A DEPTHWISE or OUTER beat is accepted at the earliest macs + 1 enabled cycles after the last POINTWISE
    beat, i.e. with macs bubble cycles: the operands on their way through the skew line need the cells in down-forward
    mode. The other direction costs no bubble.

    Numerics: exact products of any int8 (-128 * -128 too), 32-bit two's complement sums that wrap, which the compiler's
    bounds exclude.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine: down-forward accumulation and self-accumulation.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, macs: int):
        self.lanes = check_integer("lanes", lanes, 2, 32)
        self.macs = check_integer("macs", macs, 2, 32)
        self.width = max(lanes, macs)
        operands = data.ArrayLayout(data.ArrayLayout(OPERAND, macs), lanes)
        i_layout = data.StructLayout(
            {
                "features": operands,
                "weights": operands,
                "mode": RMACMode,
                "first": 1,
                "last": 1,
                "rows": range(lanes + 1),
            }
        )
        o_layout = data.StructLayout({"acc": data.ArrayLayout(PSUM, self.width), "last": 1})
        super().__init__({"i": In(stream.Signature(i_layout)), "o": Out(stream.Signature(o_layout))})

    def latency(self, mode: RMACMode) -> int:
        """Cycles from acceptance of a group's last beat to its first row on `o`, without stalls."""
        return 4 + (self.macs if mode is RMACMode.POINTWISE else 0)

    @staticmethod
    def model(mode: RMACMode, features, weights):
        """All rows of one accumulation group. features, weights: (beats, lanes, macs) int8.

        Returns int64 (1, lanes) for POINTWISE, (lanes, macs) for DEPTHWISE and OUTER; OverflowError when an operand
        that the mode uses leaves int8, or a result int32.
        """
        features, weights = np.asarray(features), np.asarray(weights)
        if mode is RMACMode.POINTWISE:
            return RMACLane.model(AccumulationMode.DOWN, features[:, :1], weights)[np.newaxis]
        if mode is RMACMode.DEPTHWISE:
            return RMACLane.model(AccumulationMode.SELF, features, weights[:, :1])
        return RMACLane.model(AccumulationMode.SELF, features[:, :1], weights[:, :, :1])

    def elaborate(self, platform):
        m = Module()
        lanes = [RMACLane(self.macs) for _ in range(self.lanes)]
        for index, lane in enumerate(lanes):
            m.submodules[f"lane{index}"] = lane
        enable = Signal()  # the whole array advances
        due = self._build_control(m, lanes, enable)
        self._build_operands(m, lanes, enable)
        self._build_drain(m, lanes, enable, *due)
        return m

    def _build_control(self, m, lanes, enable):
        """Tags of the beats in flight; bit k of a word is a beat accepted k + 1 enabled cycles ago.

        Returns (down_due, self_due, rows): results stand in the lane accumulators / in the psum registers.
        """
        p = self.i.payload
        bottom = self.macs + 1  # bit of a down-forward beat whose psum stands in the last cell
        down_valid = Signal(bottom + 1)
        down_first = Signal(bottom + 1, reset_less=True)
        down_last = Signal(bottom + 2)
        self_valid = Signal(2)
        self_first = Signal(2, reset_less=True)
        self_last = Signal(3)
        rows = [Signal(range(self.lanes + 1), name=f"rows{k}", reset_less=True) for k in range(3)]

        # The operand multiplexers obey the beats in the skew line first: that asks for macs - 1 bubbles. One more keeps
        # the results from being due together, as the lane accumulator takes down-forward beats per cycle longer.
        self.skewed = Signal()
        clear = Signal()
        pointwise = p.mode == RMACMode.POINTWISE
        accept = self.i.valid & self.i.ready
        m.d.comb += [
            clear.eq(down_valid[: self.macs] == 0),
            self.skewed.eq(pointwise | ~clear),
            self.i.ready.eq(enable & (pointwise | clear)),
        ]
        down = Signal()
        alone = Signal()
        m.d.comb += [down.eq(accept & pointwise), alone.eq(accept & ~pointwise)]
        with m.If(enable):
            m.d.sync += [
                down_valid.eq(Cat(down, down_valid)),
                down_first.eq(Cat(p.first, down_first)),
                down_last.eq(Cat(down & p.last, down_last)),
                self_valid.eq(Cat(alone, self_valid)),
                self_first.eq(Cat(p.first, self_first)),
                self_last.eq(Cat(alone & p.last, self_last)),
                *(after.eq(before) for before, after in zip([p.rows, *rows[:-1]], rows, strict=True)),
            ]

        # Bit 1: products are being added in cell 0 (down-forward) or in all cells (self-accumulation).
        adding = self_valid[1] | (down_valid[1 : self.macs + 1] != 0)
        psum_en = Signal()
        acc_en = Signal()
        m.d.comb += [psum_en.eq(enable & adding), acc_en.eq(enable & down_valid[bottom])]
        for lane in lanes:
            m.d.comb += [
                lane.en.eq(enable),
                lane.skewed.eq(self.skewed),
                lane.mode.eq(Mux(self_valid[1], AccumulationMode.SELF, AccumulationMode.DOWN)),
                lane.first.eq(self_first[1]),
                lane.psum_en.eq(psum_en),
                lane.acc_first.eq(down_first[bottom]),
                lane.acc_en.eq(acc_en),
            ]
        return down_last[bottom + 1], self_last[2], rows[2]

    def _build_operands(self, m, lanes, enable):
        """Broadcast patterns of the three modes; features are skewed once for all lanes, weights in each lane."""
        p = self.i.payload
        m.submodules.skew = skew = OperandSkew(self.macs)
        depthwise = Signal()
        m.d.comb += [
            skew.i.eq(p.features[0]),
            skew.skewed.eq(self.skewed),
            skew.en.eq(enable),
            depthwise.eq(~self.skewed & (p.mode == RMACMode.DEPTHWISE)),
        ]
        for index, lane in enumerate(lanes):
            m.d.comb += lane.features.eq(Mux(depthwise, p.features[index], skew.o))
            with m.If(p.mode == RMACMode.POINTWISE):
                m.d.comb += lane.weights.eq(p.weights[index])
            with m.Elif(p.mode == RMACMode.DEPTHWISE):
                m.d.comb += lane.weights.eq(p.weights[0])
            with m.Else():
                m.d.comb += [lane.weights[j].eq(p.weights[index][0]) for j in range(self.macs)]

    def _build_drain(self, m, lanes, enable, down_due, self_due, rows):
        """Shift bank of result rows, row 0 on `o`; drives the enable of the array."""
        bank = [
            Signal(data.ArrayLayout(PSUM, self.width if r == 0 else self.macs), name=f"row{r}", reset_less=True)
            for r in range(self.lanes)
        ]
        count = Signal(range(self.lanes + 1))
        due = Signal()
        free = Signal()
        m.d.comb += [
            self.o.valid.eq(count != 0),
            self.o.payload.acc.eq(bank[0]),
            self.o.payload.last.eq(count == 1),
            due.eq(down_due | self_due),
            free.eq((count == 0) | ((count == 1) & self.o.ready)),
            enable.eq(~due | free),
        ]
        with m.If(due & free):
            m.d.sync += count.eq(Mux(down_due, 1, rows))
            for k in range(self.width):
                acc = lanes[k].acc if k < self.lanes else 0
                psum = lanes[0].psums[k] if k < self.macs else 0
                m.d.sync += bank[0][k].eq(Mux(down_due, acc, psum))
            m.d.sync += [bank[r].eq(lanes[r].psums) for r in range(1, self.lanes)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += count.eq(count - 1)
            for k in range(self.width):
                m.d.sync += bank[0][k].eq(bank[1][k] if k < self.macs else 0)
            m.d.sync += [bank[r].eq(bank[r + 1]) for r in range(1, self.lanes - 1)]
        return m
