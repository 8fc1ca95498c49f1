"""The instruction-set page of the documentation; as a program it rewrites docs/instruction-set.md."""

from __future__ import annotations

from pathlib import Path

from triovit.hdl.isa.fields import Field, positions, total_bits
from triovit.hdl.isa.instructions import (
    COMPUTE,
    HEADER,
    INSTRUCTION_BYTES,
    ISA_VERSION,
    LAYOUTS,
    NONZERO,
    SEMAPHORE_BITS,
    SEMAPHORES,
    TRANSFER,
    listed,
)
from triovit.hdl.isa.limits import REACHES, reach
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode, Opcode, PostMode, Unit
from triovit.hdl.isa.record import RECORD, RECORD_BYTES
from triovit.hdl.isa.rules import COMPUTATIONS, RULES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "instruction-set.md"


def _fields(title: str, fields: tuple[Field, ...], first_bit: int = 0) -> list[str]:
    lines = [f"## {title}", "", "| bits | field | values | meaning |", "|---|---|---|---|"]
    for field, low in zip(fields, positions(fields).values(), strict=True):
        bits = f"{first_bit + low + field.bits - 1}..{first_bit + low}"
        values = f"{1 if field.name in NONZERO else _number(field.lowest)}..{_number(field.highest)}"
        lines.append(f"| {bits} | `{field.name}` | {values} | {field.text} |")
    return [*lines, ""]


def _number(end: int) -> str:
    """End of a field's range; large ones as the powers of two that they are beside."""
    if abs(end) < 1 << 20:
        return str(end)
    return f"2^{end.bit_length()}-1" if end > 0 else f"-2^{(-end).bit_length() - 1}"


def _rules() -> list[str]:
    lines = [
        "## Rules",
        "",
        "The machine stops with ILLEGAL_FIELD at an instruction that breaks one of these. A convolution is RMAC_CONV",
        "or MAT_CONV.",
        "",
        "| field | rule | instructions |",
        "|---|---|---|",
    ]
    for rule in RULES:
        missing = [opcode.name for opcode in COMPUTATIONS if opcode not in rule.opcodes]
        transfers = [opcode.name for opcode in rule.opcodes if opcode not in COMPUTATIONS]
        about = [opcode.name for opcode in rule.opcodes if opcode in COMPUTATIONS]
        if len(about) > len(missing):
            about = ["all computations" + (f" but {', '.join(missing)}" if missing else "")]
        lines.append(f"| `{rule.field}` | {rule.text} | {', '.join([*transfers, *about])} |")
    return [*lines, ""]


def _limits() -> list[str]:
    lines = [
        "## Limits of the buffers",
        "",
        "A configuration's buffers are no larger than the narrowest field that addresses them.",
        "",
        "| buffer | words at most | field | other fields that address it |",
        "|---|---|---|---|",
    ]
    for buffer in REACHES:
        narrow = reach(buffer)
        others = ", ".join(f"`{other.field}`" for other in REACHES[buffer] if other != narrow)
        step = f" ({narrow.step} words a step)" if narrow.step > 1 else ""
        lines.append(f"| {buffer} | {narrow.words} | `{narrow.field}`{step} | {others} |")
    return [*lines, ""]


def instruction_set_page() -> str:
    """Markdown of the whole instruction set."""
    units = ", ".join(f"{unit.value} {unit.name}" for unit in Unit)
    lines = [
        "# Instruction set",
        "",
        f"Version {ISA_VERSION}. Generated from `hdl/isa/` by `python -m triovit.hdl.isa.page`; do not edit.",
        "",
        f"An instruction has {INSTRUCTION_BYTES} bytes, little endian, fields packed from bit 0 upwards.",
        f"The opcode's high nibble is its unit ({units}).",
        f"There are {SEMAPHORES} counting semaphores of {SEMAPHORE_BITS} bits. What an instruction does, loop by loop,",
        "is in [architecture.md](architecture.md#instructions-exactly).",
        "",
        "| opcode | name | unit | fields |",
        "|---|---|---|---|",
    ]
    kinds = {COMPUTE: "header, compute", TRANSFER: "header, transfer", (): "header"}
    for opcode, fields in LAYOUTS.items():
        extra = "header, program" if opcode == Opcode.PROGRAM else "header, transfer, `buffer`"
        lines.append(f"| 0x{opcode:02x} | {opcode.name} | {Unit(opcode >> 4).name} | {kinds.get(fields, extra)} |")
    first = total_bits(HEADER)
    lines += [
        "",
        *_fields("Header", HEADER),
        *_fields("Program", LAYOUTS[Opcode.PROGRAM], first),
        *_fields("Transfer", LAYOUTS[Opcode.LOAD], first),
        *_fields("Compute", COMPUTE, first),
        *_rules(),
        "## Values",
        "",
        f"Buffers: {listed(Buffer)}. Destination mask: {listed(Destination)}.",
        "",
        f"Post-processing modes: {listed(PostMode)}; what they make of a psum is in",
        "[post-processing.md](engines/post-processing.md).",
        "",
        *_limits(),
        *_fields("Post-processing record", RECORD),
        f"A channel has one; it is {RECORD_BYTES} bytes long, little endian.",
        "",
        "## Error codes",
        "",
        "| code | name |",
        "|---|---|",
        *(f"| {code.value} | {code.name} |" for code in ErrorCode),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(instruction_set_page(), encoding="utf-8")
