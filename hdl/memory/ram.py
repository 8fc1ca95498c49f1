"""Synchronous RAM: hand-written Verilog in the generated design, an Amaranth memory in Amaranth's simulator."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.validation import check_integer

RAM_SOURCE = Path(__file__).with_name("ram.v")
RAM_MODULE = "triovit_ram"  # the module in it
STYLES = ("auto", "block", "ultra", "distributed")

_simulated = ContextVar("simulated", default=False)


@contextlib.contextmanager
def simulation_memories():
    """Memories elaborated inside this context are Amaranth memories, which Amaranth's own simulator can run.

    `amaranth.sim.Simulator` elaborates in its constructor, so `with simulation_memories(): sim = Simulator(dut)` is
    enough. Verilog must be emitted outside: Amaranth writes one line per row of a memory.
    """
    token = _simulated.set(True)
    try:
        yield
    finally:
        _simulated.reset(token)


class Ram(wiring.Component):
    """RAM of `depth` words of `width` bits with one write port and one read port.

    Parameters
    ----------
    width : int, 1..1024
        Bits a word.
    depth : int, 2..2**24
        Words. A power of two, so that every address exists.
    style : str
        Hint to FPGA synthesis: "auto", "block", "ultra" or "distributed".

    Members
    -------
    write_en : In(1), write_address : In(log2(depth)), write_data : In(width)
        The word is written at the end of a cycle with `write_en` high.
    read_en : In(1), read_address : In(log2(depth)), read_data : Out(width)
        `read_data` shows the word one cycle after `read_en`, and keeps it while `read_en` is low.

    Latency: `latency = 1`, initiation interval 1 on both ports. A word read in the cycle it is written gives the old
    value. Contents and `read_data` are undefined after power-up (zero in simulation) and unaffected by reset.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours. The Verilog is in `ram.v`; `hdl.emit.verilog` adds it to the files of a design.
    """

    write_en: Signal
    write_address: Signal
    write_data: Signal
    read_en: Signal
    read_address: Signal
    read_data: Signal

    latency = 1
    VERILOG_FILES = (RAM_SOURCE,)  # for `hdl.emit.verilog`

    def __init__(self, width: int, depth: int, style: str = "auto"):
        self.width = check_integer("width", width, 1, 1024)
        self.depth = check_integer("depth", depth, 2, 1 << 24)
        if depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, not {depth}")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
        self.style = style
        address = ceil_log2(depth)
        super().__init__(
            {
                "write_en": In(1),
                "write_address": In(address),
                "write_data": In(width),
                "read_en": In(1),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if _simulated.get():
            m.submodules.memory = twin = memory.Memory(shape=self.width, depth=self.depth, init=[])
            write, read = twin.write_port(), twin.read_port()  # a read port is non-transparent unless told otherwise
            m.d.comb += [
                write.en.eq(self.write_en),
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data),
                read.en.eq(self.read_en),
                read.addr.eq(self.read_address),
                self.read_data.eq(read.data),
            ]
        else:
            m.submodules.ram = Instance(
                RAM_MODULE,
                p_WIDTH=self.width,
                p_DEPTH=self.depth,
                p_ADDRESS_BITS=ceil_log2(self.depth),
                p_STYLE=self.style,
                i_clk=ClockSignal(),
                i_write_en=self.write_en,
                i_write_address=self.write_address,
                i_write_data=self.write_data,
                i_read_en=self.read_en,
                i_read_address=self.read_address,
                o_read_data=self.read_data,
            )
        return m
