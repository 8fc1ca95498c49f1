"""Readable listing of a program."""

from __future__ import annotations

from collections.abc import Iterator

from triovit.compiler.memory.program import CompiledProgram
from triovit.compiler.schedule.synchronize import SEMAPHORE_NAMES
from triovit.golden.integer.names import short_names
from triovit.hdl.isa.instructions import HEADER, Instruction, layout
from triovit.hdl.isa.names import Buffer, Destination, PostMode


def semaphore_names(mask: int) -> str:
    """Names of a mask's semaphores, joined by commas."""
    numbers = (number for number in range(mask.bit_length()) if mask >> number & 1)
    return ",".join(SEMAPHORE_NAMES.get(number, str(number)) for number in numbers)


def operands(instruction: Instruction) -> str:
    """Fields that are not zero, header excluded; buffers, modes and destinations by name."""
    header = {field.name for field in HEADER}
    texts = []
    for name in (field.name for field in layout(instruction.opcode)):
        value = getattr(instruction, name)
        if name in header or not (value or name in ("buffer", "local")):
            continue
        if name == "buffer" and value in list(Buffer):
            text = Buffer(value).name
        elif name == "mode" and value in list(PostMode):
            text = PostMode(value).name.lower()
        elif name == "destination":
            text = "|".join(str(d.name) for d in Destination if value & d)
        elif name in ("memory", "memory_row", "memory_plane", "hash", "magic"):
            text = f"0x{value:x}"
        else:
            text = str(value)
        texts.append(f"{name}={text}")
    return " ".join(texts)


def disassemble(program: CompiledProgram) -> Iterator[str]:
    """One line per instruction: number, layer, unit, opcode, waits, signals, fields."""
    names = short_names(program.layers)
    width = max(map(len, names.values()), default=0)
    for index, instruction in enumerate(program.instructions):
        parts = [
            f"{index:6} {names[program.layer_of(index)]:{width}} {instruction.unit.name:5} {instruction.opcode.name:15}"
        ]
        if instruction.wait:
            parts.append(f"wait({semaphore_names(instruction.wait)})")
        if instruction.signal:
            parts.append(f"signal({semaphore_names(instruction.signal)})")
        parts.append(operands(instruction))
        yield " ".join(part for part in parts if part)
