"""AXI4-Lite slave front end of a register file."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.bus.axi4 import AXI4LiteInterface, AXI4LiteSignature, Response
from triovit.hdl.validation import check_integer


class AXI4LiteSlave(wiring.Component):
    """Turns AXI4-Lite transfers into single-cycle register accesses.

    Parameters
    ----------
    address_bits : int, 3..32

    Members
    -------
    axil : In(AXI4LiteSignature)
    write : Out(1), write_address : Out(address_bits), write_data : Out(32), write_strobes : Out(4), write_error : In(1)
        A write takes place in the cycle with `write` high. Addresses are multiples of 4 (the low bits of the bus
        address are ignored). `write_error`, in the same cycle, makes the response SLVERR.
    read : Out(1), read_address : Out(address_bits), read_data : In(32), read_error : In(1)
        The same for reads; `read_data` is sampled in the cycle with `read` high.

    Latency: 1 cycle from an access (both AW and W there, or AR) to BVALID or RVALID. Initiation interval: 1.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    axil: AXI4LiteInterface
    write: Signal
    write_address: Signal
    write_data: Signal
    write_strobes: Signal
    write_error: Signal
    read: Signal
    read_address: Signal
    read_data: Signal
    read_error: Signal

    latency = 1

    def __init__(self, address_bits: int):
        self.address_bits = check_integer("address_bits", address_bits, 3, 32)
        super().__init__(
            {
                "axil": In(AXI4LiteSignature(address_bits)),
                "write": Out(1),
                "write_address": Out(address_bits),
                "write_data": Out(32),
                "write_strobes": Out(4),
                "write_error": In(1),
                "read": Out(1),
                "read_address": Out(address_bits),
                "read_data": In(32),
                "read_error": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axil = self.axil
        m.d.comb += [
            # Address and data are taken together, so that neither needs a register here.
            self.write.eq(axil.awvalid & axil.wvalid & (~axil.bvalid | axil.bready)),
            axil.awready.eq(self.write),
            axil.wready.eq(self.write),
            self.write_address.eq(Cat(Const(0, 2), axil.awaddr[2:])),
            self.write_data.eq(axil.wdata),
            self.write_strobes.eq(axil.wstrb),
            self.read.eq(axil.arvalid & (~axil.rvalid | axil.rready)),
            axil.arready.eq(self.read),
            self.read_address.eq(Cat(Const(0, 2), axil.araddr[2:])),
        ]
        with m.If(self.write):
            m.d.sync += [axil.bvalid.eq(1), axil.bresp.eq(Mux(self.write_error, Response.SLVERR, Response.OKAY))]
        with m.Elif(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        error = Mux(self.read_error, Response.SLVERR, Response.OKAY)
        with m.If(self.read):
            m.d.sync += [axil.rvalid.eq(1), axil.rdata.eq(self.read_data), axil.rresp.eq(error)]
        with m.Elif(axil.rready):
            m.d.sync += axil.rvalid.eq(0)
        return m
