"""MAT engine: lanes of multipliers and adder trees, one control, one result register."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.shapes import OPERAND, PSUM
from triovit.hdl.mat.lane import MATLane
from triovit.hdl.validation import check_integer


class MATEngine(wiring.Component):
    """`lanes` inner products of a shared feature vector, accumulated over a group of beats.

    Lanes are output channels, multipliers input channels: generic convolution, pointwise convolution and MatMul.

    Parameters
    ----------
    lanes, multipliers : int, 2..32

    Members
    -------
    i : In(stream) of StructLayout
        features : ArrayLayout(signed(8), multipliers), broadcast to all lanes.
        first, last : first and last beat of an accumulation group (both for a single beat).
        weights : ArrayLayout(ArrayLayout(signed(8), multipliers), lanes).
    o : Out(stream) of StructLayout
        acc : ArrayLayout(signed(32), lanes), acc[l] = sum over beats and m of features[m] * weights[l][m].

    Latency: `latency = 4 + ceil_log2(multipliers)` cycles from acceptance of a group's last beat to its result being
    offered, when nothing stalls. Initiation interval 1 beat, also for groups of one beat.

    Stalls: the result register lets the array go on with the next group while a result waits. When the next result is
    due and the register is not being emptied, one enable freezes the array and `i.ready` is low; nothing is lost.
    `i.ready` depends on `o.ready` in the same cycle.

    Numerics: exact products and trees, 32-bit two's complement accumulators that wrap, which the compiler's bounds
    exclude.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), MAT engine.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, multipliers: int):
        self.lanes = check_integer("lanes", lanes, 2, 32)
        self.multipliers = check_integer("multipliers", multipliers, 2, 32)
        self._array = [MATLane(multipliers) for _ in range(lanes)]
        self.latency = self._array[0].latency + 1
        vector = data.ArrayLayout(OPERAND, multipliers)
        # The flags stand between features and weights so that no lane's two operands are one slice of the payload: the
        # Verilog writer would join them into one port, and that lane would not be the same module as the others.
        i_layout = data.StructLayout(
            {"features": vector, "first": 1, "last": 1, "weights": data.ArrayLayout(vector, lanes)}
        )
        o_layout = data.StructLayout({"acc": data.ArrayLayout(PSUM, lanes)})
        super().__init__({"i": In(stream.Signature(i_layout)), "o": Out(stream.Signature(o_layout))})

    @staticmethod
    def model(features, weights):
        """Result of one group. features: (beats, multipliers), weights: (beats, lanes, multipliers), both int8.

        Returns (lanes,) int64; OverflowError when a result leaves int32.
        """
        return MATLane.model(np.asarray(features)[:, np.newaxis], weights)

    def elaborate(self, platform):
        m = Module()
        p = self.i.payload
        depth = self.latency - 2  # enabled cycles from acceptance to the accumulator's addition
        # Tags of the beats in flight; bit k is a beat accepted k + 1 enabled cycles ago.
        valid = Signal(depth)
        first = Signal(depth, reset_less=True)
        last = Signal(depth + 1)
        enable = Signal()
        due = Signal()
        acc_en = Signal()
        result = Signal(self.o.payload.shape(), reset_less=True)
        m.d.comb += [
            due.eq(last[-1]),
            enable.eq(~due | ~self.o.valid | self.o.ready),
            acc_en.eq(enable & valid[-1]),
            self.i.ready.eq(enable),
            self.o.payload.eq(result),
        ]
        with m.If(enable):
            m.d.sync += [
                valid.eq(Cat(self.i.valid, valid)),
                first.eq(Cat(p.first, first)),
                last.eq(Cat(self.i.valid & p.last, last)),
            ]
        for index, lane in enumerate(self._array):
            m.submodules[f"lane{index}"] = lane
            m.d.comb += [
                lane.features.eq(p.features),
                lane.weights.eq(p.weights[index]),
                lane.acc_first.eq(first[-1]),
                lane.acc_en.eq(acc_en),
                lane.en.eq(enable),
            ]
        with m.If(due & enable):
            m.d.sync += [self.o.valid.eq(1), *(result.acc[k].eq(lane.acc) for k, lane in enumerate(self._array))]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
