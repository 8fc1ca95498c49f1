"""The instruction set as Amaranth layouts, derived from `hdl.isa.instructions`."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, LAYOUTS, layout
from triovit.hdl.isa.names import Opcode

INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
INDEX_BITS = 32


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Fields of one kind of instruction, padded to 512 bits, so that `data.View(instruction_layout(op), word)` decodes
    it."""
    members = {name: signed(width) if name == "log2_offset" else unsigned(width) for name, width, _ in layout(opcode)}
    used = sum(width for _, width, _ in layout(opcode))
    return data.StructLayout({**members, "_reserved": unsigned(INSTRUCTION_BITS - used)})


LAYOUT_OF = {opcode: instruction_layout(opcode) for opcode in LAYOUTS}

# What travels through the queues: the raw word and its number in the program, for error reports and traces.
ISSUED = data.StructLayout({"word": unsigned(INSTRUCTION_BITS), "index": unsigned(INDEX_BITS)})
