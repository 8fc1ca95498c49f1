"""The register map, once: for the RTL, the driver, the C header and the documentation."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triovit.hdl.isa.engines import ENGINES, Engine, counters
from triovit.hdl.isa.instructions import ISA_VERSION
from triovit.hdl.isa.names import INTEGRITY_ERRORS, ErrorCode, Storage, Unit

if TYPE_CHECKING:  # a configuration's limits come from the instruction set, so nothing here may need one to exist
    from triovit.hdl.config.accelerator import AcceleratorConfig

REGISTER_ADDRESS_BITS = 12  # a page of 4 KB
IDENTIFIER = 0x5452494F  # "TRIO"
MAP_VERSION = 3
DEFAULT_WATCHDOG = 1 << 20


@dataclass(frozen=True)
class RegisterField:
    """Bits `low` to `low + width - 1` of a register.

    access: "ro" (constant or state of the machine), "rw", "w1" (writing 1 is a command; reads 0) or "w1c" (writing 1
    clears it). Writes to "ro" fields of a register that has others are ignored. reset: the value after reset;
    of a constant that depends on the configuration, the function that gives it (`register_map` replaces it).
    """

    name: str
    low: int
    width: int
    access: str
    text: str
    reset: int | Callable[[AcceleratorConfig], int] = 0

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register. locked: it cannot be written while the machine is busy."""

    name: str
    offset: int
    text: str
    fields: tuple[RegisterField, ...]
    locked: bool = False

    @property
    def access(self) -> str:
        """Kinds of access of its fields."""
        kinds = list(dict.fromkeys(field.access for field in self.fields))
        return "/".join(kinds)

    @property
    def writable(self) -> bool:
        """Has a field that a write changes."""
        return any(field.access != "ro" for field in self.fields)

    @property
    def reset(self) -> int:
        """Value after reset, of a register of `register_map`."""
        return sum(field.reset << field.low for field in self.fields)


def _word(
    name, offset, access, text, *, reset: int | Callable[[AcceleratorConfig], int] = 0, locked=False, low=0
) -> Register:
    return Register(name, offset, text, (RegisterField("value", low, 32 - low, access, text, reset),), locked)


def _constants(name, offset, text, *fields) -> Register:
    """A register of constants, (name, width, value or function of the configuration, meaning) from bit 0 upwards."""
    position, made = 0, []
    for field, width, value, meaning in fields:
        made.append(RegisterField(field, position, width, "ro", meaning, value))
        position += width
    return Register(name, offset, text, tuple(made))


def _log2(name: str) -> Callable[[AcceleratorConfig], int]:
    """Logarithm of a number of the configuration, which is a power of two."""
    return lambda config: getattr(config, name).bit_length() - 1


# Registers in the order of their offsets, the same for every configuration but for some constants; counters follow, and
# then the sizes of the buffers.
_MAP = (
    _word("ID", 0x000, "ro", "The letters TRIO", reset=IDENTIFIER),
    _constants(
        "VERSION",
        0x004,
        "Versions",
        ("isa", 16, ISA_VERSION, "Instruction set"),
        ("map", 16, MAP_VERSION, "Register map"),
    ),
    _word("HASH_LO", 0x008, "ro", "Configuration hash, low half", reset=lambda c: c.hash & 0xFFFFFFFF),
    _word("HASH_HI", 0x00C, "ro", "Configuration hash, high half", reset=lambda c: c.hash >> 32),
    _constants(
        "CONFIG_ARRAY",
        0x010,
        "Array and bus",
        ("cores", 8, operator.attrgetter("cores"), "Cores"),
        ("block", 8, operator.attrgetter("block"), "Channels a block"),
        ("data_bytes", 8, operator.attrgetter("data_bytes"), "Bytes of an AXI beat"),
        ("queue_depth", 8, operator.attrgetter("queue_depth"), "Instructions a queue"),
    ),
    _constants(
        "CONFIG_BURSTS",
        0x014,
        "Bursts and ports, log2",
        ("read_bursts", 4, _log2("read_bursts"), "Outstanding reads"),
        ("write_bursts", 4, _log2("write_bursts"), "Outstanding writes"),
        ("burst_beats", 8, _log2("burst_beats"), "Longest burst, beats"),
        ("ports", 4, _log2("ports"), "AXI masters"),
    ),
    Register(
        "CONTROL",
        0x020,
        "Commands and interrupt enable",
        (
            RegisterField("start", 0, 1, "w1", "Run the program; ignored while busy or after an error"),
            RegisterField(
                "soft_reset",
                1,
                1,
                "w1",
                "Stop, bring all units to their initial state, clear STATUS; bursts under way end without any effect "
                "(see STATUS.bursts)",
            ),
            RegisterField("interrupt_enable", 2, 1, "rw", "The interrupt output follows STATUS.interrupt"),
        ),
    ),
    Register(
        "STATUS",
        0x024,
        "State",
        (
            RegisterField(
                "busy", 0, 1, "ro", "A program runs, or bursts of a stopped one are under way, or a reset is"
            ),
            RegisterField("done", 1, 1, "w1c", "A program has ended without an error; also cleared by the next start"),
            RegisterField("error", 2, 1, "ro", "The machine has stopped (see ERROR); cleared by a soft reset"),
            RegisterField("interrupt", 3, 1, "w1c", "Set with done and with error"),
            RegisterField(
                "bursts",
                4,
                1,
                "ro",
                "Bursts are under way on an AXI port; after a soft reset: leave the memory alone until there are none",
            ),
        ),
    ),
    _word("ERROR", 0x028, "ro", "Code of the first error, 0: none"),
    _word(
        "ERROR_INDEX",
        0x02C,
        "ro",
        "Number of the instruction that caused it; for SEMAPHORE_OVERFLOW, WATCHDOG, BUS_PROTOCOL and BUS_TIMEOUT: "
        "that finished last",
    ),
    _word(
        "PROGRAM_OFFSET",
        0x030,
        "rw",
        "First byte of the program, from the memory base; a multiple of 64",
        locked=True,
    ),
    _word("PROGRAM_BYTES", 0x034, "rw", "Size of the program", locked=True),
    _word(
        "MEMORY_BASE_LO",
        0x038,
        "rw",
        "AXI address of offset 0, a multiple of 4096: bits 31..12",
        locked=True,
        low=12,
    ),
    _word("MEMORY_BASE_HI", 0x03C, "rw", "AXI address of offset 0, bits 63..32", locked=True),
    _word("MEMORY_SIZE", 0x040, "rw", "Bytes of a port's partition: from its base on they may be touched", locked=True),
    _word(
        "CORE_STRIDE",
        0x044,
        "rw",
        "Bytes from a core's data to the next core's; a multiple of the word size",
        locked=True,
    ),
    _word(
        "WATCHDOG",
        0x048,
        "rw",
        "Cycles without a finished instruction after which the machine stops; 0: never",
        reset=DEFAULT_WATCHDOG,
    ),
    _word(
        "PORT_STRIDE",
        0x04C,
        "rw",
        "Bytes from a port's partition to the next port's, a multiple of 4096: bits 31..12; no effect with one port",
        locked=True,
        low=12,
    ),
    _word("CYCLES_LO", 0x050, "ro", "Cycles of the program, low half; reading it holds CYCLES_HI"),
    _word("CYCLES_HI", 0x054, "ro", "High half, as of the last read of CYCLES_LO"),
)


def _others(config: AcceleratorConfig) -> int:
    """Bits of the cores from 1 on."""
    return (1 << config.cores) - 2


_MASK = (
    Register(
        "CORE_MASK_LO",
        0x120,
        "Cores that take part, 31..0; see CORE_MASK_HI for the others",
        (
            RegisterField("first", 0, 1, "ro", "Core 0, which speaks for all of them", 1),
            RegisterField("others", 1, 31, "rw", "Cores 1 to 31", lambda config: (_others(config) & 0xFFFFFFFF) >> 1),
        ),
        locked=True,
    ),
    _word(
        "CORE_MASK_HI",
        0x124,
        "rw",
        "Cores 32 to 63. A core that does not take part stands still: neither LOAD nor STORE writes its data, and its "
        "buffers keep nothing",
        reset=lambda config: _others(config) >> 32,
        locked=True,
    ),
)


_SIZES = (
    _word("FEATURE_BYTES", 0x100, "ro", "Size of buffer A", reset=operator.attrgetter("feature_bytes")),
    _word("OUTPUT_BYTES", 0x104, "ro", "Size of buffer O", reset=operator.attrgetter("output_bytes")),
    _word("WEIGHT_BYTES", 0x108, "ro", "Size of buffers B and C, each", reset=operator.attrgetter("weight_bytes")),
    _word("PARAMETER_BYTES", 0x10C, "ro", "Size of buffer P", reset=operator.attrgetter("parameter_bytes")),
    _word("ATTENTION_BYTES", 0x110, "ro", "Size of buffer K", reset=operator.attrgetter("attention_bytes")),
    _word("DIVISORS", 0x114, "ro", "Codes of the divisor buffer", reset=operator.attrgetter("divisors")),
)


# Registers that `integrity` adds, or has in place of others.
_INTEGRITY = (
    Register(
        "ERROR",
        0x028,
        "First error",
        (
            RegisterField("code", 0, 8, "ro", "Code of the first error, 0: none"),
            RegisterField(
                "place",
                8,
                8,
                "ro",
                "Of MEMORY_UNCORRECTABLE the buffer: "
                + ", ".join(f"{storage.value} {storage.name}" for storage in Storage)
                + "; of QUEUE_PARITY the unit: "
                + ", ".join(f"{unit.value} {unit.name}" for unit in Unit),
            ),
        ),
    ),
    _word(
        "ERROR_INDEX",
        0x02C,
        "ro",
        "Number of the instruction that caused it; for SEMAPHORE_OVERFLOW, WATCHDOG, BUS_PROTOCOL, BUS_TIMEOUT, "
        "MEMORY_UNCORRECTABLE and QUEUE_PARITY: that finished last",
    ),
    _word(
        "CORRECTED",
        0x0FC,
        "ro",
        "Cycles in which a word of an on-chip memory was corrected, since the program began; stays at 2**32 - 1",
    ),
)


def _registers(engines: Sequence[Engine], integrity: bool = False) -> tuple[Register, ...]:
    """All registers; the counters are those of the units."""
    counts = (_word(c.name, 0x058 + 4 * k, "ro", c.text) for k, c in enumerate(counters(engines)))
    found = {register.name: register for register in (*_MAP, *counts, *_SIZES, *_MASK)}
    if integrity:
        found |= {register.name: register for register in _INTEGRITY}
    return tuple(sorted(found.values(), key=operator.attrgetter("offset")))


# Name -> offset, of all that any configuration has.
REGISTERS = {register.name: register.offset for register in _registers(ENGINES["trio"], integrity=True)}


def register_map(config: AcceleratorConfig, engines: Sequence[Engine] | None = None) -> tuple[Register, ...]:
    """All registers in the order of their offsets; reset values of the constants are those of `config`.

    engines: units that have counters, by default those of the configuration.
    """
    registers = _registers(ENGINES[config.family] if engines is None else engines, config.integrity)

    def settled(field: RegisterField) -> RegisterField:
        return dataclasses.replace(field, reset=field.reset(config)) if callable(field.reset) else field

    return tuple(dataclasses.replace(r, fields=tuple(settled(field) for field in r.fields)) for r in registers)


def field_mask(register: str, *fields: str) -> int:
    """Bits of a register's fields, joined. Raises KeyError naming a register or field that is not in the map."""
    masks = {field.name: field.mask for r in _registers(ENGINES["trio"]) if r.name == register for field in r.fields}
    if not masks:
        raise KeyError(f"no register {register}; there are {', '.join(REGISTERS)}")
    unknown = [name for name in fields if name not in masks]
    if unknown:
        raise KeyError(f"register {register} has no field {', '.join(unknown)}; it has {', '.join(masks)}")
    return functools.reduce(operator.or_, (masks[name] for name in fields), 0)


def markdown_table(config: AcceleratorConfig) -> str:
    """The map as a Markdown table, a row per field, with the reset values of `config`."""
    lines = ["| offset | register | bits | field | access | reset | meaning |", "|---|---|---|---|---|---|---|"]
    for register in register_map(config):
        for field in register.fields:
            high = field.low + field.width - 1
            bits = f"{high}..{field.low}" if field.width > 1 else f"{field.low}"
            lines.append(
                f"| 0x{register.offset:03x} | {register.name} | {bits} | {field.name} | {field.access} "
                f"| 0x{field.reset:x} | {field.text} |"
            )
    return "\n".join(lines) + "\n"


def c_header(config: AcceleratorConfig, prefix: str = "TRIOVIT") -> str:
    """The map as a C header: offsets, mask and shift of every field of a register with several, error codes.

    Lists of error codes and of counters are macros that apply another one to each entry, for drivers that print them.
    """
    guard = f"{prefix}_REGISTERS_H"
    lines = [f"/* Registers of configuration {config.name}, hash {config.hash:016x}. Generated. */"]
    lines += [f"#ifndef {guard}", f"#define {guard}", ""]
    for register in register_map(config):
        name = f"{prefix}_{register.name}"
        lines.append(f"#define {name} 0x{register.offset:03x}u /* {register.text} */")
        for field in register.fields:
            if field.name != "value":
                lines.append(f"#define {name}_{field.name.upper()}_MASK 0x{field.mask:08x}u /* {field.text} */")
                lines.append(f"#define {name}_{field.name.upper()}_SHIFT {field.low}u")
    constants = {"ID_VALUE": IDENTIFIER, "HASH_LO_VALUE": config.hash & 0xFFFFFFFF, "HASH_HI_VALUE": config.hash >> 32}
    lines += ["", *(f"#define {prefix}_{name} 0x{value:08x}u" for name, value in constants.items())]
    lines += ["", f"/* Values of register ERROR{', field code' if config.integrity else ''}. */"]
    codes = [code for code in ErrorCode if config.integrity or code not in INTEGRITY_ERRORS]
    lines += [f"#define {prefix}_ERROR_CODE_{code.name} {code.value}u /* {code.meaning} */" for code in codes]
    errors = [f'{code.name}, {code.value}u, "{code.meaning}", "{code.remedy}"' for code in codes]
    events = [f'{c.name}, 0x{REGISTERS[c.name]:03x}u, "{c.text}"' for c in counters(ENGINES[config.family])]
    lines += ["", "/* X(name, code, meaning, what the driver does) of each error code. */"]
    lines += _applied(f"{prefix}_ERROR_CODES", errors)
    lines += ["", "/* X(name, offset, meaning) of each event counter. */", *_applied(f"{prefix}_COUNTERS", events)]
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


def _applied(name: str, entries: Sequence[str]) -> list[str]:
    """Lines of a C macro that applies the macro X to each entry."""
    return " \\\n".join([f"#define {name}(X)", *(f"    X({entry})" for entry in entries)]).split("\n")
