"""Programs that the machine must refuse: small changes to one that it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, Instruction, field_offsets
from triovit.hdl.isa.names import ErrorCode, Opcode

NAMES = ("program", "load a", "load o", "load b", "load c", "load p", "first", "rmac", "mat", "store", "end")
DATA, RESULT, MEMORY = 0x2000, 0x6000, 0x8000  # bytes of memory: data of the loads, results, all
WORDS = 64  # of a load
GIVEN, NEVER = 5, 20  # semaphores


def good_instructions(config: AcceleratorConfig) -> dict[str, Instruction]:
    """LOAD of all buffers, two R-MAC and a MAT convolution, STORE; by name, in program order."""

    def load(buffer, number, **more):
        fields = {"words": WORDS, "rows": 1, "planes": 1, "memory": DATA + number * 0x400, "buffer": buffer}
        return Instruction(Opcode.LOAD, fields | more)

    compute = dict.fromkeys(("groups", "rows", "kernel_rows", "kernel_cols", "blocks"), 1)
    compute |= {"cols": 4, "in_row": 8, "out_row": 8, "out_group": 4, "destination": 1}
    made = (
        Instruction(Opcode.PROGRAM, {"magic": PROGRAM_MAGIC, "hash": config.hash, "instructions": len(NAMES)}),
        load(0, 0), load(1, 1), load(2, 2), load(3, 3), load(4, 4, signal=0b11),
        Instruction(Opcode.RMAC_CONV, compute | {"wait": 0b01, "cols": 1, "out_base": 60}),
        Instruction(Opcode.RMAC_CONV, compute | {"signal": 0b100}),
        Instruction(Opcode.MAT_CONV, compute | {"wait": 0b10, "signal": 0b1000, "out_base": 32}),
        Instruction(Opcode.STORE, {"words": WORDS, "rows": 1, "planes": 1, "memory": RESULT, "wait": 0b1100}),
        Instruction(Opcode.END, {}),
    )  # fmt: skip
    return dict(zip(NAMES, made, strict=True))


@dataclass
class Broken:
    """A program, how it is started, and how that must end.

    registers: what differs from the usual values. responses: (direction, address, bytes, response) of the memory.
    modelled: the functional simulator finds the same.
    """

    name: str
    code: bytes
    error: ErrorCode
    index: int
    registers: dict[str, int] = field(default_factory=dict)
    responses: list[tuple[str, int, int, str]] = field(default_factory=list)
    modelled: bool = True

    def memory(self) -> np.ndarray:
        memory = np.random.default_rng(1).integers(0, 256, MEMORY, dtype=np.uint8)
        memory[DATA + 4 * 0x400 :] = 0  # records, whose shifts have to be legal, and results
        memory[: len(self.code)] = np.frombuffer(self.code, np.uint8)
        return memory


class Breaker:
    """Collects broken programs of a configuration."""

    def __init__(self, config: AcceleratorConfig):
        self.config, self.good = config, good_instructions(config)
        self.cases: list[Broken] = []

    def code(self, change: Callable[[dict[str, bytes]], None] = lambda parts: None) -> bytes:
        parts = {name: instruction.encode() for name, instruction in self.good.items()}
        change(parts)
        return b"".join(parts.values())

    def add(self, name, error, index, code=None, **more) -> None:
        self.cases.append(Broken(name, self.code() if code is None else code, error, index, **more))

    def fields(self, name: str, error: ErrorCode, opcode: Opcode | None = None, **values: int) -> None:
        """Another opcode, and fields set without looking whether they may be."""
        instruction = self.good[name]
        instruction = Instruction(opcode or instruction.opcode, instruction.fields)
        word = int.from_bytes(instruction.encode(), "little")
        for key, value in values.items():
            offset, width = field_offsets(instruction.opcode)[key]
            assert 0 <= value < 1 << width
            word = word & ~(((1 << width) - 1) << offset) | value << offset
        changed = word.to_bytes(INSTRUCTION_BYTES, "little")
        label = " ".join(f"{key}={value}" for key, value in values.items())
        self.add(f"{(opcode or instruction.opcode).name} {label}", error, NAMES.index(name),
                 self.code(lambda parts: parts.update({name: changed})))  # fmt: skip


def broken_programs(config: AcceleratorConfig) -> list[Broken]:
    """Every kind of error; see `ErrorCode`."""
    b = Breaker(config)
    _programs(b)
    _fields(b)
    _addresses(b)
    _memory(b)
    _semaphores(b)
    return b.cases


def _programs(b: Breaker) -> None:
    def opcode(name: str, value: int) -> bytes:
        return b.code(lambda parts: parts.update({name: bytes([value]) + parts[name][1:]}))

    for value in (0x00, 0x01, 0x03, 0x11, 0x21, 0x35, 0x42, 0x50, 0xFF):
        b.add(f"opcode {value:#x}", ErrorCode.ILLEGAL_OPCODE, 7, opcode("rmac", value))
    b.add("no PROGRAM", ErrorCode.BAD_MAGIC, 0, opcode("program", Opcode.LOAD))
    b.fields("program", ErrorCode.BAD_MAGIC, magic=PROGRAM_MAGIC ^ 1)
    for bit in (0, 31, 32, 63):
        b.fields("program", ErrorCode.WRONG_HASH, hash=b.config.hash ^ 1 << bit)
    end = len(NAMES) - 1
    size = (end + 1) * INSTRUCTION_BYTES
    b.add("no END", ErrorCode.TRUNCATED, end, b.code(lambda parts: parts.pop("end")), modelled=False)
    for bytes_, index in ((size - 1, end), (4 * INSTRUCTION_BYTES, 4), (INSTRUCTION_BYTES, 1), (0, 0)):
        b.add(f"program of {bytes_} bytes", ErrorCode.TRUNCATED, index, modelled=False,
              registers={"PROGRAM_BYTES": bytes_})  # fmt: skip
    for count in (1, 5):
        changed = Instruction(Opcode.PROGRAM, b.good["program"].fields | {"instructions": count}).encode()
        b.add(f"program of {count} instructions", ErrorCode.TRUNCATED, count,
              b.code(lambda parts, changed=changed: parts.update(program=changed)))  # fmt: skip
    for name, registers in {
        "begins beyond memory": {"PROGRAM_OFFSET": MEMORY}, "ends beyond memory": {"PROGRAM_OFFSET": MEMORY - 64},
        "is longer than memory": {"PROGRAM_BYTES": MEMORY + 1}, "is not aligned": {"PROGRAM_OFFSET": 32},
    }.items():  # fmt: skip
        b.add(f"program {name}", ErrorCode.MEMORY_ADDRESS, 0, registers=registers, modelled=False)


def _fields(b: Breaker) -> None:
    illegal = ErrorCode.ILLEGAL_FIELD
    for name in ("words", "rows", "planes"):
        b.fields("load b", illegal, **{name: 0})
        b.fields("store", illegal, **{name: 0})
    for value in (5, 6, 7):
        b.fields("load o", illegal, buffer=value)
    for unit in ("rmac", "mat"):
        for name in ("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks", "destination"):
            b.fields(unit, illegal, **{name: 0})
        for values in ({"mode": 5}, {"mode": 7}, {"fraction_bits": 14}, {"destination": 4}, {"destination": 8}):
            b.fields(unit, illegal, **values)
        for weights in (1, b.config.block // 2, b.config.block + 1):
            b.fields(unit, illegal, weights=weights)
    b.fields("mat", illegal, weights=1, stationary=1)
    for opcode in (Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM):
        for attention in (1, b.config.block // 2):
            b.fields("rmac", illegal, opcode, attention=attention, destination=4)
    b.fields("rmac", illegal, stationary=1)
    b.fields("mat", illegal, joint=1)
    for opcode in (Opcode.RMAC_DEPTHWISE, Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM, Opcode.RMAC_LAYER_NORM):
        b.fields("rmac", illegal, opcode, source=1)
        b.fields("rmac", illegal, opcode, mode=2)


def _addresses(b: Breaker) -> None:
    c, local = b.config, ErrorCode.LOCAL_ADDRESS
    words = {"load a": c.feature_words, "load o": c.output_words, "load b": c.weight_words, "load c": c.weight_words,
             "load p": c.parameter_words, "store": c.output_words}  # fmt: skip
    for name, size in words.items():
        b.fields(name, local, local=size - WORDS + 1)
        b.fields(name, local, local=size)
    b.fields("load a", local, rows=2, local_row=c.feature_words - 1)
    b.fields("store", local, planes=3, local_plane=c.output_words // 2)

    features, results, weights = c.feature_words, c.output_words, c.weight_words
    for unit in ("rmac", "mat"):
        b.fields(unit, local, in_base=features)
        b.fields(unit, local, in_base=features - 3)  # the fourth pixel
        b.fields(unit, local, in_base=results - 3, source=1)
        b.fields(unit, local, in_base=5, blocks=2, in_block=0xFFFFF)
        b.fields(unit, local, weights=weights)
        b.fields(unit, local, weights=weights - c.block, blocks=2)
        b.fields(unit, local, parameters=c.parameter_blocks)
        b.fields(unit, local, parameters=c.parameter_blocks - 1, groups=2)
        b.fields(unit, local, out_base=results - 3)
        b.fields(unit, local, out_base=features - 3, destination=2)
        b.fields(unit, local, out_base=results - 4, out_row=4, mode=4)  # high bytes
        b.fields(unit, local, mode=3, destination=8, rows=c.divisors // 4 + 1, in_row=0, out_row=0)
        b.fields(unit, local, mode=2, rows=c.divisors // 4 + 1, in_row=0, out_row=0)
    b.fields("mat", local, stationary=1, weights=c.attention_words)
    window = c.block + 1
    b.fields("rmac", local, Opcode.RMAC_DEPTHWISE, cols=window, in_base=features - window + 1)
    b.fields("rmac", local, Opcode.RMAC_DEPTHWISE, cols=2, stride=1, in_base=features - 2)
    b.fields("rmac", local, Opcode.RMAC_DEPTHWISE, weights=weights - 3, kernel_rows=2, kernel_cols=2)
    b.fields("rmac", local, Opcode.RMAC_DEPTHWISE, out_base=results - 3)
    b.fields("rmac", local, Opcode.RMAC_OUTER, in_base=features - 3)
    b.fields("rmac", local, Opcode.RMAC_OUTER, in_value=features - 3)
    b.fields("rmac", local, Opcode.RMAC_OUTER, attention=c.attention_words, destination=4)
    b.fields("rmac", local, Opcode.RMAC_OUTER, attention=c.attention_words - c.block, kernel_rows=2, destination=4)
    b.fields("rmac", local, Opcode.RMAC_ROW_SUM, in_base=features - 3)
    b.fields("rmac", local, Opcode.RMAC_ROW_SUM, attention=c.attention_words, destination=4)
    b.fields("rmac", local, Opcode.RMAC_LAYER_NORM, in_base=features)
    b.fields("rmac", local, Opcode.RMAC_LAYER_NORM, weights=weights)
    b.fields("rmac", local, Opcode.RMAC_LAYER_NORM, out_base=results)


def _memory(b: Breaker) -> None:
    size, word = ErrorCode.MEMORY_ADDRESS, b.config.block
    for name in ("load a", "load b", "store"):
        b.fields(name, size, memory=MEMORY)
        b.fields(name, size, memory=MEMORY - WORDS * word + word)
        b.fields(name, size, memory=DATA + 1)
        b.fields(name, size, rows=2, memory_row=MEMORY)
        b.fields(name, size, planes=2, memory_plane=0xFFFFFFFF)
    for response, read, write in (("SLVERR", ErrorCode.READ_SLVERR, ErrorCode.WRITE_SLVERR),
                                  ("DECERR", ErrorCode.READ_DECERR, ErrorCode.WRITE_DECERR)):  # fmt: skip
        for index in (0, 3, 9):
            b.add(f"{response} of instruction {index}", read, index, modelled=False,
                  responses=[("read", index * INSTRUCTION_BYTES, INSTRUCTION_BYTES, response)])  # fmt: skip
        for index, name in ((1, "first"), (5, "last")):
            address = b.good[NAMES[index]].memory + (0 if name == "first" else WORDS * word - 1)
            b.add(f"{response} of a load's {name} byte", read, index, modelled=False,
                  responses=[("read", address, 1, response)])  # fmt: skip
        for address in (RESULT, RESULT + WORDS * word - 1):
            b.add(f"{response} of a store at {address:#x}", write, 9, modelled=False,
                  responses=[("write", address, 1, response)])  # fmt: skip
    # Memory that MEMORY_SIZE promises and nobody has.
    for name, code in (("load b", ErrorCode.READ_DECERR), ("store", ErrorCode.WRITE_DECERR)):
        b.fields(name, code, memory=0x100000)
        b.cases[-1].registers["MEMORY_SIZE"], b.cases[-1].modelled = 0x200000, False


def _semaphores(b: Breaker) -> None:
    b.fields("mat", ErrorCode.WATCHDOG, wait=1 << NEVER)
    b.cases[-1].index = 7  # what finished last
    join = Instruction(Opcode.MAT_JOIN, {"wait": 0b10}).encode()
    b.add("a MAT_JOIN alone", ErrorCode.WATCHDOG, 7, b.code(lambda parts: parts.update(mat=join)))
    for case in b.cases[-2:]:
        case.registers["WATCHDOG"], case.modelled = 3000, False
    joint = Instruction(Opcode.RMAC_CONV, b.good["rmac"].fields | {"joint": 1}).encode()
    b.add("a joint convolution alone", ErrorCode.WATCHDOG, 8, b.code(lambda parts: parts.update(rmac=joint)),
          registers={"WATCHDOG": 3000}, modelled=False)  # fmt: skip
    load = Instruction(Opcode.LOAD, {"words": 1, "rows": 1, "planes": 1, "memory": DATA, "signal": 1 << GIVEN})
    for name, loads in (("semaphore", 300), ("semaphore of the last instruction", 256)):
        program = [Instruction(Opcode.PROGRAM, b.good["program"].fields | {"instructions": loads + 2})]
        program += [load] * loads + [Instruction(Opcode.END, {})]
        b.add(name, ErrorCode.SEMAPHORE_OVERFLOW, 256, b"".join(instruction.encode() for instruction in program))
