"""LayerNorm of the head: integer mean and variance, bitwise square root, reciprocal by restoring division."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.hdl.aux.rounding_shift import RoundingShift, saturate
from triovit.hdl.validation import check_integer

CHANNEL_BITS = 13  # N = 0..4096
SUM_BITS = 20  # S1: 4096 * -128 fits
SQUARE_BITS = 27  # S2: 4096 * 2**14 fits
ROOT_BITS = 20  # of a variance below 2**40; the largest is 4096**2 * 127.5**2 + 2**32
QUOTIENT_BITS = 17  # 2**16 when the root is a power of two
DIFFERENCE_BITS = 21  # N * x - S1
Z_BITS = 16
SHIFT_OFFSET = 16 - arithmetic.LAYER_NORM_FRACTION_BITS
STAGES = 6  # of the second pass


class LayerNorm(wiring.Component):
    """acc = weight * z with z the normalised vector, 9 fraction bits; the vector is streamed twice.

    Pass 1 gathers S1 = sum(x) and S2 = sum(x**2). Then the unit computes, with `i.ready` low, the variance
    N * S2 - S1**2 + epsilon, its integer square root r bit by bit (the first set bit of r is its leading one, index
    L), and R = floor(2**(L + 16) / r) by restoring division. Pass 2 gives a beat for every beat.

    Parameters
    ----------
    lanes : int, 1..64
        Channels a beat. A pass has ceil(N / lanes) beats.

    Members
    -------
    i : In(stream) of StructLayout
        x : ArrayLayout(signed(8), lanes), the same values in both passes; 0 in lanes beyond channel N.
        weight : ArrayLayout(signed(8), lanes), ignored in pass 1.
        channels : unsigned(13), N = 1..4096; taken with the last beat of pass 1.
        epsilon : unsigned(32), eps * N**2 / scale**2; taken with the last beat of pass 1.
        last : last beat of a pass.
    o : Out(stream) of StructLayout
        acc : ArrayLayout(signed(32), lanes), a beat for every beat of pass 2. Lanes beyond channel N carry weight * z
            of x = 0.

    Latency, all in enabled cycles (`~o.valid | o.ready`): `latency = 6` from a beat of pass 2 to its result, initiation
    interval 1 in both passes; `i.ready` is low for `solve_cycles = 40 + ceil_log2(lanes)` cycles between pass 1 and
    pass 2 (sums 1 + ceil_log2(lanes), variance 2, root 20, division 17), and never between pass 2 and the next
    vector. A vector takes `2 * ceil(N / lanes) + solve_cycles` cycles. A result that is not taken freezes the whole
    unit.

    Numerics: z = sat16(rshift((N * x - S1) * R, L + 7)); everything else is exact. A variance of zero gives R = 0.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: EfficientViT's classification head, integer form in docs/numerics.md, LayerNorm; sums of x
    and x**2 as in P2-ViT's LN unit.
    """

    i: stream.Interface
    o: stream.Interface

    latency = STAGES

    def __init__(self, lanes: int):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        self._drain = 1 + ceil_log2(lanes)  # from a beat's squares to its sums being in the accumulators
        self.solve_cycles = self._drain + 2 + ROOT_BITS + QUOTIENT_BITS
        vector = data.ArrayLayout(signed(8), lanes)
        i_layout = data.StructLayout(
            {"x": vector, "weight": vector, "channels": unsigned(CHANNEL_BITS), "epsilon": unsigned(32), "last": 1}
        )
        o_layout = data.StructLayout({"acc": data.ArrayLayout(signed(arithmetic.ACCUMULATOR_BITS), lanes)})
        super().__init__({"i": In(stream.Signature(i_layout)), "o": Out(stream.Signature(o_layout))})

    @staticmethod
    def model(x, weight, epsilon=0):
        """x, weight: (N,) int8, N = 1..4096; epsilon: 0 .. 2**32 - 1. Returns (N,) int64, `arithmetic.layer_norm`."""
        return arithmetic.layer_norm(np.asarray(x), weight, epsilon)

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        gather = Signal()
        normalize = Signal()
        reciprocal = Signal(QUOTIENT_BITS, reset_less=True)
        lead = Signal(range(ROOT_BITS), reset_less=True)
        mean = Signal(signed(SUM_BITS), reset_less=True)  # S1, the mean times N, of the vector in pass 2
        channels = Signal(CHANNEL_BITS, reset_less=True)
        m.d.comb += [
            enable.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(enable & (gather | normalize)),
        ]
        total, squares, clear = self._gather(m, enable, gather)
        self._normalize(m, enable, normalize, channels, mean, reciprocal, lead)
        accept = self.i.valid & enable

        epsilon = Signal(32, reset_less=True)
        scaled_squares = Signal(CHANNEL_BITS + SQUARE_BITS, reset_less=True)
        squared_sum = Signal(2 * SUM_BITS, reset_less=True)
        variance = Signal(2 * ROOT_BITS, reset_less=True)
        root = Signal(ROOT_BITS, reset_less=True)
        power = Signal(ROOT_BITS, reset_less=True)  # 1 << lead
        remainder = Signal(ROOT_BITS + 2, reset_less=True)
        step = Signal(range(ROOT_BITS))

        with m.FSM():
            with m.State("gather"):
                m.d.comb += gather.eq(1)
                with m.If(accept & self.i.payload.last):
                    m.d.sync += [
                        channels.eq(self.i.payload.channels),
                        epsilon.eq(self.i.payload.epsilon),
                        step.eq(self._drain - 1),
                    ]
                    m.next = "drain"
            with m.State("drain"):
                with m.If(enable):
                    m.d.sync += step.eq(step - 1)
                    with m.If(step == 0):
                        m.next = "products"
            with m.State("products"):
                m.d.comb += clear.eq(1)
                with m.If(enable):
                    m.d.sync += [scaled_squares.eq(channels * squares), squared_sum.eq(total * total), mean.eq(total)]
                    m.next = "variance"
            with m.State("variance"):
                with m.If(enable):
                    m.d.sync += [
                        variance.eq(scaled_squares - squared_sum + epsilon),
                        root.eq(0),
                        remainder.eq(0),
                        step.eq(ROOT_BITS - 1),
                    ]
                    m.next = "root"
            with m.State("root"):
                # Two bits of the variance a step: the next bit of the root is set when 4 * root + 1 fits the remainder.
                pair = Signal(ROOT_BITS + 2)
                trial = Signal(ROOT_BITS + 2)
                bit = Signal()
                m.d.comb += [pair.eq(Cat(variance[-2:], remainder)), trial.eq(Cat(1, 0, root)), bit.eq(pair >= trial)]
                with m.If(enable):
                    m.d.sync += [
                        variance.eq(variance << 2),
                        remainder.eq(Mux(bit, pair - trial, pair)),
                        root.eq(Cat(bit, root)),
                        power.eq(Mux(root == 0, bit, power << 1)),
                        lead.eq(Mux(root == 0, 0, lead + 1)),
                        step.eq(step - 1),
                    ]
                    with m.If(step == 0):
                        m.d.sync += [remainder.eq(Mux(root == 0, bit, power << 1)), step.eq(QUOTIENT_BITS - 1)]
                        m.next = "divide"
            with m.State("divide"):
                # The dividend 2**(L + 16) enters as 2**L. A root of zero has power 0 and must give 0, not all ones.
                fits = Signal()
                m.d.comb += fits.eq((remainder >= root) & (remainder != 0))
                with m.If(enable):
                    m.d.sync += [
                        remainder.eq(Mux(fits, remainder - root, remainder) << 1),
                        reciprocal.eq(Cat(fits, reciprocal)),
                        step.eq(step - 1),
                    ]
                    with m.If(step == 0):
                        m.next = "normalize"
            with m.State("normalize"):
                m.d.comb += normalize.eq(1)
                with m.If(accept & self.i.payload.last):
                    m.next = "gather"
        return m

    def _gather(self, m, enable, gather):
        """Pass 1: S1 and S2, and the signal that clears them when they have been used."""
        m.submodules.sum_tree = sum_tree = AdderTree(self.lanes, 8)
        m.submodules.square_tree = square_tree = AdderTree(self.lanes, 16)
        total = Signal(signed(SUM_BITS))
        squares = Signal(SQUARE_BITS)
        clear = Signal()
        x = Signal(self.i.payload.x.shape(), reset_less=True)
        valid = Signal(self._drain)  # beats on their way to the accumulators: the registers of x and of the trees
        with m.If(enable):
            m.d.sync += [x.eq(self.i.payload.x), valid.eq(Cat(gather & self.i.valid, valid))]
            with m.If(clear):
                m.d.sync += [total.eq(0), squares.eq(0)]
            with m.Elif(valid[-1]):
                m.d.sync += [total.eq(total + sum_tree.o), squares.eq(squares + square_tree.o)]
        m.d.comb += [sum_tree.i.eq(x), sum_tree.en.eq(enable), square_tree.en.eq(enable)]
        m.d.comb += [square_tree.i[k].eq(x[k] * x[k]) for k in range(self.lanes)]
        return total, squares, clear

    def _normalize(self, m, enable, normalize, channels, mean, reciprocal, lead):
        """Pass 2: the multiplications of a lane, one register a stage.

        The constants of a vector are held until its last beat has used them: the next vector's pass 1 takes longer than
        these stages.
        """
        valid = Signal(STAGES)
        m.d.comb += self.o.valid.eq(valid[-1])
        with m.If(enable):
            m.d.sync += valid.eq(Cat(normalize & self.i.valid, valid))
        weights = [Signal(self.i.payload.weight.shape(), name=f"weight{k}", reset_less=True) for k in range(STAGES - 1)]
        with m.If(enable):
            m.d.sync += [new.eq(old) for old, new in zip([self.i.payload.weight, *weights], weights, strict=False)]
        for k in range(self.lanes):
            scaled = Signal(signed(DIFFERENCE_BITS), name=f"scaled{k}", reset_less=True)
            difference = Signal(signed(DIFFERENCE_BITS), name=f"difference{k}", reset_less=True)
            product = Signal(signed(DIFFERENCE_BITS + QUOTIENT_BITS), name=f"product{k}", reset_less=True)
            rounded = Signal(signed(len(product)), name=f"rounded{k}")
            z = Signal(signed(Z_BITS), name=f"z{k}", reset_less=True)
            acc = Signal(signed(Z_BITS + 8), name=f"acc{k}", reset_less=True)
            m.submodules[f"rounding{k}"] = rounding = RoundingShift(len(product), ROOT_BITS - 1 + SHIFT_OFFSET)
            m.d.comb += [
                rounding.i.value.eq(product),
                rounding.i.shift.eq(lead + SHIFT_OFFSET),
                rounding.en.eq(enable),
                rounded.eq(rounding.o),
                self.o.payload.acc[k].eq(acc),
            ]
            with m.If(enable):
                m.d.sync += [
                    scaled.eq(channels * self.i.payload.x[k]),
                    difference.eq(scaled - mean),
                    product.eq(difference * reciprocal),
                    z.eq(saturate(rounded, Z_BITS)),
                    acc.eq(z * weights[-1][k]),
                ]
