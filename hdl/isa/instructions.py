"""The instruction set, once, for the RTL, the compiler, the simulators, the disassembler and the documentation.

An instruction is 64 bytes, little endian, fields packed from bit 0 upwards in the order given here. Every
instruction starts with the HEADER fields; the opcode's high nibble is its unit. On-chip addresses count
words of `block` bytes; memory offsets count bytes from the memory base register.

The last byte is no field: it makes the exclusive or of all bytes zero. Machines with `integrity` check it.

Order: each unit executes its own instructions in program order. An instruction starts when every semaphore
of its `wait` mask is above zero (each is then decremented), and increments every semaphore of its `signal`
mask when its last effect is done. A program is legal when executing it strictly in program order never
waits for a semaphore that is zero, and a joint RMAC_CONV and its MAT_JOIN follow each other with nothing of either
unit between them; then the machine cannot deadlock, whatever its queue depth.
"""

from __future__ import annotations

import enum
import functools
import operator
from dataclasses import dataclass

from triovit.golden.errors import TriovitError
from triovit.golden.integer.arithmetic import MAX_FRACTION_BITS
from triovit.hdl.isa.fields import Field, positions, total_bits
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode, Unit

ISA_VERSION = 2  # part of every configuration's hash: a program for another instruction set is refused as well
INSTRUCTION_BYTES = 64
CHECK_BYTE = INSTRUCTION_BYTES - 1
SEMAPHORES = 32
SEMAPHORE_BITS = 8
PROGRAM_MAGIC = 0x54524956  # "VIRT" read as bytes: the first instruction of every program carries it


def listed(names: type[enum.IntEnum] | type[enum.IntFlag]) -> str:
    """Codes and names of an enumeration, for the fields' texts."""
    return ", ".join(f"{member.value} {member.name}" for member in names)


HEADER = (
    Field("opcode", 8, "Opcode"),
    Field("tag", 16, "Layer number of the compiler; the machine ignores it"),
    Field("wait", 32, "Semaphores to take before starting"),
    Field("signal", 32, "Semaphores to give when done"),
)

TRANSFER = (
    Field("words", 16, "Words a run"),
    Field("rows", 12, "Runs a plane"),
    Field("planes", 12, "Planes"),
    Field("local", 20, "First on-chip word"),
    Field("local_row", 20, "On-chip words from run to run"),
    Field("local_plane", 20, "On-chip words from plane to plane"),
    Field("memory", 32, "Byte offset of the first word in memory, a multiple of the word size; for B, C, P in stripes"),
    Field("memory_row", 32, "Bytes in memory from run to run"),
    Field("memory_plane", 32, "Bytes in memory from plane to plane"),
)

COMPUTE = (
    Field("source", 1, "Features come from buffer A (0) or O (1)"),
    Field("relu", 1, "Clamp fetched features at zero (for OUTER: k only)"),
    Field("joint", 1, "RMAC_CONV: drive both engines; even output blocks on R-MAC, odd ones on MAT"),
    Field("stride", 1, "Pixel stride 1 (0) or 2 (1)"),
    Field("groups", 12, "Output channel blocks (pairs of them when joint); OUTER: v blocks; ROW_SUM: channel blocks"),
    Field("rows", 12, "Output rows; OUTER, ROW_SUM: token rows"),
    Field("cols", 12, "Output columns; OUTER, ROW_SUM: tokens per row; LAYER_NORM: channels N"),
    Field("kernel_rows", 4, "Kernel rows; OUTER: k blocks"),
    Field("kernel_cols", 4, "Kernel columns"),
    Field("blocks", 10, "Input channel blocks"),
    Field("in_base", 20, "First feature word (OUTER: of k)"),
    Field("in_group", 20, "Feature words from group to group"),
    Field("in_row", 20, "Feature words from row to row"),
    Field("in_block", 20, "Feature words from input block to input block (OUTER: from k block to k block)"),
    Field("in_value", 20, "OUTER: first word of v"),
    Field("stationary", 1, "MAT_CONV: weights come from buffer K instead of C"),
    Field("weights", 20, "First weight word (of a convolution: a multiple of the block)"),
    Field("parameters", 12, "First channel block of post-processing records in buffer P"),
    Field("out_base", 20, "First result word in O or A"),
    Field("out_group", 20, "Result words from output block to output block"),
    Field("out_row", 20, "Result words from row to row (OUTER: from k block to k block; wide: to the high bytes)"),
    Field("destination", 4, f"Destination mask: {listed(Destination)}"),
    Field("attention", 12, "First word of results in buffer K, a multiple of the block"),
    Field("mode", 3, f"Post-processing: {listed(PostMode)}"),
    Field("fraction_bits", 4, f"Hardswish fixed point: fraction bits (0..{MAX_FRACTION_BITS})"),
    Field("residual", 1, "Add the word that stands at the result's place in O"),
    Field("log2_offset", 6, "Offset of the divisor code, two's complement", signed=True),
    Field("epsilon", 32, "LAYER_NORM: added to the integer variance"),
)

_OTHER_LAYOUTS = {
    Opcode.PROGRAM: (
        Field("magic", 32, "PROGRAM_MAGIC"),
        Field("hash", 64, "Configuration hash"),
        Field("instructions", 32, "Instructions of the program, this one and END included"),
    ),
    Opcode.END: (),
    Opcode.LOAD: (*TRANSFER, Field("buffer", 3, f"Destination: {listed(Buffer)}")),
    Opcode.STORE: TRANSFER,
    Opcode.MAT_JOIN: (),
}
LAYOUTS = {opcode: _OTHER_LAYOUTS.get(opcode, COMPUTE) for opcode in Opcode}  # what computes has the same fields

# Width of each field; a name has the same width in every instruction.
FIELD_BITS = {field.name: field.bits for fields in LAYOUTS.values() for field in HEADER + fields}

# Fields that must not be zero, so that loop counters need no special case for empty loops.
NONZERO = ("words", "rows", "planes", "groups", "cols", "kernel_rows", "kernel_cols", "blocks")


class InstructionError(TriovitError, ValueError):
    """An instruction that cannot be encoded or decoded; names the field, the rule and the value."""


def remainder(code: bytes) -> int:
    """Exclusive or of the bytes of an instruction: 0 if it is whole. One flipped bit, or any up to 8 in a row, show."""
    return functools.reduce(operator.xor, code)


def checked(code: bytes) -> bytes:
    """An instruction with its check byte."""
    return code[:CHECK_BYTE] + bytes([remainder(code[:CHECK_BYTE])])


def layout(opcode: Opcode) -> tuple[Field, ...]:
    """Fields of an instruction, header first."""
    return HEADER + LAYOUTS[opcode]


@functools.cache
def field_offsets(opcode: Opcode) -> dict[str, tuple[int, int]]:
    """Bit offset and width of each field."""
    fields = layout(opcode)
    assert total_bits(fields) <= 8 * CHECK_BYTE
    return {field.name: (low, field.bits) for field, low in zip(fields, positions(fields).values(), strict=True)}


@dataclass(frozen=True)
class Instruction:
    """One instruction: opcode and field values (absent fields are zero)."""

    opcode: Opcode
    fields: dict[str, int]

    def __getattr__(self, name: str) -> int:
        if name.startswith("_") or name in ("opcode", "fields"):
            raise AttributeError(name)
        if name not in field_offsets(self.opcode):
            raise AttributeError(f"{self.opcode.name} has no field {name}")
        return self.fields.get(name, 0)

    @property
    def unit(self) -> Unit:
        """The unit that executes it."""
        return Unit(self.opcode >> 4)

    def replace(self, **fields: int) -> Instruction:
        """This instruction with other values in `fields`; raises InstructionError for a field it does not have."""
        for name in fields:
            if name not in field_offsets(self.opcode):
                raise InstructionError(f"{self.opcode.name} has no field {name}")
        return Instruction(self.opcode, {name: value for name, value in (self.fields | fields).items() if value})

    def encode(self) -> bytes:
        """64 bytes with the check byte; raises InstructionError for an unknown field, a value out of range or a zero
        count."""
        offsets, word = field_offsets(self.opcode), int(self.opcode)
        for name in self.fields:
            if name not in offsets:
                raise InstructionError(f"{self.opcode.name} has no field {name}")
        for field in layout(self.opcode)[1:]:
            value = int(self.fields.get(field.name, 0))
            if not field.lowest <= value <= field.highest:
                raise InstructionError(
                    f"{self.opcode.name}.{field.name} must lie in [{field.lowest}, {field.highest}], not {value}"
                )
            if field.name in NONZERO and not value:
                raise InstructionError(f"{self.opcode.name}.{field.name} must be at least 1, not 0")
            word |= (value & ((1 << field.bits) - 1)) << offsets[field.name][0]
        return checked(word.to_bytes(INSTRUCTION_BYTES, "little"))

    @staticmethod
    def decode(data: bytes) -> Instruction:
        """Inverse of `encode`; raises InstructionError for a wrong length or an unknown opcode."""
        if len(data) != INSTRUCTION_BYTES:
            raise InstructionError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(data)}")
        word = int.from_bytes(data, "little")
        try:
            opcode = Opcode(word & 0xFF)
        except ValueError:
            raise InstructionError(f"unknown opcode 0x{word & 0xFF:02x}") from None
        offsets, fields = field_offsets(opcode), {}
        for field in layout(opcode)[1:]:
            value = (word >> offsets[field.name][0]) & ((1 << field.bits) - 1)
            if value > field.highest:
                value -= 1 << field.bits
            if value:
                fields[field.name] = value
        return Instruction(opcode, fields)
