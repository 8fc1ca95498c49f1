"""The instruction-set page of the documentation; as a program it rewrites docs/instruction-set.md."""

from __future__ import annotations

from pathlib import Path

from triovit.hdl.isa.instructions import (
    COMPUTE,
    HEADER,
    INSTRUCTION_BYTES,
    ISA_VERSION,
    LAYOUTS,
    NONZERO,
    SEMAPHORES,
    TRANSFER,
    field_offsets,
)
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode, Opcode, Unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "instruction-set.md"


def _fields(title: str, opcode: Opcode, fields: tuple) -> list[str]:
    lines = [f"## {title}", "", "| bits | field | meaning |", "|---|---|---|"]
    offsets = field_offsets(opcode)
    for name, bits, text, _ in fields:
        low = offsets[name][0]
        lines.append(f"| {low + bits - 1}..{low} | `{name}`{' (at least 1)' if name in NONZERO else ''} | {text} |")
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
        f"There are {SEMAPHORES} counting semaphores of 8 bits. What an instruction does, loop by loop, is in",
        "[architecture.md](architecture.md#instructions-exactly).",
        "",
        "| opcode | name | unit | fields |",
        "|---|---|---|---|",
    ]
    kinds = {COMPUTE: "header, compute", TRANSFER: "header, transfer", (): "header"}
    for opcode, fields in LAYOUTS.items():
        extra = "header, program" if opcode == Opcode.PROGRAM else "header, transfer, `buffer`"
        lines.append(f"| 0x{opcode:02x} | {opcode.name} | {Unit(opcode >> 4).name} | {kinds.get(fields, extra)} |")
    lines += [
        "",
        *_fields("Header", Opcode.END, HEADER),
        *_fields("Program", Opcode.PROGRAM, LAYOUTS[Opcode.PROGRAM]),
        *_fields("Transfer", Opcode.LOAD, LAYOUTS[Opcode.LOAD]),
        *_fields("Compute", Opcode.RMAC_CONV, COMPUTE),
        "## Values",
        "",
        "Buffers: "
        + ", ".join(f"{b.value} {b.name}" for b in Buffer)
        + ". Destination mask: "
        + ", ".join(f"{d.value} {d.name}" for d in Destination)
        + ".",
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
