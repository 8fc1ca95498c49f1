"""AXI4 read master shared by instruction fetch and LOAD."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.bus.axi4 import (
    BURST,
    ID_BITS,
    AXI4Interface,
    AXI4Signature,
    Response,
    address_attributes,
    read_beat,
)
from triovit.hdl.bus.register_slice import RegisterSlice
from triovit.hdl.integrity.parity_queue import queue
from triovit.hdl.validation import check_integer


class ReadMaster(wiring.Component):
    """Two clients on the AR and R channels of one AXI4 port; beats go back in the order of the bursts.

    Parameters
    ----------
    data_bytes : int, power of two, 1..128
    outstanding : int, 1..64
        Bursts under way, of both clients together.

    Members
    -------
    fetch_ar, load_ar : In(stream of BURST)
        Bursts to read; FETCH goes first. Addresses are multiples of the beat size, no burst crosses 4 KB.
    fetch_r, load_r : Out(stream of `read_beat`)
        Beats of the client's own bursts. A client that is not ready holds up the other one, so FETCH asks only for
        what it has room for, and LOAD's stalls are short; of several ports one can wait for the slowest of them.
    m_axi : Out(AXI4Signature, read channels)
        All bursts carry ID 0: a slave answers them in order.
    halt : In(1)
        No burst is taken, and what is under way belongs to nobody any more: its beats are taken in and thrown away,
        also after `halt`, when bursts of the next program stand behind it. So the clients can be reset at any time.
    idle : Out(1)
        No burst is under way.
    broken : Out(1)
        The slave has broken a rule: a beat without a burst, RLAST before or not at a burst's end, an RID other than 0,
        or EXOKAY. A burst is over with RLAST, so that both sides go on with the same one.
    beat : Out(1)
        A beat is transferred (for counters).
    damaged : Out(1), with `integrity` only
        A bit has flipped in the list of bursts, which has a parity bit in each word then.

    Latency: `latency = 1` cycle from a client's `ar` to ARVALID, `beat_latency = 1` from R to the client, 2 from R to
    `broken`. Initiation interval: one burst, one beat per cycle. All outputs of `m_axi` are registers: what is offered
    stays, and RREADY waits for nobody.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    fetch_ar: stream.Interface
    load_ar: stream.Interface
    fetch_r: stream.Interface
    load_r: stream.Interface
    m_axi: AXI4Interface
    halt: Signal
    idle: Signal
    broken: Signal
    beat: Signal
    damaged: Signal

    latency = 1
    beat_latency = RegisterSlice.latency

    def __init__(self, data_bytes: int, outstanding: int, *, integrity: bool = False):
        self.data_bytes, self.integrity = data_bytes, integrity
        self.outstanding = check_integer("outstanding", outstanding, 1, 64)
        super().__init__(
            {
                "fetch_ar": In(stream.Signature(BURST)),
                "load_ar": In(stream.Signature(BURST)),
                "fetch_r": Out(stream.Signature(read_beat(data_bytes))),
                "load_r": Out(stream.Signature(read_beat(data_bytes))),
                "m_axi": Out(AXI4Signature(data_bytes, write=False)),
                "halt": In(1),
                "idle": Out(1),
                "broken": Out(1),
                "beat": Out(1),
                **({"damaged": Out(1)} if integrity else {}),
            }
        )

    def _addresses(self, m, bursts, layout):
        """AR channel: a burst goes to the address register and onto the list at once."""
        axi, fetch, load = self.m_axi, self.fetch_ar, self.load_ar
        room = Signal()
        taken = Signal()
        burst: Any = Signal(BURST, name="burst")
        entry: Any = Signal(layout, name="entry")
        m.d.comb += [
            room.eq((~axi.arvalid | axi.arready) & bursts.w_rdy & ~self.halt),
            fetch.ready.eq(room),
            load.ready.eq(room & ~fetch.valid),
            taken.eq(room & (fetch.valid | load.valid)),
            burst.eq(Mux(fetch.valid, fetch.payload, load.payload)),
            entry.fetch.eq(fetch.valid),
            entry.length.eq(burst.length),
            bursts.w_en.eq(taken),
            bursts.w_data.eq(entry),
            *address_attributes(axi, "ar", self.data_bytes),
        ]
        with m.If(taken):
            m.d.sync += [axi.arvalid.eq(1), axi.araddr.eq(burst.address), axi.arlen.eq(burst.length)]
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        listed = data.StructLayout({"fetch": 1, "length": unsigned(8)})
        bursts: Any = queue(m, "bursts", listed.size, self.outstanding, integrity=self.integrity)
        if self.integrity:
            m.d.comb += self.damaged.eq(bursts.damaged)
        self._addresses(m, bursts, listed)

        beats = data.StructLayout({**read_beat(self.data_bytes).members, "id": unsigned(ID_BITS)})
        m.submodules.beats = received = RegisterSlice(beats)
        burst = Signal(listed)  # that the present beat belongs to
        beat = received.o.payload
        taken = Signal()
        count = Signal(8)  # its beats so far
        nobodys = Signal()
        left = Signal(range(self.outstanding + 1))  # bursts of before `halt`
        m.d.comb += [
            received.i.valid.eq(axi.rvalid),
            axi.rready.eq(received.i.ready),
            *(
                received.i.payload[name].eq(port)
                for name, port in (
                    ("data", axi.rdata), ("response", axi.rresp), ("last", axi.rlast), ("id", axi.rid)
                )
            ),
            burst.eq(bursts.r_data),
            nobodys.eq(self.halt | (left != 0) | ~bursts.r_rdy),
            received.o.ready.eq(nobodys | Mux(burst.fetch, self.fetch_r.ready, self.load_r.ready)),
            taken.eq(received.o.valid & received.o.ready),
            bursts.r_en.eq(taken & beat.last),
            self.idle.eq(~bursts.r_rdy),
            self.beat.eq(taken),
        ]  # fmt: skip
        for client, mine in ((self.fetch_r, burst.fetch), (self.load_r, ~burst.fetch)):
            m.d.comb += [
                *(client.payload[name].eq(beat[name]) for name in ("data", "response", "last")),
                client.valid.eq(received.o.valid & ~nobodys & mine),
            ]
        over = Signal()
        m.d.comb += over.eq(bursts.r_en & bursts.r_rdy)
        with m.If(self.halt):
            m.d.sync += left.eq(bursts.level - over)
        with m.Elif(over & (left != 0)):
            m.d.sync += left.eq(left - 1)
        with m.If(taken):
            m.d.sync += count.eq(Mux(beat.last, 0, count + 1))
        ends = Signal()
        m.d.comb += ends.eq(count == burst.length)
        m.d.sync += self.broken.eq(
            taken & (~bursts.r_rdy | (beat.last != ends) | (beat.id != 0) | (beat.response == Response.EXOKAY))
        )
        return m
