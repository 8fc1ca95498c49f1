"""From the sums of an R-MAC array to rows of results."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.delay_line import delayed
from triovit.hdl.memory.ram import Ram
from triovit.hdl.multiplier.choice import pair_of
from triovit.hdl.multiplier.pair import SUM, SUMS
from triovit.hdl.rmac.array import RMACArray


class Kept(enum.Enum, shape=2):
    """What a row is added to."""

    NOTHING = 0
    TOTALS = 1
    ROW = 2


def row_layout(width: int, accumulator_bits: int) -> data.StructLayout:
    """A row of results as it leaves an engine."""
    return data.StructLayout({"acc": data.ArrayLayout(signed(accumulator_bits), width), "last": 1})


class RMACRows(wiring.Component):
    """Adds chain sums to totals, and captured sums, a row per cycle, to what earlier captures left.

    Chain sums stand at the ends of the cascades; sum l of a beat is added to total l. Captured sums are a copy of all
    sums of the array: it goes on while the copy leaves row by row, row r being the `macs` sums of lane r. There is one
    set of totals for both.

    Parameters
    ----------
    lanes, macs : int
    accumulator_bits : int

    Members
    -------
    sums : In(ArrayLayout(ArrayLayout(SUMS, macs), lanes / 2))
    chain : In of {valid, first, last}
        The sums of the last column are those of a beat; the totals start anew; the totals leave as a row.
    capture : In(1)
        Copy the sums.
    drain : In of {valid, rows, double, fold, resumed, final}, `lead` cycles before `capture`
        rows: how many leave. double: lanes 0, 2, 4, ... instead of 0, 1, 2, .... fold: one row, the sum over `rows`
        lanes. resumed: they are added to the kept row of the same number (or to the kept sum). final: they leave; else
        they are kept.
    o : Out(stream, always ready) of {acc: width x signed(accumulator_bits), last: 1}
        Elements that a row does not have are zero.

    Latency: `latency = 2` cycles from chain sums to `o`, 3 from `capture` to its first row (after `fold` the last of
    `rows` rows); further rows follow one per cycle. Captures stand at least `rows` cycles apart, a resumed one at least
    3 from what it resumes. No chain sums in the cycles 1 .. rows after a capture: they would meet in the totals. Only
    `o.valid` and the number of rows left are reset.

    Numerics: two's complement sums that wrap, which the compiler's bounds exclude.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine: accumulators at the ends of the lanes. The rest is ours.
    """

    sums: data.View
    chain: data.View
    capture: Signal
    drain: data.View
    o: stream.Interface

    chain_latency = 2
    capture_latency = 3

    def __init__(self, lanes: int, macs: int, accumulator_bits: int):
        self.lanes, self.macs, self.bits = lanes, macs, accumulator_bits
        self.width = max(lanes, macs)
        self.ram = Ram(macs * accumulator_bits, 1 << max(1, ceil_log2(lanes)), "distributed")
        # A kept row is read in time for the addition, which comes a cycle behind the choice of the row.
        self.lead = self.ram.latency - 1
        sums = data.ArrayLayout(SUMS, macs)
        drain = {"valid": 1, "rows": range(lanes + 1), "double": 1, "fold": 1, "resumed": 1, "final": 1}
        layout = row_layout(self.width, accumulator_bits)
        super().__init__(
            {
                "sums": In(data.ArrayLayout(sums, lanes // 2)),
                "chain": In(data.StructLayout({"valid": 1, "first": 1, "last": 1})),
                "capture": In(1),
                "drain": In(data.StructLayout(drain)),
                "o": Out(stream.Signature(layout, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = self.ram
        row, flags = self._build_sequence(m)
        kept = Signal(Kept)
        leaves = Signal()
        stored = Signal()  # the row goes into the memory
        m.d.comb += kept.eq(Mux(self.chain.first, Kept.NOTHING, Kept.TOTALS))
        m.d.comb += leaves.eq(self.chain.valid & self.chain.last)
        with m.If(flags.valid):
            with m.If(flags.fold):
                m.d.comb += kept.eq(Mux(flags.begins & ~flags.resumed, Kept.NOTHING, Kept.TOTALS))
            with m.Else():
                m.d.comb += kept.eq(Mux(flags.resumed, Kept.ROW, Kept.NOTHING))
            m.d.comb += [
                leaves.eq(flags.final & (flags.ends | ~flags.fold)),
                stored.eq(~flags.final & ~flags.fold),
            ]
        valid = Signal()
        m.d.comb += valid.eq(flags.valid | self.chain.valid)

        addends = self._build_addends(m, pair_of(platform).unpack, row, flags.valid, valid)
        adds = delayed(m, valid, 1, "adds")[1]
        kept = delayed(m, kept, 1, "kept")[1]
        leaving = delayed(m, leaves, 2, "leaving", reset=True)[2]
        last = delayed(m, ~flags.valid | flags.ends, 2, "last")[2]
        totals = Signal(self.o.payload.acc.shape(), reset_less=True)
        read = data.View(data.ArrayLayout(signed(self.bits), self.macs), self.ram.read_data)
        with m.If(adds):
            for k, addend in enumerate(addends):
                stored_row = read[k] if k < self.macs else 0
                before = Mux(kept == Kept.TOTALS, totals[k], Mux(kept == Kept.ROW, stored_row, 0))
                m.d.sync += totals[k].eq(addend + before)
        m.d.comb += [
            self.ram.write_en.eq(delayed(m, stored, 2, "stored")[2]),
            self.ram.write_address.eq(delayed(m, row, 2, "stored_row")[2]),
            self.ram.write_data.eq(Cat(*(totals[k] for k in range(self.macs)))),
            self.o.valid.eq(leaving),
            self.o.payload.acc.eq(totals),
            self.o.payload.last.eq(last),
        ]
        return m

    def _build_sequence(self, m: Module):
        """Number of the lane whose row is chosen in this cycle, and what happens to it."""
        layout = data.StructLayout({"valid": 1, "begins": 1, "ends": 1, "fold": 1, "resumed": 1, "final": 1})
        left = Signal(range(self.lanes + 1))
        lane = Signal(range(self.lanes), reset_less=True)
        shape = self.drain.shape()
        drain = data.View(shape, Signal(shape.size, name="drain_now", reset_less=True))
        begins = Signal(reset_less=True)
        with m.If(self.drain.valid):
            m.d.sync += [left.eq(self.drain.rows), lane.eq(0), drain.eq(self.drain), begins.eq(1)]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), lane.eq(lane + Mux(drain.double, 2, 1)), begins.eq(0)]
        flags = data.View(layout, Signal(layout.size, name="flags"))
        m.d.comb += [
            flags.valid.eq(left != 0),
            flags.begins.eq(begins),
            flags.ends.eq(left == 1),
            flags.fold.eq(drain.fold),
            flags.resumed.eq(drain.resumed),
            flags.final.eq(drain.final),
            self.ram.read_en.eq(flags.valid & drain.resumed),
            self.ram.read_address.eq(lane),
        ]
        later = delayed(m, flags.as_value(), self.lead, "flags")[-1]
        return delayed(m, lane, self.lead, "lane")[-1], data.View(layout, later)

    def _build_addends(self, m: Module, unpack, row, from_copy, valid):
        """Registers of the numbers that are added to the totals."""
        copy = [
            [Signal(self.sums[q][j].shape(), name=f"copy{q}_{j}", reset_less=True) for j in range(self.macs)]
            for q in range(self.lanes // 2)
        ]
        with m.If(self.capture):
            m.d.sync += [copy[q][j].eq(self.sums[q][j]) for q in range(self.lanes // 2) for j in range(self.macs)]
        addends = [Signal(SUM, name=f"addend{k}", reset_less=True) for k in range(self.width)]
        for k, addend in enumerate(addends):
            number, correction = 0, 0
            if k < self.macs:
                chosen = Signal(self.sums[0][k].shape(), name=f"chosen{k}")
                with m.Switch(row[1:]):
                    for q in range(self.lanes // 2):
                        with m.Case(q):
                            m.d.comb += chosen.eq(copy[q][k])
                low, high = unpack(chosen, RMACArray.longest)
                number, correction = (Mux(row[0], upper, lower) for lower, upper in zip(low, high, strict=True))
            if k < self.lanes:
                chained = unpack(self.sums[k // 2][-1], self.macs)[k % 2]
                number, correction = (Mux(from_copy, a, b) for a, b in zip((number, correction), chained, strict=True))
            else:
                number, correction = Mux(from_copy, number, 0), Mux(from_copy, correction, 0)
            with m.If(valid):
                m.d.sync += addend.eq(correction + number)
        return addends
