"""Tables of the instruction set, its values and the registers."""

from __future__ import annotations

from docs.tables.markdown import code, table
from triovit.hdl.config.accelerator import PRESETS
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
)
from triovit.hdl.isa.limits import REACHES, reach
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode, Opcode, PostMode, Unit
from triovit.hdl.isa.record import RECORD
from triovit.hdl.isa.registers import markdown_table
from triovit.hdl.isa.rules import COMPUTATIONS, RULES

BEHIND_HEADER = total_bits(HEADER)
LARGE = 1 << 20  # from here on numbers are written as powers of two


def sizes() -> str:
    """Numbers of the instruction set as a whole."""
    return table(
        ("of the instruction set", "number:"),
        (
            ("version", ISA_VERSION),
            ("bytes of an instruction", INSTRUCTION_BYTES),
            ("counting semaphores", SEMAPHORES),
            ("bits of a semaphore", SEMAPHORE_BITS),
        ),
    )


def opcodes() -> str:
    """Opcodes with the fields that they have."""
    kinds = {COMPUTE: "header, compute", TRANSFER: "header, transfer", (): "header"}
    others = {Opcode.PROGRAM: "header, program", Opcode.LOAD: "header, transfer, `buffer`"}
    return table(
        ("opcode", "name", "unit", "fields"),
        (
            (f"0x{opcode:02x}", opcode.name, Unit(opcode >> 4).name, others.get(opcode) or kinds[fields])
            for opcode, fields in LAYOUTS.items()
        ),
    )


def fields(names: tuple[Field, ...], first_bit: int = 0) -> str:
    """Fields of an instruction or a record, from a bit upwards."""

    def row(field: Field, low: int) -> tuple[str, ...]:
        values = f"{1 if field.name in NONZERO else _number(field.lowest)}..{_number(field.highest)}"
        return f"{first_bit + low + field.bits - 1}..{first_bit + low}", code(field.name), values, field.text

    return table(("bits", "field", "values", "meaning"), map(row, names, positions(names).values()))


def _number(end: int) -> str:
    """End of a field's range; a large one as the power of two that it is beside."""
    if abs(end) < LARGE:
        return str(end)
    return f"2^{end.bit_length()}-1" if end > 0 else f"-2^{(-end).bit_length() - 1}"


def rules() -> str:
    """What an instruction may not say."""

    def instructions(opcodes: tuple[Opcode, ...]) -> str:
        missing = [opcode.name for opcode in COMPUTATIONS if opcode not in opcodes]
        transfers = [opcode.name for opcode in opcodes if opcode not in COMPUTATIONS]
        about = [opcode.name for opcode in opcodes if opcode in COMPUTATIONS]
        if len(about) > len(missing):
            about = ["all computations" + (f" but {', '.join(missing)}" if missing else "")]
        return ", ".join([*transfers, *about])

    return table(
        ("field", "rule", "instructions", "error"),
        ((code(rule.field), rule.text, instructions(rule.opcodes), rule.error.name) for rule in RULES),
    )


def limits() -> str:
    """What the fields can address of each buffer."""

    def row(buffer: str) -> tuple[object, ...]:
        narrow = reach(buffer)
        others = ", ".join(code(other.field) for other in REACHES[buffer] if other != narrow)
        step = f" ({narrow.step} words per step)" if narrow.step > 1 else ""
        return buffer, narrow.words, code(narrow.field) + step, others

    return table(("buffer", "words at most:", "field", "other fields that address it"), map(row, REACHES))


def values() -> str:
    """Codes of buffers, destinations and modes."""
    kinds = {"`buffer`": Buffer, "`destination`, a mask": Destination, "`mode`": PostMode}
    return table(
        ("field", "code:", "name"),
        ((field, member.value, member.name) for field, names in kinds.items() for member in names),
    )


def errors() -> str:
    """Error codes, and what the driver does about each."""
    return table(
        ("code:", "name", "meaning", "what the driver does"),
        ((error.value, error.name, error.meaning, error.remedy) for error in ErrorCode),
    )


def record() -> str:
    """Fields of a post-processing record by their first byte."""
    return table(
        ("byte:", "field", "shape", "meaning"),
        (
            (str(low // 8), code(field.name), f"{'s' if field.signed else 'u'}{field.bits}", field.text)
            for field, low in zip(RECORD, positions(RECORD).values(), strict=True)
        ),
    )


CONTENTS = {
    "bytes of a record": record,
    "numbers of the instruction set": sizes,
    "opcodes": opcodes,
    "fields of the header": lambda: fields(HEADER),
    "fields of PROGRAM": lambda: fields(LAYOUTS[Opcode.PROGRAM], BEHIND_HEADER),
    "fields of LOAD and STORE": lambda: fields(LAYOUTS[Opcode.LOAD], BEHIND_HEADER),
    "fields of computations": lambda: fields(COMPUTE, BEHIND_HEADER),
    "fields of a record": lambda: fields(RECORD),
    "rules of instructions": rules,
    "codes of fields": values,
    "limits of buffers": limits,
    "error codes": errors,
    "registers of trio-core": lambda: markdown_table(PRESETS["trio-core"]),
}
