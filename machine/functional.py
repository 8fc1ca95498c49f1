"""Functional simulator: executes a program instruction by instruction, in program order, on a memory image.

It knows nothing of cycles. It computes with NumPy and `golden.integer.arithmetic`, checks what the machine checks
(hash, fields, addresses, semaphores) and, on request, that the program's semaphores order everything that the
concurrent units could otherwise do in another order (`machine.races`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import (
    INSTRUCTION_BYTES,
    PROGRAM_MAGIC,
    SEMAPHORE_BITS,
    SEMAPHORES,
    Instruction,
    InstructionError,
    field_offsets,
    remainder,
)
from triovit.hdl.isa.names import ErrorCode, Opcode, Unit
from triovit.hdl.isa.rules import broken_rules
from triovit.machine.compute import execute_compute
from triovit.machine.races import RaceDetector
from triovit.machine.state import State
from triovit.machine.transfers import execute_transfer


def _has_magic(code: bytes) -> bool:
    """Whether it looks like the beginning of a program."""
    word, (low, bits) = int.from_bytes(code, "little"), field_offsets(Opcode.PROGRAM)["magic"]
    return code[0] == Opcode.PROGRAM and word >> low & ((1 << bits) - 1) == PROGRAM_MAGIC


@dataclass
class RunResult:
    """What a run did: executed instructions a unit, tokens left in the semaphores."""

    instructions: dict[Unit, int] = field(default_factory=dict)
    semaphores: list[int] = field(default_factory=list)


class FunctionalSimulator:
    """A machine of one configuration with a memory.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : (n,) uint8 array, changed in place: the ports' partitions, MEMORY_SIZE bytes each
    core_stride : bytes from a core's feature maps to the next core's
    check_overlap : run the race detector too; it raises `machine.races.RaceError`
    seed : of the pattern that fills all buffers before the program, so that nothing works by accident
    core_mask : cores that take part, a bit each; core 0 always does

    Raises ProgramError for a program that the machine refuses.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory: np.ndarray,
        core_stride: int,
        *,
        check_overlap: bool = False,
        seed: int = 1,
        core_mask: int = -1,
    ):
        self.config = config.validate()
        self.state = State(config, memory, core_stride, seed, core_mask)
        self.check_overlap = check_overlap
        self.semaphores = [0] * SEMAPHORES
        self.races: RaceDetector | None = None

    def fail(self, code: ErrorCode, text: str) -> NoReturn:
        """Stop at the instruction in hand; raises ProgramError."""
        self.state.fail(code, text)

    # ---- the program ----
    def program(self, offset: int) -> list[Instruction]:
        """Decode the program at a byte offset; checks magic, hash and END."""

        def decode(number: int) -> Instruction:
            start = offset + number * INSTRUCTION_BYTES
            self.state.index = number
            if start + INSTRUCTION_BYTES > self.state.memory.size // self.config.ports:
                self.fail(ErrorCode.MEMORY_ADDRESS, f"instruction at byte {start}")
            code = self.state.memory[start : start + INSTRUCTION_BYTES].tobytes()
            if not number and not _has_magic(code):
                self.fail(ErrorCode.BAD_MAGIC, "the first instruction is not PROGRAM")
            if self.config.integrity and remainder(code):
                self.fail(ErrorCode.PROGRAM_PARITY, "its bytes do not add up: it is damaged")
            try:
                return Instruction.decode(code)
            except InstructionError as error:
                return self.fail(ErrorCode.ILLEGAL_OPCODE, str(error))

        first = decode(0)
        if first.hash != self.config.hash:
            self.fail(ErrorCode.WRONG_HASH, f"compiled for {first.hash:016x}, this machine is {self.config.hash:016x}")
        program = [first]
        while program[-1].opcode != Opcode.END:
            if len(program) >= first.instructions:
                self.state.index = len(program)
                self.fail(ErrorCode.TRUNCATED, "the program has no END")
            program.append(decode(len(program)))
            if program[-1].opcode == Opcode.PROGRAM:
                self.fail(ErrorCode.ILLEGAL_OPCODE, "PROGRAM is not the first instruction")
        return program

    def run(self, program_offset: int = 0, progress: Callable[[int, int], None] | None = None) -> RunResult:
        """Execute the program. progress is called with (instruction, instructions)."""
        program = self.program(program_offset)
        if self.check_overlap:
            self.races = RaceDetector(self.config, self.state.partitions.size, program)
            self.state.observer = self.races.touch
        result = RunResult(dict.fromkeys(Unit, 0))
        open_join: list[tuple[int, Instruction]] = []  # MAT_JOINs or joint convolutions that wait for their other half
        for self.state.index, instruction in enumerate(program):
            if progress:
                progress(self.state.index, len(program))
            result.instructions[instruction.unit] += 1
            self._check_fields(instruction)
            self._wait(instruction)
            half = instruction.opcode == Opcode.MAT_JOIN or (
                instruction.opcode == Opcode.RMAC_CONV and instruction.joint
            )
            if half and (not open_join or open_join[0][1].opcode == instruction.opcode):
                open_join.append((self.state.index, instruction))
                continue
            together = [(self.state.index, instruction)]
            if half:
                together.append(open_join.pop(0))
                together.sort(key=lambda part: part[1].opcode)  # the convolution first
            if self.races:
                self.races.begin(together)
            self.state.index = together[0][0]
            self._execute(together[0][1])
            if self.races:
                self.races.end()
            for _, part in together:
                self._signal(part)
        if open_join:
            self.state.index = open_join[0][0]
            self.fail(ErrorCode.WATCHDOG, "a joint convolution and a MAT_JOIN did not meet")
        result.semaphores = list(self.semaphores)
        return result

    def _wait(self, instruction: Instruction) -> None:
        for number in range(SEMAPHORES):
            if instruction.wait >> number & 1:
                if not self.semaphores[number]:
                    self.fail(ErrorCode.WATCHDOG, f"waits for semaphore {number}, which is zero in program order")
                self.semaphores[number] -= 1

    def _signal(self, instruction: Instruction) -> None:
        for number in range(SEMAPHORES):
            if instruction.signal >> number & 1:
                self.semaphores[number] += 1
                if self.semaphores[number] >= 1 << SEMAPHORE_BITS:
                    self.fail(ErrorCode.SEMAPHORE_OVERFLOW, f"semaphore {number}")

    def _check_fields(self, instruction: Instruction) -> None:
        broken = broken_rules(instruction, self.config.block)
        if broken:
            texts = [f"{rule.field} {rule.text} (it is {getattr(instruction, rule.field)})" for rule in broken]
            self.fail(broken[0].error, f"{instruction.opcode.name}: {', '.join(texts)}")

    def _execute(self, instruction: Instruction) -> None:
        if instruction.unit in (Unit.LOAD, Unit.STORE):
            execute_transfer(self.state, instruction)
        elif instruction.unit in (Unit.RMAC, Unit.MAT):
            execute_compute(self.state, instruction)
