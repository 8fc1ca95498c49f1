"""MAT engine: lanes of multipliers, one control, one row of accumulators."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.choice import pair_of
from triovit.hdl.multiplier.pair import LATENCY, Addend
from triovit.hdl.shapes import OPERAND
from triovit.hdl.validation import check_even, check_integer


class MATEngine(wiring.Component):
    """`lanes` inner products of a shared feature vector, accumulated over a group of beats.

    Lanes are output channels, multipliers input channels: generic convolution, pointwise convolution and MatMul. The
    multipliers of two lanes are a cascade of pairs, whose last sums go to the accumulators. Everything moves in every
    cycle, nothing waits.

    Parameters
    ----------
    lanes : int, 2..32, even
    multipliers : int, 2..31
    accumulator_bits : int, 20..32
        Bits of results.

    Members
    -------
    i : In(stream, always ready) of StructLayout
        features : ArrayLayout(signed(8), multipliers), for all lanes.
        first, last : first and last beat of an accumulation group (both for a single beat).
        weights : ArrayLayout(ArrayLayout(signed(8), multipliers), lanes), skewed: column m belongs to the beat m cycles
        earlier, and is read whether or not `i.valid` is high by then.
    o : Out(stream, always ready) of StructLayout
        acc : ArrayLayout(signed(accumulator_bits), lanes); acc[l] = sum over beats and m of features[m] * weights[l][m]

    Latency: `latency = multipliers + 4` cycles from a group's last beat to its row on `o`. Initiation interval 1 beat,
    also for groups of one beat.

    Numerics: exact products and cascades, two's complement accumulators that wrap, which the compiler's bounds exclude.
    Of every product, weight or feature lies in -127..127, the other in -128..127 (what `hdl.multiplier.packed` asks of
    up to 8 multipliers): weights of layers do, and where K^T V holds -128 the features are 0..127.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), MAT engine; a cascade in place of its adder tree, since a DSP has the adders.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, multipliers: int, accumulator_bits: int = 27):
        self.lanes = check_even("lanes", lanes, 2, 32)
        self.multipliers = check_integer("multipliers", multipliers, 2, 31)
        self.accumulator_bits = check_integer("accumulator_bits", accumulator_bits, 20, 32)
        self.latency = LATENCY + multipliers
        vector = data.ArrayLayout(OPERAND, multipliers)
        i_layout = data.StructLayout(
            {"features": vector, "first": 1, "last": 1, "weights": data.ArrayLayout(vector, lanes)}
        )
        o_layout = data.StructLayout({"acc": data.ArrayLayout(signed(accumulator_bits), lanes)})
        super().__init__(
            {
                "i": In(stream.Signature(i_layout, always_ready=True)),
                "o": Out(stream.Signature(o_layout, always_ready=True)),
            }
        )

    def model(self, features, weights):
        """Result of one group. features: (beats, multipliers), weights: (beats, lanes, multipliers), both int8.

        Returns (lanes,) int64; OverflowError when an operand leaves int8 or a result `accumulator_bits`.
        """
        features = arithmetic.check_range(features, -128, 127, "features")
        weights = arithmetic.check_range(weights, -128, 127, "weights")
        sums = np.sum(features[:, np.newaxis] * weights, axis=(0, -1), dtype=np.int64)
        return arithmetic.check_range(sums, *arithmetic.signed_range(self.accumulator_bits), "result")

    def elaborate(self, platform):
        m = Module()
        p, kind = self.i.payload, pair_of(platform)
        pairs = [
            [kind(1, self.multipliers, cascaded=j > 0) for j in range(self.multipliers)] for _ in range(self.lanes // 2)
        ]
        bottom = self.latency - 1  # cycles from a beat to its sums in the last column
        valid = delayed(m, self.i.valid, bottom, "valid", reset=True)
        first = delayed(m, p.first, bottom, "first")[bottom]
        last = delayed(m, p.last, bottom, "last")[bottom]
        for j in range(self.multipliers):
            feature = delayed(m, p.features[j], j, f"feature{j}")[j]
            for q, row in enumerate(pairs):
                m.submodules[f"pair{q}_{j}"] = pair = row[j]
                m.d.comb += [
                    pair.a[0].eq(p.weights[2 * q][j]),
                    pair.a[1].eq(p.weights[2 * q + 1][j]),
                    pair.b.eq(feature),
                    pair.en.eq(Cat(*valid[j : j + LATENCY])),
                    pair.addend.eq(Addend.CASCADE if j else Addend.ZERO),
                ]
                if j:
                    m.d.comb += pair.cascade_in.eq(row[j - 1].cascade_out)
        totals = Signal(self.o.payload.acc.shape(), reset_less=True)
        leaves = Signal()
        m.d.sync += leaves.eq(valid[bottom] & last)
        for lane in range(self.lanes):
            number, correction = kind.unpack(pairs[lane // 2][-1].sums, self.multipliers)[lane % 2]
            with m.If(valid[bottom]):
                m.d.sync += totals[lane].eq(Mux(first, 0, totals[lane]) + (correction + number))
        m.d.comb += [self.o.valid.eq(leaves), self.o.payload.acc.eq(totals)]
        return m
