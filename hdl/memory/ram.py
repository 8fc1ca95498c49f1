"""Synchronous RAM: hand-written Verilog in the generated design, an Amaranth memory in Amaranth's simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.memory.macro import MacroKind
from triovit.hdl.technology import technology_of
from triovit.hdl.validation import check_integer

RAM_SOURCE = Path(__file__).with_name("ram.v")
RAM_MODULE = "triovit_ram"  # the module in it
STYLES = ("auto", "block", "ultra", "distributed")


class Ram(wiring.Component):
    """RAM of `depth` words of `width` bits with one write port and one read port.

    Parameters
    ----------
    width : int, 1..1024
        Bits of a word.
    depth : int, 2..2**24
        Words. At an address beyond the last one a write is lost and a read is undefined.
    style : str
        Hint to FPGA synthesis: "auto", "block", "ultra" or "distributed".
    latency : int, 1..2
        2 adds the register behind the array; block RAMs have it in them, and it makes their outputs fast.
    parts : int, a divisor of `width`
        Equal parts of a word, each with a strobe of its own.

    Members
    -------
    write_en : In(parts), write_address : In(log2(depth)), write_data : In(width)
        Part p of the word is written at the end of a cycle with `write_en[p]` high.
    read_en : In(1), read_address : In(log2(depth)), read_data : Out(width)
        `read_data` shows the word `latency` cycles after `read_en`, and keeps it until the next read.

    Latency: `latency`, initiation interval 1 on both ports. A word read in the cycle it is written is undefined (the
    old value in simulation): programs order both, and block RAMs differ. Contents and `read_data` are undefined after
    power-up (zero in simulation) and unaffected by reset.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours. The Verilog is in `ram.v`; `hdl.emit.verilog` adds it to the files of a design. In technology `asic`
    each kind has a module around it, for a macro (`hdl.memory.macro`).
    """

    write_en: Signal
    write_address: Signal
    write_data: Signal
    read_en: Signal
    read_address: Signal
    read_data: Signal
    contents: Any  # of the twin, once it is elaborated: a simulation can look into it, and flip bits

    VERILOG_FILES = {RAM_MODULE: RAM_SOURCE}  # for `hdl.emit.verilog`

    def __init__(self, width: int, depth: int, style: str = "auto", *, latency: int = 1, parts: int = 1):
        self.width = check_integer("width", width, 1, 1024)
        self.depth = check_integer("depth", depth, 2, 1 << 24)
        self.latency = check_integer("latency", latency, 1, 2)
        self.parts = check_integer("parts", parts, 1, width)
        if width % parts:
            raise ValueError(f"parts must divide the width, {width}, which {parts} does not")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
        self.style = style
        address = ceil_log2(depth)
        super().__init__(
            {
                "write_en": In(parts),
                "write_address": In(address),
                "write_data": In(width),
                "read_en": In(1),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    @property
    def kind(self) -> MacroKind:
        """What another RAM that could be the same macro has in common with it."""
        return MacroKind(self.depth, self.width, self.parts, self.latency, self.style)

    @property
    def facts(self) -> dict:
        """For the list of memories in a design's map."""
        return self.kind._asdict()

    @property
    def verilog_texts(self) -> dict[str, str]:
        """For `hdl.emit.verilog`: the module that stands for a macro."""
        return {self.kind.module: self.kind.text}

    def elaborate(self, platform):
        m = Module()
        technology = technology_of(platform)
        connections = {
            "i_clk": ClockSignal(),
            "i_write_en": self.write_en,
            "i_write_address": self.write_address,
            "i_write_data": self.write_data,
            "i_read_en": self.read_en,
            "i_read_address": self.read_address,
            "o_read_data": self.read_data,
        }
        if technology.simulated:
            made: Any = memory  # Amaranth's types do not know what its memories are made of
            self.contents = made.MemoryData(shape=self.width, depth=self.depth, init=[])
            m.submodules.memory = twin = made.Memory(self.contents)
            # A read port is not transparent unless told otherwise.
            write, read = twin.write_port(granularity=self.width // self.parts), twin.read_port()
            m.d.comb += [
                write.en.eq(self.write_en),
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data),
                read.en.eq(self.read_en),
                read.addr.eq(self.read_address),
            ]
            shown = read.data
            if self.latency == 2:
                shown = Signal(self.width, name="output_data", reset_less=True)
                m.d.sync += shown.eq(read.data)
            m.d.comb += self.read_data.eq(shown)
        elif technology.macros:
            m.submodules.ram = Instance(self.kind.module, **connections, i_memory_control=technology.memory_control)
        else:
            m.submodules.ram = Instance(
                RAM_MODULE,
                p_WIDTH=self.width,
                p_DEPTH=self.depth,
                p_ADDRESS_BITS=ceil_log2(self.depth),
                p_LATENCY=self.latency,
                p_PARTS=self.parts,
                p_STYLE=self.style,
                **connections,
            )
        return m
