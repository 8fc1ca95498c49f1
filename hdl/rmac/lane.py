"""A chain of R-MACs with the accumulator of down-forward mode."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.shapes import OPERAND, PSUM
from triovit.hdl.rmac.cell import AccumulationMode, RMACCell
from triovit.hdl.rmac.skew import OperandSkew
from triovit.hdl.validation import check_integer


class RMACLane(wiring.Component):
    """`macs` R-MAC cells in a chain, the psum of cell j going to cell j + 1.

    Down-forward accumulation: the chain sums over its cells (input channels) and the lane accumulator at its bottom
    over beats (channel blocks, kernel taps). Self-accumulation: every cell sums over beats for itself.

    Parameters
    ----------
    macs : int, 2..32
        Cells of the chain.

    Members
    -------
    features : In(ArrayLayout(signed(8), macs))
        First operands, already skewed in down-forward mode (the skew registers of features are shared by all lanes).
    weights : In(ArrayLayout(signed(8), macs))
        Second operands, not skewed: the lane does it.
    skewed : In(1)
        With the operands: the weights go through the skew line (down-forward mode).
    mode : In(AccumulationMode), first : In(1), psum_en : In(1)
        The cells' controls, 2 enabled cycles after the operands (in the cycle that adds cell 0's product).
    acc_first, acc_en : In(1)
        The lane accumulator starts anew / takes the psum of the last cell, macs + 2 enabled cycles after the operands.
    en : In(1)
        Operand, skew and product registers advance. `psum_en` and `acc_en` must be low whenever it is low.
    psums : Out(ArrayLayout(signed(32), macs))
        psum of every cell, result of self-accumulation.
    acc : Out(signed(32))
        Lane accumulator, result of down-forward accumulation.

    Latency: `latency(SELF) = 3` enabled cycles from the operands to `psums` (operand register, product, psum);
    `latency(DOWN) = macs + 3` to `acc`. Initiation interval 1. Datapath registers have no reset.

    Numerics: exact products, 32-bit two's complement sums that wrap (excluded by the compiler's bounds).

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine.
    """

    features: data.View
    weights: data.View
    skewed: Signal
    mode: enum.EnumView
    first: Signal
    psum_en: Signal
    acc_first: Signal
    acc_en: Signal
    en: Signal
    psums: data.View
    acc: Signal

    def __init__(self, macs: int):
        self.macs = check_integer("macs", macs, 2, 32)
        operands = data.ArrayLayout(OPERAND, macs)
        super().__init__(
            {
                "features": In(operands),
                "weights": In(operands),
                "skewed": In(1),
                "mode": In(AccumulationMode),
                "first": In(1),
                "psum_en": In(1),
                "acc_first": In(1),
                "acc_en": In(1),
                "en": In(1),
                "psums": Out(data.ArrayLayout(PSUM, macs)),
                "acc": Out(PSUM),
            }
        )

    def latency(self, mode: AccumulationMode) -> int:
        """Enabled cycles from the operands of a beat to `psums` (SELF) or `acc` (DOWN)."""
        return RMACCell.latency + 1 + (self.macs if mode is AccumulationMode.DOWN else 0)

    @staticmethod
    def model(mode: AccumulationMode, features, weights):
        """One accumulation group. features, weights: (beats, ..., macs) int8, broadcast against each other.

        Returns int64: the accumulator, shape (...), in mode DOWN; the psums, shape (..., macs), in mode SELF.
        OverflowError when a result leaves int32.
        """
        features = arithmetic.check_range(features, -128, 127, "features")
        weights = arithmetic.check_range(weights, -128, 127, "weights")
        axis = (0, -1) if mode is AccumulationMode.DOWN else 0
        total = np.sum(features * weights, axis=axis, dtype=np.int64)
        return arithmetic.check_range(total, *arithmetic.signed_range(arithmetic.ACCUMULATOR_BITS), "psum")

    def elaborate(self, platform):
        m = Module()
        m.submodules.skew = skew = OperandSkew(self.macs)
        a = Signal(self.features.shape(), reset_less=True)
        b = Signal(self.weights.shape(), reset_less=True)
        m.d.comb += [skew.i.eq(self.weights), skew.skewed.eq(self.skewed), skew.en.eq(self.en)]
        with m.If(self.en):
            m.d.sync += [a.eq(self.features), b.eq(skew.o)]

        above = 0
        for j in range(self.macs):
            cell = RMACCell()
            m.submodules[f"cell{j}"] = cell
            m.d.comb += [
                cell.a.eq(a[j]),
                cell.b.eq(b[j]),
                cell.psum_in.eq(above),
                cell.mode.eq(self.mode),
                cell.first.eq(self.first),
                cell.en.eq(self.en),
                cell.psum_en.eq(self.psum_en),
                self.psums[j].eq(cell.psum_out),
            ]
            above = cell.psum_out

        total = Signal(PSUM, reset_less=True)
        with m.If(self.acc_en):
            m.d.sync += total.eq(above + Mux(self.acc_first, 0, total))
        m.d.comb += self.acc.eq(total)
        return m
