"""AXI4 write master behind STORE."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.bus.axi4 import (
    BURST,
    AXI4Interface,
    AXI4Signature,
    Response,
    address_attributes,
    write_beat,
)
from triovit.hdl.integrity.parity_queue import queue
from triovit.hdl.validation import check_integer


class WriteMaster(wiring.Component):
    """A client on the AW, W and B channels of an AXI4 port.

    Parameters
    ----------
    data_bytes : int, power of two, 1..128
    outstanding : int, 1..64
        Bursts under way.

    Members
    -------
    aw : In(stream of BURST)
        Bursts to write. Addresses are multiples of the beat size, no burst crosses 4 KB.
    w : In(stream of `write_beat`)
        Beats of the bursts, in order; WLAST is made here. Data never waits for AWREADY: a slave may want to see it
        first.
    answered : Out(1), response : Out(2)
        A burst, the oldest one, has been answered. BREADY is always high.
    m_axi : Out(AXI4Signature, write channels)
        All bursts carry ID 0: a slave answers them in order.
    halt : In(1)
        No burst is taken, and what is under way belongs to nobody any more: beats that are missing are sent with
        strobes off, answers are not reported, also after `halt`, when bursts of the next program stand behind it. So
        the client can be reset at any time. A beat that is on offer stays as it is.
    idle : Out(1)
        No burst is under way.
    broken : Out(1)
        The slave has broken a rule: an answer to no burst, or before the burst's address and last beat, a BID other
        than 0, or EXOKAY.
    beat : Out(1)
        A beat is transferred (for counters).
    damaged : Out(1), with `integrity` only
        A bit has flipped in the list of bursts, which has a parity bit in each word then.

    Latency: `latency = 1` cycle from `aw` to AWVALID and from `w` to WVALID, `answer_latency = 1` from B to `answered`,
    2 from B to `broken`. Initiation interval: one burst, one beat per cycle. All outputs of `m_axi` are registers.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    aw: stream.Interface
    w: stream.Interface
    answered: Signal
    response: Signal
    m_axi: AXI4Interface
    halt: Signal
    idle: Signal
    broken: Signal
    beat: Signal
    damaged: Signal

    latency = 1
    answer_latency = 1

    def __init__(self, data_bytes: int, outstanding: int, *, integrity: bool = False):
        self.data_bytes, self.integrity = data_bytes, integrity
        self.outstanding = check_integer("outstanding", outstanding, 1, 64)
        super().__init__(
            {
                "aw": In(stream.Signature(BURST)),
                "w": In(stream.Signature(write_beat(data_bytes))),
                "answered": Out(1),
                "response": Out(2),
                "m_axi": Out(AXI4Signature(data_bytes, read=False)),
                "halt": In(1),
                "idle": Out(1),
                "broken": Out(1),
                "beat": Out(1),
                **({"damaged": Out(1)} if integrity else {}),
            }
        )

    def _addresses(self, m, lengths, waiting):
        """AW channel: a burst goes to the address register and onto the list at once. Returns the strobe."""
        axi, aw = self.m_axi, self.aw
        go = Signal()
        m.d.comb += [
            aw.ready.eq((~axi.awvalid | axi.awready) & lengths.w_rdy & (waiting != self.outstanding) & ~self.halt),
            go.eq(aw.valid & aw.ready),
            lengths.w_en.eq(go),
            lengths.w_data.eq(aw.payload.length),
            *address_attributes(axi, "aw", self.data_bytes),
        ]
        with m.If(go):
            m.d.sync += [axi.awvalid.eq(1), axi.awaddr.eq(aw.payload.address), axi.awlen.eq(aw.payload.length)]
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        return go

    def _beats(self, m, lengths):
        """W channel."""
        axi, w = self.m_axi, self.w
        count = Signal(8)  # beats of the present burst so far
        left = Signal(range(self.outstanding + 1))  # bursts of before `halt`
        nobodys = Signal()
        step = Signal()
        room = Signal()
        final = Signal()
        over = Signal()
        m.d.comb += [
            nobodys.eq(self.halt | (left != 0)),
            room.eq(lengths.r_rdy & (~axi.wvalid | axi.wready)),
            w.ready.eq(room & ~nobodys),
            step.eq(room & (nobodys | w.valid)),
            final.eq(count == lengths.r_data),
            over.eq(step & final),
            lengths.r_en.eq(over),
            self.beat.eq(axi.wvalid & axi.wready),
        ]
        with m.If(step):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(w.payload.data),
                axi.wstrb.eq(Mux(nobodys, 0, w.payload.strobes)),
                axi.wlast.eq(final),
                count.eq(Mux(final, 0, count + 1)),
            ]
        with m.Elif(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(self.halt):
            m.d.sync += left.eq(lengths.level - over)
        with m.Elif(over & (left != 0)):
            m.d.sync += left.eq(left - 1)

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        # Of bursts whose beats are still to come.
        lengths: Any = queue(m, "lengths", 8, self.outstanding, integrity=self.integrity)
        if self.integrity:
            m.d.comb += self.damaged.eq(lengths.damaged)
        waiting = Signal(range(self.outstanding + 1))  # bursts without an answer
        go = self._addresses(m, lengths, waiting)
        self._beats(m, lengths)

        come = Signal()
        wrong = Signal()
        answers = Signal()
        left = Signal(range(self.outstanding + 1), name="answers_left")  # to bursts of before `halt`
        following = Signal.like(waiting)
        unsent = Signal(range(self.outstanding + 2))
        m.d.comb += [
            axi.bready.eq(1),
            answers.eq(come & (waiting != 0)),
            following.eq(waiting + go - answers),
            unsent.eq(lengths.level + (axi.wvalid & axi.wlast)),
            self.answered.eq(answers & (left == 0) & ~self.halt),
            self.idle.eq((waiting == 0) & ~lengths.r_rdy & ~axi.awvalid & ~axi.wvalid),
        ]
        m.d.sync += [
            come.eq(axi.bvalid),
            self.response.eq(axi.bresp),
            wrong.eq((axi.bid != 0) | (axi.bresp == Response.EXOKAY)),
            waiting.eq(following),
            self.broken.eq(come & (wrong | (waiting <= unsent) | (waiting <= axi.awvalid))),
        ]
        with m.If(self.halt):
            m.d.sync += left.eq(following)
        with m.Elif(answers & (left != 0)):
            m.d.sync += left.eq(left - 1)
        return m
