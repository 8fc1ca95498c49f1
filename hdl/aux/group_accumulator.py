"""Accumulators over groups of beats, with the control of the pipeline in front of them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.shapes import PSUM
from triovit.hdl.validation import check_integer


class GroupAccumulator(wiring.Component):
    """Adds the values of a group of beats; the accumulators themselves are the output, one freeze holds everything.

    The owner streams a beat's tags in, sends its data through a pipeline of `delay` registers that advance with `en`,
    and connects the end of that pipeline to `values`.

    Parameters
    ----------
    lanes : int, 1..1024
        Accumulators.
    width : int, 1..64
        Bits of a value, two's complement.
    delay : int, 0..64
        Enabled cycles from a beat's tags to its values.

    Members
    -------
    i : In(stream) of {first: 1, last: 1}
        First and last beat of an accumulation group, both for a group of one beat.
    values : In(ArrayLayout(signed(width), lanes))
    en : Out(1)
        Enable of the owner's pipeline.
    o : Out(stream) of {acc: ArrayLayout(signed(32), lanes)}
        Sums of a group.

    Latency: `latency = delay + 1` enabled cycles from a group's last beat to its sums; initiation interval 1 beat,
    also for groups of one beat. A cycle is enabled when `~o.valid | o.ready`, and `i.ready` is that condition itself:
    it depends on `o.ready` in the same cycle.

    Numerics: 32-bit two's complement sums that wrap, which the compiler's bounds exclude.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT and M2-ViT, accumulators behind the adder trees.
    """

    i: stream.Interface
    values: data.View
    en: Signal
    o: stream.Interface

    def __init__(self, lanes: int, width: int, delay: int):
        self.lanes = check_integer("lanes", lanes, 1, 1024)
        self.width = check_integer("width", width, 1, 64)
        self.delay = check_integer("delay", delay, 0, 64)
        self.latency = delay + 1
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"first": 1, "last": 1}))),
                "values": In(data.ArrayLayout(signed(width), lanes)),
                "en": Out(1),
                "o": Out(stream.Signature(data.StructLayout({"acc": data.ArrayLayout(PSUM, lanes)}))),
            }
        )

    @staticmethod
    def model(values):
        """Sums over the first axis (beats) as int64; OverflowError when one leaves int32."""
        return arithmetic.check_range(
            arithmetic.check_range(values, *arithmetic.signed_range(62), "values").sum(axis=0),
            *arithmetic.signed_range(arithmetic.ACCUMULATOR_BITS),
            "accumulator",
        )

    def elaborate(self, platform):
        m = Module()
        # Tags of the beats in flight; bit k of a register is a beat accepted k + 1 enabled cycles ago.
        tags = {"valid": self.i.valid, "first": self.i.payload.first, "last": self.i.payload.last}
        registers = [Signal(self.delay, reset_less=name != "valid", name=f"{name}_before") for name in tags]
        lines = [Cat(tag, register) for tag, register in zip(tags.values(), registers, strict=True)]
        valid, first, last = (line[self.delay] for line in lines)

        acc = Signal(self.o.payload.acc.shape(), reset_less=True)
        done = Signal()
        m.d.comb += [
            self.en.eq(~done | self.o.ready),
            self.i.ready.eq(self.en),
            self.o.valid.eq(done),
            self.o.payload.acc.eq(acc),
        ]
        with m.If(self.en):
            m.d.sync += done.eq(valid & last)
            m.d.sync += [register.eq(line) for register, line in zip(registers, lines, strict=True)]
            with m.If(valid):
                m.d.sync += [acc[k].eq(self.values[k] + Mux(first, 0, acc[k])) for k in range(self.lanes)]
        return m
