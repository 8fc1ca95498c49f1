"""The register map, once: for the RTL, the driver, the C header and the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import ISA_VERSION

ADDRESS_BITS = 12  # a page of 4 KB
IDENTIFIER = 0x5452494F  # "TRIO"
MAP_VERSION = 1
DEFAULT_WATCHDOG = 1 << 20

# Cycle and event counters, in the order of their registers.
COUNTERS = (
    ("LOAD_BUSY", "Cycles in which LOAD had work"),
    ("STORE_BUSY", "Cycles in which STORE had work"),
    ("RMAC_BUSY", "Cycles in which RMAC had work"),
    ("MAT_BUSY", "Cycles in which MAT had work"),
    ("RMAC_STALL", "Cycles in which a step of RMAC had to wait"),
    ("MAT_STALL", "Cycles in which a step of MAT had to wait"),
    ("BEATS_READ", "AXI beats read"),
    ("BEATS_WRITTEN", "AXI beats written"),
)


@dataclass(frozen=True)
class Field:
    """Bits `low` to `low + width - 1` of a register.

    access: "ro" (constant or state of the machine), "rw", "w1" (writing 1 is a command; reads 0) or "w1c" (writing 1
    clears it). Writes to "ro" fields of a register that has others are ignored.
    """

    name: str
    low: int
    width: int
    access: str
    text: str
    reset: int = 0

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register. locked: it cannot be written while the machine is busy."""

    name: str
    offset: int
    text: str
    fields: tuple[Field, ...]
    locked: bool = False

    @property
    def access(self) -> str:
        kinds = list(dict.fromkeys(field.access for field in self.fields))
        return "/".join(kinds)

    @property
    def writable(self) -> bool:
        return any(field.access != "ro" for field in self.fields)

    @property
    def reset(self) -> int:
        return sum(field.reset << field.low for field in self.fields)


def _word(name, offset, access, text, *, reset=0, locked=False, low=0) -> Register:
    return Register(name, offset, text, (Field("value", low, 32 - low, access, text, reset),), locked)


def register_map(config: AcceleratorConfig) -> tuple[Register, ...]:
    """All registers in the order of their offsets; reset values of the constants are those of `config`."""
    log2 = lambda n: n.bit_length() - 1  # noqa: E731

    def constants(name, offset, text, *fields) -> Register:
        position, made = 0, []
        for field, width, value, meaning in fields:
            made.append(Field(field, position, width, "ro", meaning, value))
            position += width
        return Register(name, offset, text, tuple(made))

    c = config
    registers = [
        _word("ID", 0x000, "ro", "The letters TRIO", reset=IDENTIFIER),
        constants(
            "VERSION",
            0x004,
            "Versions",
            ("isa", 16, ISA_VERSION, "Instruction set"),
            ("map", 16, MAP_VERSION, "Register map"),
        ),
        _word("HASH_LO", 0x008, "ro", "Configuration hash, low half", reset=c.hash & 0xFFFFFFFF),
        _word("HASH_HI", 0x00C, "ro", "Configuration hash, high half", reset=c.hash >> 32),
        constants(
            "CONFIG_ARRAY",
            0x010,
            "Array and bus",
            ("cores", 8, c.cores, "Cores"),
            ("block", 8, c.block, "Channels a block"),
            ("data_bytes", 8, c.data_bytes, "Bytes of an AXI beat"),
            ("queue_depth", 8, c.queue_depth, "Instructions a queue"),
        ),
        constants(
            "CONFIG_BUFFERS",
            0x014,
            "Buffer sizes, log2 of bytes",
            ("feature", 8, log2(c.feature_bytes), "A"),
            ("output", 8, log2(c.output_bytes), "O"),
            ("weight", 8, log2(c.weight_bytes), "B and C, each"),
            ("parameter", 8, log2(c.parameter_bytes), "P"),
        ),
        constants(
            "CONFIG_MORE",
            0x018,
            "More sizes, log2",
            ("attention", 8, log2(c.attention_bytes), "K, bytes"),
            ("divisors", 8, log2(c.divisors), "Divisor buffer, tokens"),
            ("read_bursts", 4, log2(c.read_bursts), "Outstanding reads"),
            ("write_bursts", 4, log2(c.write_bursts), "Outstanding writes"),
            ("burst_beats", 8, log2(c.burst_beats), "Longest burst, beats"),
        ),
        Register(
            "CONTROL",
            0x020,
            "Commands and interrupt enable",
            (
                Field("start", 0, 1, "w1", "Run the program; ignored while busy or after an error"),
                Field(
                    "soft_reset",
                    1,
                    1,
                    "w1",
                    "Stop, wait for bursts under way, bring all units to their initial state, clear STATUS",
                ),
                Field("interrupt_enable", 2, 1, "rw", "The interrupt output follows STATUS.interrupt"),
            ),
        ),
        Register(
            "STATUS",
            0x024,
            "State",
            (
                Field("busy", 0, 1, "ro", "A program runs, or bursts of a stopped one are under way, or a reset is"),
                Field("done", 1, 1, "w1c", "A program has ended without an error; also cleared by the next start"),
                Field("error", 2, 1, "ro", "The machine has stopped (see ERROR); cleared by a soft reset"),
                Field("interrupt", 3, 1, "w1c", "Set with done and with error"),
            ),
        ),
        _word("ERROR", 0x028, "ro", "Code of the first error, 0: none (see hdl.isa.names.ErrorCode)"),
        _word(
            "ERROR_INDEX",
            0x02C,
            "ro",
            "Number of the instruction that caused it; for SEMAPHORE_OVERFLOW and WATCHDOG: that finished last",
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
        _word("MEMORY_SIZE", 0x040, "rw", "Bytes from the memory base that may be touched", locked=True),
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
        _word("CYCLES_LO", 0x050, "ro", "Cycles of the program, low half; reading it holds CYCLES_HI"),
        _word("CYCLES_HI", 0x054, "ro", "High half, as of the last read of CYCLES_LO"),
    ]
    registers += [_word(name, 0x058 + 4 * k, "ro", text) for k, (name, text) in enumerate(COUNTERS)]
    return tuple(registers)


# Name -> offset; the same for every configuration.
REGISTERS = {register.name: register.offset for register in register_map(AcceleratorConfig())}


def markdown_table(config: AcceleratorConfig) -> str:
    """The map as a Markdown table, a row a field, with the reset values of `config`."""
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
    """The map as a C header: offsets, and mask and shift of every field of a register with several."""
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
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])
