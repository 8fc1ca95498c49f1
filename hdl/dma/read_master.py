"""AXI4 read master shared by instruction fetch and LOAD."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.bus.axi4 import READ_BURST, AXI4Interface, AXI4Signature, address_attributes, read_beat
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
    fetch_ar, load_ar : In(stream of READ_BURST)
        Bursts to read; FETCH goes first. Addresses are multiples of the beat size, no burst crosses 4 KB.
    fetch_r, load_r : Out(stream of `read_beat`)
        Beats of the client's own bursts. A client that is not ready holds up the other one, so FETCH asks only for
        what it has room for, and LOAD's stalls are short.
    m_axi : Out(AXI4Signature, read channels)
        All bursts carry ID 0: a slave answers them in order.
    beat : Out(1)
        A beat is transferred (for counters).

    Latency: 1 cycle from a client's `ar` to ARVALID (registered, so that it never changes once it is offered), 0
    cycles from R to the client. Initiation interval: one burst, one beat per cycle.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    fetch_ar: stream.Interface
    load_ar: stream.Interface
    fetch_r: stream.Interface
    load_r: stream.Interface
    m_axi: AXI4Interface
    beat: Signal

    latency = 1

    def __init__(self, data_bytes: int, outstanding: int):
        self.data_bytes = data_bytes
        self.outstanding = check_integer("outstanding", outstanding, 1, 64)
        super().__init__(
            {
                "fetch_ar": In(stream.Signature(READ_BURST)),
                "load_ar": In(stream.Signature(READ_BURST)),
                "fetch_r": Out(stream.Signature(read_beat(data_bytes))),
                "load_r": Out(stream.Signature(read_beat(data_bytes))),
                "m_axi": Out(AXI4Signature(data_bytes, write=False)),
                "beat": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi = self.m_axi
        m.submodules.owners = owners = fifo.SyncFIFO(width=1, depth=self.outstanding)  # 1: FETCH

        room = Signal()
        taken = Signal()
        m.d.comb += [
            room.eq((~axi.arvalid | axi.arready) & owners.w_rdy),
            self.fetch_ar.ready.eq(room),
            self.load_ar.ready.eq(room & ~self.fetch_ar.valid),
            taken.eq(room & (self.fetch_ar.valid | self.load_ar.valid)),
            owners.w_en.eq(taken),
            owners.w_data.eq(self.fetch_ar.valid),
            *address_attributes(axi, "ar", self.data_bytes),
        ]
        with m.If(taken):
            fetch, load = self.fetch_ar, self.load_ar
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(Mux(fetch.valid, fetch.payload.address, load.payload.address)),
                axi.arlen.eq(Mux(fetch.valid, fetch.payload.length, load.payload.length)),
            ]
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)

        for client, mine in ((self.fetch_r, owners.r_data), (self.load_r, ~owners.r_data)):
            m.d.comb += [
                client.payload.data.eq(axi.rdata),
                client.payload.response.eq(axi.rresp),
                client.payload.last.eq(axi.rlast),
                client.valid.eq(axi.rvalid & owners.r_rdy & mine),
            ]
        m.d.comb += [
            axi.rready.eq(owners.r_rdy & Mux(owners.r_data, self.fetch_r.ready, self.load_r.ready)),
            self.beat.eq(axi.rvalid & axi.rready),
            owners.r_en.eq(self.beat & axi.rlast),
        ]
        return m
