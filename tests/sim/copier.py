"""A small design with the accelerator's ports: copies beats from one address to another, then interrupts.

It stands in for the accelerator in the tests of the harness, and can break a rule of AXI on purpose.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

START, SOURCE, TARGET, BEATS, STATUS, CYCLES, CLEAR, FAULT = range(0, 32, 4)
BURST, DEPTH = 16, 64
FAULTS = {
    "crossing": 1,
    "last": 2,
    "unstable": 3,
    "prot": 4,
    "id": 5,
    "cache": 6,
    "strobes": 7,
}  # values of the register FAULT; 0 for none
UNITS = ("load", "store")
TABLES = {"units": [{"name": unit, "number": k + 1, "trace": f"trace_{unit}"} for k, unit in enumerate(UNITS)]}


def port_table(data_bytes):
    """Name -> In(width) or Out(width) of every port but clock and reset."""
    master = {"addr": 64, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
    table = {}
    for channel in ("aw", "ar"):
        table |= {f"s_axil_{channel}addr": In(12), f"s_axil_{channel}prot": In(3), f"s_axil_{channel}valid": In(1)}
        table |= {f"s_axil_{channel}ready": Out(1), f"m_axi_{channel}ready": In(1)}
        table |= {f"m_axi_{channel}{name}": Out(width) for name, width in master.items()}
    table |= {"s_axil_wdata": In(32), "s_axil_wstrb": In(4), "s_axil_wvalid": In(1), "s_axil_wready": Out(1)}
    table |= {"s_axil_bresp": Out(2), "s_axil_bvalid": Out(1), "s_axil_bready": In(1)}
    table |= {"s_axil_rdata": Out(32), "s_axil_rresp": Out(2), "s_axil_rvalid": Out(1), "s_axil_rready": In(1)}
    table |= {"m_axi_awid": Out(1), "m_axi_arid": Out(1), "m_axi_rid": In(1), "m_axi_bid": In(1)}
    table |= {"m_axi_rdata": In(8 * data_bytes), "m_axi_rresp": In(2), "m_axi_rlast": In(1), "m_axi_rvalid": In(1)}
    table |= {"m_axi_rready": Out(1), "m_axi_wdata": Out(8 * data_bytes), "m_axi_wstrb": Out(data_bytes)}
    table |= {"m_axi_wlast": Out(1), "m_axi_wvalid": Out(1), "m_axi_wready": In(1)}
    table |= {"m_axi_bresp": In(2), "m_axi_bvalid": In(1), "m_axi_bready": Out(1), "interrupt": Out(1)}
    for unit in UNITS:
        for event in ("start", "done"):
            table |= {f"trace_{unit}_{event}": Out(1), f"trace_{unit}_{event}_index": Out(32)}
    return table


class Copier(wiring.Component):
    def __init__(self, data_bytes=16):
        self.data_bytes = data_bytes
        super().__init__(port_table(data_bytes))

    def elaborate(self, platform):
        m = Module()
        registers = {address: Signal(32, name=f"register_{address:x}") for address in (SOURCE, TARGET, BEATS, FAULT)}
        self.fault = registers[FAULT]
        self.odd = Signal()  # every second cycle: what depends on it does not stay while it waits
        m.d.sync += self.odd.eq(~self.odd)
        start, busy, error, cycles = Signal(), Signal(), Signal(), Signal(32)
        self._registers(m, registers, start, error, busy, cycles)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8 * self.data_bytes, depth=DEPTH)
        reserved = Signal(range(DEPTH + 1))  # beats in the FIFO or on their way to it
        with m.If(busy):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(start):
            m.d.sync += [busy.eq(1), error.eq(0), cycles.eq(0)]
        taken = self._reads(m, registers, start, fifo, reserved, error)
        given, finished = self._writes(m, registers, start, fifo, error)
        m.d.sync += reserved.eq(reserved + taken - given)
        with m.If(finished):
            m.d.sync += [busy.eq(0), self.interrupt.eq(1)]
        return m

    def _registers(self, m, registers, start, error, busy, cycles):
        write = Signal()
        m.d.comb += [
            write.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid),
            self.s_axil_awready.eq(write),
            self.s_axil_wready.eq(write),
            self.s_axil_arready.eq(~self.s_axil_rvalid),
            start.eq(write & (self.s_axil_awaddr == START) & self.s_axil_wdata[0]),
        ]
        with m.If(write):
            m.d.sync += self.s_axil_bvalid.eq(1)
            with m.Switch(self.s_axil_awaddr):
                for address, register in registers.items():
                    with m.Case(address):
                        m.d.sync += register.eq(self.s_axil_wdata)
                with m.Case(CLEAR):
                    m.d.sync += self.interrupt.eq(0)
        with m.Elif(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            m.d.sync += self.s_axil_rvalid.eq(1)
            with m.Switch(self.s_axil_araddr):
                for address, register in registers.items():
                    with m.Case(address):
                        m.d.sync += self.s_axil_rdata.eq(register)
                with m.Case(STATUS):
                    m.d.sync += self.s_axil_rdata.eq(error << 1 | busy)
                with m.Case(CYCLES):
                    m.d.sync += self.s_axil_rdata.eq(cycles)
                with m.Default():
                    m.d.sync += self.s_axil_rdata.eq(0)
        with m.Elif(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)

    def _burst(self, m, address, left, name):
        """Beats of the next burst: at most BURST, what is left, and up to the next 4 KiB boundary."""
        size = self.data_bytes.bit_length() - 1
        page, burst = Signal(range(4097), name=f"{name}_page"), Signal(range(BURST + 1), name=f"{name}_burst")
        m.d.comb += page.eq((4096 >> size) - address[size:12])
        limit = Mux(left < BURST, left, BURST)
        m.d.comb += burst.eq(Mux((self.fault == FAULTS["crossing"]) | (page > limit), limit, page))
        return burst

    def _reads(self, m, registers, start, fifo, reserved, error):
        address, left, taken, index = Signal(64), Signal(32), Signal(range(BURST + 1)), Signal(32)
        burst = self._burst(m, address, left, "read")
        m.d.comb += [
            self.m_axi_araddr.eq(address),
            self.m_axi_arlen.eq(burst - 1),
            self.m_axi_arsize.eq(self.data_bytes.bit_length() - 1),
            self.m_axi_arburst.eq(1),
            self.m_axi_arprot.eq(self.odd & (self.fault == FAULTS["prot"])),
            self.m_axi_arid.eq(self.fault == FAULTS["id"]),
            self.m_axi_rready.eq(1),  # space was reserved with the address
            fifo.w_en.eq(self.m_axi_rvalid),
            fifo.w_data.eq(self.m_axi_rdata),
            self.trace_load_start.eq(self.m_axi_arvalid & self.m_axi_arready),
            self.trace_load_start_index.eq(index),
        ]
        with m.If(self.m_axi_arvalid & self.m_axi_arready):
            m.d.comb += taken.eq(burst)
            m.d.sync += [
                self.m_axi_arvalid.eq(0),
                address.eq(address + (burst << (self.data_bytes.bit_length() - 1))),
                left.eq(left - burst),
                index.eq(index + 1),
            ]
        with m.Elif((left != 0) & (reserved + burst <= DEPTH)):
            m.d.sync += self.m_axi_arvalid.eq(1)
        with m.If((self.fault == FAULTS["unstable"]) & self.m_axi_arvalid & ~self.m_axi_arready):
            m.d.sync += address.eq(address ^ self.data_bytes)
        with m.If(self.m_axi_rvalid & (self.m_axi_rresp != 0)):
            m.d.sync += error.eq(1)
        with m.If(start):
            m.d.sync += [address.eq(registers[SOURCE]), left.eq(registers[BEATS]), index.eq(0)]
        return taken

    def _writes(self, m, registers, start, fifo, error):
        address, left, beats = Signal(64), Signal(32), Signal(range(BURST + 1))
        pending, index, finished, given, running = Signal(32), Signal(32), Signal(), Signal(), Signal()
        burst = self._burst(m, address, left, "write")
        last = beats == 1
        m.d.comb += [
            self.m_axi_awaddr.eq(address),
            self.m_axi_awlen.eq(burst - 1),
            self.m_axi_awsize.eq(self.data_bytes.bit_length() - 1),
            self.m_axi_awburst.eq(1),
            self.m_axi_awcache.eq(self.odd & (self.fault == FAULTS["cache"])),
            self.m_axi_wvalid.eq((beats != 0) & fifo.r_rdy),
            self.m_axi_wdata.eq(fifo.r_data),
            self.m_axi_wstrb.eq(((1 << self.data_bytes) - 1) ^ (self.odd & (self.fault == FAULTS["strobes"]))),
            self.m_axi_wlast.eq(Mux(self.fault == FAULTS["last"], beats == 2, last)),
            self.m_axi_bready.eq(1),
            given.eq(self.m_axi_wvalid & self.m_axi_wready),
            fifo.r_en.eq(given),
            self.trace_store_done.eq(given & last),
            self.trace_store_done_index.eq(index),
        ]
        with m.If(self.m_axi_awvalid & self.m_axi_awready):
            m.d.sync += [
                self.m_axi_awvalid.eq(0),
                address.eq(address + (burst << (self.data_bytes.bit_length() - 1))),
                left.eq(left - burst),
                beats.eq(burst),
            ]
        with m.Elif((left != 0) & (beats == 0) & ~self.m_axi_awvalid):
            m.d.sync += self.m_axi_awvalid.eq(1)
        with m.If(given):
            m.d.sync += beats.eq(beats - 1)
            with m.If(last):
                m.d.sync += index.eq(index + 1)
        answered = self.m_axi_bvalid & self.m_axi_bready
        m.d.sync += pending.eq(pending + (self.m_axi_awvalid & self.m_axi_awready) - answered)
        with m.If(answered & (self.m_axi_bresp != 0)):
            m.d.sync += error.eq(1)
        m.d.comb += finished.eq(running & (left == 0) & (beats == 0) & (pending == 0) & ~self.m_axi_awvalid)
        with m.If(finished):
            m.d.sync += running.eq(0)
        with m.If(start):
            m.d.sync += [address.eq(registers[TARGET]), left.eq(registers[BEATS]), index.eq(0), running.eq(1)]
        return given, finished
