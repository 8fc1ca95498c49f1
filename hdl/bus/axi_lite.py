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

    No output of `axil` depends on one of its inputs in the same cycle (IHI 0022, A3.1.1): address and data are taken
    into registers, AW and W in any order, and a channel is ready while its register is empty. So the next access is
    taken while a response waits, and carried out once that is gone.

    Latency: 2 cycles from the transfer of AR, or of the later one of AW and W, to RVALID or BVALID: one to the access,
    one to the response. Initiation interval: 2, for reads and writes each.

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

    latency = 2

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

    def _hold(self, m, channel: str, *names: str) -> tuple[Signal, list[Signal]]:
        """Register behind a channel: whether it is full (whoever uses it clears that), and the named payload.

        Nobody may wait for READY with VALID, so READY shows that the register is empty, whatever VALID is.
        """
        axil = self.axil
        full = Signal(name=f"{channel}_full")
        members = [getattr(axil, channel + name) for name in names]
        held = [Signal.like(member, name=f"{channel}{name}_held") for member, name in zip(members, names, strict=True)]
        m.d.comb += getattr(axil, f"{channel}ready").eq(~full)
        with m.If(getattr(axil, f"{channel}valid") & ~full):
            m.d.sync += [full.eq(1), *(value.eq(member) for value, member in zip(held, members, strict=True))]
        return full, held

    def elaborate(self, platform):
        m = Module()
        axil = self.axil
        address_full, (address,) = self._hold(m, "aw", "addr")
        data_full, (data, strobes) = self._hold(m, "w", "data", "strb")
        m.d.comb += [
            self.write.eq(address_full & data_full & (~axil.bvalid | axil.bready)),
            self.write_address.eq(Cat(Const(0, 2), address[2:])),
            self.write_data.eq(data),
            self.write_strobes.eq(strobes),
        ]
        error = Mux(self.write_error, Response.SLVERR, Response.OKAY)
        with m.If(self.write):
            m.d.sync += [address_full.eq(0), data_full.eq(0), axil.bvalid.eq(1), axil.bresp.eq(error)]
        with m.Elif(axil.bready):
            m.d.sync += axil.bvalid.eq(0)

        full, (address,) = self._hold(m, "ar", "addr")
        m.d.comb += [
            self.read.eq(full & (~axil.rvalid | axil.rready)),
            self.read_address.eq(Cat(Const(0, 2), address[2:])),
        ]
        error = Mux(self.read_error, Response.SLVERR, Response.OKAY)
        with m.If(self.read):
            m.d.sync += [full.eq(0), axil.rvalid.eq(1), axil.rdata.eq(self.read_data), axil.rresp.eq(error)]
        with m.Elif(axil.rready):
            m.d.sync += axil.rvalid.eq(0)
        return m
