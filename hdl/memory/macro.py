"""A kind of RAM as a module of its own, whose body is meant to be replaced by a macro of the process."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.utils import ceil_log2

from triovit.hdl.technology import MEMORY_CONTROL_BITS


class MacroKind(NamedTuple):
    """What tells one kind of RAM from another, as `hdl.memory.ram.Ram` has it."""

    depth: int
    width: int
    parts: int
    latency: int
    style: str

    @property
    def bits(self) -> int:
        return self.depth * self.width

    @property
    def module(self) -> str:
        """triovit_ram_1024x64_latency2: depth and width, parts if a word has several, latency, style unless auto."""
        parts = [f"triovit_ram_{self.depth}x{self.width}"]
        parts += [f"parts{self.parts}"] if self.parts > 1 else []
        return "_".join([*parts, f"latency{self.latency}", *([] if self.style == "auto" else [self.style])])

    @property
    def text(self) -> str:
        """Verilog: the ports of the macro's place, and the behaviour of `ram.v` in it."""
        word, address, strobes = self.width - 1, ceil_log2(self.depth) - 1, self.parts - 1
        part, pins = self.width // self.parts, MEMORY_CONTROL_BITS - 1
        strobe = "write_en" if self.parts == 1 else f"write_en[p], for the bits from {part} * p on,"
        cycles = "a cycle" if self.latency == 1 else f"{self.latency} cycles"
        return f"""\
// {self.depth} words of {self.width} bits with one write port and one read port: {self.bits} bits.
//
// To use a macro, put its instance in place of `behaviour`. What the design relies on:
//   {strobe} high writes at write_address at the end of the cycle;
//   read_en high reads at read_address, and read_data shows the word {cycles} later, until the next read.
// Nothing relies on contents or read_data after power-up, nor on a word that is read in the cycle it is written.
// memory_control is that of the top module, for pins of test, margin and power; the behaviour does not look at it.
module {self.module} (
    input  wire clk,
    input  wire [{strobes}:0] write_en,
    input  wire [{address}:0] write_address,
    input  wire [{word}:0] write_data,
    input  wire read_en,
    input  wire [{address}:0] read_address,
    output wire [{word}:0] read_data,
    input  wire [{pins}:0] memory_control
);
    triovit_ram #(
        .WIDTH({self.width}), .DEPTH({self.depth}), .ADDRESS_BITS({address + 1}),
        .LATENCY({self.latency}), .PARTS({self.parts}), .STYLE("{self.style}")
    ) behaviour (
        .clk(clk),
        .write_en(write_en), .write_address(write_address), .write_data(write_data),
        .read_en(read_en), .read_address(read_address), .read_data(read_data)
    );
endmodule
"""
