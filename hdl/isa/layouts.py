"""Instructions and records as Amaranth layouts, derived from `hdl.isa.instructions` and `hdl.isa.record`."""

from __future__ import annotations

from amaranth.hdl import Shape, unsigned
from amaranth.lib import data

from triovit.hdl.isa.fields import Field, total_bits
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, LAYOUTS, layout
from triovit.hdl.isa.names import Opcode
from triovit.hdl.isa.record import RECORD

INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
INDEX_BITS = 32


def members(fields: tuple[Field, ...]) -> dict[str, Shape]:
    """Name -> shape of each field, as `data.StructLayout` takes it."""
    return {field.name: Shape(field.bits, field.signed) for field in fields}


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Fields of one kind of instruction, padded to 512 bits, so that `data.View(instruction_layout(op), word)` decodes
    it."""
    fields = layout(opcode)
    return data.StructLayout({**members(fields), "_reserved": unsigned(INSTRUCTION_BITS - total_bits(fields))})


LAYOUT_OF = {opcode: instruction_layout(opcode) for opcode in LAYOUTS}

# A channel's post-processing record as it stands in memory.
RECORD_LAYOUT = data.StructLayout(members(RECORD))

# What travels through the queues: the raw word and its number in the program, for error reports and traces.
ISSUED = data.StructLayout({"word": unsigned(INSTRUCTION_BITS), "index": unsigned(INDEX_BITS)})
