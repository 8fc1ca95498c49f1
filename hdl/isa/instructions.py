"""The instruction set, once, for the RTL, the compiler, the simulators, the disassembler and the documentation.

An instruction is 64 bytes, little endian, fields packed from bit 0 upwards in the order given here. Every
instruction starts with the HEADER fields; the opcode's high nibble is its unit. On-chip addresses count
words of `block` bytes; memory offsets count bytes from the memory base register.

Order: each unit executes its own instructions in program order. An instruction starts when every semaphore
of its `wait` mask is above zero (each is then decremented), and increments every semaphore of its `signal`
mask when its last effect is done. A program is legal when executing it strictly in program order never
waits for a semaphore that is zero, and a joint RMAC_CONV and its MAT_JOIN follow each other with nothing of either
unit between them; then the machine cannot deadlock, whatever its queue depth.
"""

from __future__ import annotations

from dataclasses import dataclass

from triovit.hdl.isa.names import Opcode, Unit

INSTRUCTION_BYTES = 64
SEMAPHORES = 32
SEMAPHORE_BITS = 8
PROGRAM_MAGIC = 0x54524956  # "VIRT" read as bytes: the first instruction of every program carries it


HEADER = (
    ("opcode", 8, "Opcode"),
    ("tag", 16, "Layer number of the compiler; the machine ignores it"),
    ("wait", 32, "Semaphores to take before starting"),
    ("signal", 32, "Semaphores to give when done"),
)

TRANSFER = (
    ("words", 16, "Words a run (1..65535)"),
    ("rows", 12, "Runs a plane (1..4095)"),
    ("planes", 12, "Planes (1..4095)"),
    ("local", 20, "First on-chip word"),
    ("local_row", 20, "On-chip words from run to run"),
    ("local_plane", 20, "On-chip words from plane to plane"),
    ("memory", 32, "Byte offset of the first word in memory, a multiple of the word size"),
    ("memory_row", 32, "Bytes in memory from run to run"),
    ("memory_plane", 32, "Bytes in memory from plane to plane"),
)

COMPUTE = (
    ("source", 1, "Features come from buffer A (0) or O (1)"),
    ("relu", 1, "Clamp fetched features at zero (for OUTER: k only)"),
    ("joint", 1, "RMAC_CONV: drive both engines; even output blocks on R-MAC, odd ones on MAT"),
    ("stride", 1, "Pixel stride 1 (0) or 2 (1)"),
    ("groups", 12, "Output channel blocks (pairs of them when joint); OUTER: v blocks; ROW_SUM: channel blocks"),
    ("rows", 12, "Output rows; OUTER, ROW_SUM: token rows"),
    ("cols", 12, "Output columns; OUTER, ROW_SUM: tokens a row; LAYER_NORM: channels N"),
    ("kernel_rows", 4, "Kernel rows; OUTER: k blocks"),
    ("kernel_cols", 4, "Kernel columns"),
    ("blocks", 10, "Input channel blocks"),
    ("in_base", 20, "First feature word (OUTER: of k)"),
    ("in_group", 20, "Feature words from group to group"),
    ("in_row", 20, "Feature words from row to row"),
    ("in_block", 20, "Feature words from input block to input block (OUTER: from k block to k block)"),
    ("in_value", 20, "OUTER: first word of v"),
    ("stationary", 1, "MAT_CONV: weights come from buffer K instead of C"),
    ("weights", 20, "First weight word"),
    ("parameters", 12, "First channel block of post-processing records in buffer P"),
    ("out_base", 20, "First result word in O or A"),
    ("out_group", 20, "Result words from output block to output block"),
    ("out_row", 20, "Result words from row to row (OUTER: from k block to k block; wide: to the high bytes)"),
    ("destination", 4, "Destination mask: 1 O, 2 A, 4 K, 8 divisor buffer"),
    ("attention", 12, "First word of results in buffer K"),
    ("mode", 3, "Post-processing: 0 linear, 1 hardswish, 2 divide, 3 log2, 4 wide (16 bits)"),
    ("fraction_bits", 4, "Hardswish fixed point: fraction bits (0..13)"),
    ("residual", 1, "Add the word that stands at the result's place in O"),
    ("log2_offset", 6, "Offset of the divisor code, two's complement"),
    ("epsilon", 32, "LAYER_NORM: added to the integer variance"),
)

LAYOUTS = {
    Opcode.PROGRAM: (
        ("magic", 32, "PROGRAM_MAGIC"),
        ("hash", 64, "Configuration hash"),
        ("instructions", 32, "Instructions of the program, this one and END included"),
    ),
    Opcode.END: (),
    Opcode.LOAD: (*TRANSFER, ("buffer", 3, "Destination: 0 A, 1 O, 2 B, 3 C, 4 P")),
    Opcode.STORE: TRANSFER,
    Opcode.RMAC_CONV: COMPUTE,
    Opcode.RMAC_DEPTHWISE: COMPUTE,
    Opcode.RMAC_OUTER: COMPUTE,
    Opcode.RMAC_ROW_SUM: COMPUTE,
    Opcode.RMAC_LAYER_NORM: COMPUTE,
    Opcode.MAT_CONV: COMPUTE,
    Opcode.MAT_JOIN: (),
}

# Fields that must not be zero, so that loop counters need no special case for empty loops.
NONZERO = ("words", "rows", "planes", "groups", "cols", "kernel_rows", "kernel_cols", "blocks")


class InstructionError(ValueError):
    """An instruction that cannot be encoded or decoded; names the field, the rule and the value."""


def layout(opcode: Opcode) -> tuple[tuple[str, int, str], ...]:
    """Fields (name, width in bits, meaning) of an instruction, header first."""
    return HEADER + LAYOUTS[opcode]


def field_offsets(opcode: Opcode) -> dict[str, tuple[int, int]]:
    """Bit offset and width of each field."""
    offsets, position = {}, 0
    for name, width, _ in layout(opcode):
        offsets[name] = (position, width)
        position += width
    assert position <= 8 * INSTRUCTION_BYTES
    return offsets


@dataclass(frozen=True)
class Instruction:
    """One instruction: opcode and field values (absent fields are zero)."""

    opcode: Opcode
    fields: dict[str, int]

    def __getattr__(self, name: str) -> int:
        if name.startswith("_") or name in ("opcode", "fields"):
            raise AttributeError(name)
        if not any(name == field for field, _, _ in layout(self.opcode)):
            raise AttributeError(f"{self.opcode.name} has no field {name}")
        return self.fields.get(name, 0)

    @property
    def unit(self) -> Unit:
        return Unit(self.opcode >> 4)

    def encode(self) -> bytes:
        """64 bytes; raises InstructionError for an unknown field, a value out of range or a zero count."""
        values = {"opcode": int(self.opcode), **self.fields}
        offsets = field_offsets(self.opcode)
        word = 0
        for name, value in values.items():
            if name not in offsets:
                raise InstructionError(f"{self.opcode.name} has no field {name}")
            offset, width = offsets[name]
            low = -(1 << (width - 1)) if name == "log2_offset" else 0
            high = (1 << (width - 1)) if name == "log2_offset" else (1 << width)
            if not low <= int(value) < high:
                raise InstructionError(f"{self.opcode.name}.{name} must lie in [{low}, {high - 1}], not {value}")
            word |= (int(value) & ((1 << width) - 1)) << offset
        for name in NONZERO:
            if name in offsets and not values.get(name, 0):
                raise InstructionError(f"{self.opcode.name}.{name} must be at least 1, not 0")
        return word.to_bytes(INSTRUCTION_BYTES, "little")

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
        fields = {}
        for name, (offset, width) in field_offsets(opcode).items():
            value = (word >> offset) & ((1 << width) - 1)
            if name == "log2_offset" and value >> (width - 1):
                value -= 1 << width
            if value and name != "opcode":
                fields[name] = value
        return Instruction(opcode, fields)
