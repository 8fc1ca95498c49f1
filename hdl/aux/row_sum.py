"""Sums over tokens: the row sum of K for the divisors of ReLU attention, and the average pool."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.hdl.aux.group_accumulator import GroupAccumulator
from triovit.hdl.aux.shapes import PSUM
from triovit.hdl.validation import check_integer


class RowSum(wiring.Component):
    """Sum over all tokens of an accumulation group, a channel at a time in parallel.

    Parameters
    ----------
    tokens : int, 1..64
        Tokens (pixels) of a beat.
    channels : int, 1..64

    Members
    -------
    i : In(stream) of StructLayout
        window : ArrayLayout(ArrayLayout(signed(8), channels), tokens).
        count : range(tokens + 1), tokens of this beat that count: those from `count` on are ignored.
        first, last : first and last beat of an accumulation group (both for a single beat).
    o : Out(stream) of StructLayout
        acc : ArrayLayout(signed(32), channels).

    Latency: `latency = 1 + ceil_log2(tokens)` enabled cycles (tree levels, accumulator) from acceptance of a group's
    last beat to its sums. Initiation interval 1 beat, also for groups of one beat. A cycle is enabled when `~o.valid
    | o.ready`; sums that are not taken freeze the whole engine, `i.ready` is low, nothing is lost.

    Numerics: exact; 32 bits hold 2**24 tokens of -128.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT, adder tree for the row-wise sum of K (accelerator and dataflow sections);
    docs/numerics.md, ReLU linear attention and LayerNorm.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, tokens: int, channels: int):
        self.tokens = check_integer("tokens", tokens, 1, 64)
        self.channels = check_integer("channels", channels, 1, 64)
        self.latency = ceil_log2(tokens) + 1
        window = data.ArrayLayout(data.ArrayLayout(signed(8), channels), tokens)
        i_layout = data.StructLayout({"window": window, "count": range(tokens + 1), "first": 1, "last": 1})
        o_layout = data.StructLayout({"acc": data.ArrayLayout(PSUM, channels)})
        super().__init__({"i": In(stream.Signature(i_layout)), "o": Out(stream.Signature(o_layout))})

    @staticmethod
    def model(window, count):
        """Sums of one group, (channels,) int64. window: (beats, tokens, channels) int8; count: (beats,) 0..tokens.

        OverflowError when a sum leaves int32 or a count is out of range.
        """
        window = arithmetic.check_range(window, -128, 127, "window")
        tokens = window.shape[1]
        count = arithmetic.check_range(count, 0, tokens, "count")
        counts = np.arange(tokens) < count[:, np.newaxis]
        return GroupAccumulator.model((window * counts[:, :, np.newaxis]).sum(axis=1))

    def elaborate(self, platform):
        m = Module()
        p = self.i.payload
        delay = self.latency - 1
        m.submodules.accumulator = accumulator = GroupAccumulator(self.channels, 8 + delay, delay)
        for channel in range(self.channels):
            m.submodules[f"tree{channel}"] = tree = AdderTree(self.tokens, 8)
            m.d.comb += [tree.i[k].eq(Mux(p.count > k, p.window[k][channel], 0)) for k in range(self.tokens)]
            m.d.comb += [tree.en.eq(accumulator.en), accumulator.values[channel].eq(tree.o)]
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
