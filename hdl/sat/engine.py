"""Shifter-adder tree (SAT) engine."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.hdl.aux.group_accumulator import GroupAccumulator
from triovit.hdl.sat.shifter_unit import ShifterUnit, code_layout
from triovit.hdl.shapes import OPERAND, PSUM
from triovit.hdl.validation import check_integer


class ShifterAdderTree(wiring.Component):
    """`lanes` inner products of a shared activation vector with APoT weights, accumulated over a group of beats.

    Lanes are output channels, units input channels: pointwise convolution and MatMul.

    Parameters
    ----------
    lanes : int, 1..64
    units : int, 1..64
        Shifter units per lane.
    format : ApotFormat
        Code of the weights.

    Members
    -------
    i : In(stream) of StructLayout
        activations : ArrayLayout(signed(8), units), broadcast to all lanes.
        codes : ArrayLayout(ArrayLayout({sign, e1, e2}, units), lanes).
        first, last : first and last beat of an accumulation group (both for a single beat).
    o : Out(stream) of StructLayout
        acc : ArrayLayout(signed(32), lanes), acc[l] = sum over beats and u of activations[u] * value(codes[l][u]).

    Latency: `latency = 3 + ceil_log2(units)` enabled cycles (shifters, adder, tree levels, accumulator) from
    acceptance of a group's last beat to its result being offered. Initiation interval 1 beat, also for groups of one
    beat. A cycle is enabled when `~o.valid | o.ready`; a result that is not taken freezes the whole engine, `i.ready`
    is low, nothing is lost.

    Numerics: exact products and trees; 32-bit two's complement accumulators that wrap, which the compiler's bounds
    exclude.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: M2-ViT, SAT engine of the accelerator section; docs/numerics.md, APoT weights.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, units: int, format: ApotFormat):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        self.units = check_integer("units", units, 1, 64)
        self.format = format
        i_layout = data.StructLayout(
            {
                "activations": data.ArrayLayout(OPERAND, units),
                "codes": data.ArrayLayout(data.ArrayLayout(code_layout(format), units), lanes),
                "first": 1,
                "last": 1,
            }
        )
        self.latency = ShifterUnit.latency + ceil_log2(units) + 1
        o_layout = data.StructLayout({"acc": data.ArrayLayout(PSUM, lanes)})
        super().__init__({"i": In(stream.Signature(i_layout)), "o": Out(stream.Signature(o_layout))})

    def model(self, activations, codes):
        """Result of one group, (lanes,) int64; activations: (beats, units) int8, codes: (beats, lanes, units).

        OverflowError when a result leaves int32.
        """
        activations = arithmetic.check_range(activations, -128, 127, "activation")
        products = activations[:, np.newaxis, :] * self.format.decode(codes)
        return GroupAccumulator.model(products.sum(axis=-1))

    def elaborate(self, platform):
        m = Module()
        p = self.i.payload
        width = self.format.product_bits + ceil_log2(self.units)
        m.submodules.accumulator = accumulator = GroupAccumulator(self.lanes, width, self.latency - 1)
        for index in range(self.lanes):
            m.submodules[f"tree{index}"] = tree = AdderTree(self.units, self.format.product_bits)
            for k in range(self.units):
                m.submodules[f"unit{index}_{k}"] = unit = ShifterUnit(self.format)
                m.d.comb += [
                    unit.i.activation.eq(p.activations[k]),
                    unit.i.code.eq(p.codes[index][k]),
                    unit.en.eq(accumulator.en),
                    tree.i[k].eq(unit.o),
                ]
            m.d.comb += [tree.en.eq(accumulator.en), accumulator.values[index].eq(tree.o)]
        m.d.comb += [
            accumulator.i.payload.first.eq(p.first),
            accumulator.i.payload.last.eq(p.last),
            accumulator.i.valid.eq(self.i.valid),
            self.i.ready.eq(accumulator.i.ready),
            self.o.valid.eq(accumulator.o.valid),
            self.o.payload.eq(accumulator.o.payload),
            accumulator.o.ready.eq(self.o.ready),
        ]
        return m
