"""Race detector: proves that a program's semaphores order every conflicting pair of accesses.

The units of the machine run side by side. What is certain is only this:
- a unit starts its instructions in order, and finishes them in order;
- an instruction starts after every signal that its waits stand for, and its signal comes after its last effect;
- a joint convolution and its MAT_JOIN start together.
Everything else may happen at any time. With a vector clock a unit (how many instructions of every other unit are
certainly finished when one starts) each access is compared with the last accesses of all units to the same words.

Inside one unit, reads and writes keep their order, with one exception: a unit starts an instruction before the results
of the one before are written, so reading a result of the same unit needs a semaphore as well.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import SEMAPHORES, Instruction
from triovit.hdl.isa.names import Unit


class RaceError(AssertionError):
    """Two instructions that touch the same word in an order nothing enforces.

    A fault of the compiler that nobody can mend from outside, so no `TriovitError`: it keeps its traceback.
    """

    def __init__(
        self, kind: str, space: str, word: int, first: tuple[int, Instruction], second: tuple[int, Instruction]
    ):
        def name(part):
            return f"instruction {part[0]} ({part[1].opcode.name}, tag {part[1].tag})"

        super().__init__(
            f"{kind} of word {word} of {space}: {name(first)} and {name(second)} are not ordered by semaphores"
        )
        self.kind, self.space, self.word, self.first, self.second = kind, space, word, first[0], second[0]


class RaceDetector:
    """Observes a run in program order (`begin`, `touch`..., `end` for each instruction or joint pair).

    Raises RaceError at the first access that is not ordered after an earlier conflicting one, and at the first read of
    an on-chip word that was never written (K excepted: a matrix of row sums has unused lanes).
    """

    def __init__(self, config: AcceleratorConfig, memory_words: int, program: list[Instruction]):
        sizes = {**config.words, "memory": memory_words}
        self.last_read = {space: {} for space in sizes}
        self.last_write = {space: {} for space in sizes}
        self.sizes = sizes
        self.history: dict[Unit, list[tuple[int, Instruction]]] = {unit: [] for unit in Unit}
        self.start: dict[Unit, list[np.ndarray]] = {unit: [] for unit in Unit}
        self.clock = {unit: np.zeros(len(Unit), dtype=np.int64) for unit in Unit}
        # Signals of every unit on every semaphore over the whole program, and those so far (as numbers in the unit).
        self.total: dict[tuple[int, Unit], int] = defaultdict(int)
        for instruction in program:
            for number in _bits(instruction.signal):
                self.total[number, instruction.unit] += 1
        self.signals: dict[tuple[int, Unit], list[int]] = defaultdict(list)
        self.waits: dict[tuple[int, Unit], int] = defaultdict(int)
        self.parts: list[tuple[int, Instruction]] = []
        self.touched: list[tuple[Unit, str, np.ndarray, bool]] = []
        self.now = np.zeros(len(Unit), dtype=np.int64)

    def begin(self, parts: list[tuple[int, Instruction]]) -> None:
        """An instruction, or a joint convolution and its MAT_JOIN, starts."""
        self.parts, self.touched = parts, []
        now = np.maximum.reduce([self.clock[i.unit] for _, i in parts])
        for _, instruction in parts:
            for number in _bits(instruction.wait):
                now = np.maximum(now, self._learned(number, instruction.unit))
        self.now = now

    def _learned(self, number: int, unit: Unit) -> np.ndarray:
        """What is certain after a unit's next wait on a semaphore: its n-th wait means at least n signals."""
        self.waits[number, unit] += 1
        count = self.waits[number, unit]
        known = np.zeros(len(Unit), dtype=np.int64)
        for giver in Unit:
            others = sum(self.total[number, other] for other in Unit if other != giver)
            certain = count - others
            if certain >= 1:
                signal = self.signals[number, giver][certain - 1]
                known = np.maximum(known, self.start[giver][signal - 1])
                known[giver] = max(known[giver], signal)
        return known

    def touch(self, unit: Unit, space: str, words: np.ndarray, write: bool) -> None:
        """Part of the current instruction that `unit` does reads or writes words of a space."""
        for other, table in self.last_write[space].items():
            if other != unit or not write:
                self._check(unit, other, table, words, space, "overwriting" if write else "reading what is written")
        if write:
            for other, table in self.last_read[space].items():
                if other != unit:
                    self._check(unit, other, table, words, space, "overwriting what is read")
        elif space not in ("K", "memory"):
            self._check_written(unit, space, words)
        self.touched.append((unit, space, words, write))

    def _check(self, unit: Unit, other: Unit, table: np.ndarray, words: np.ndarray, space: str, kind: str) -> None:
        numbers = table[words]
        worst = int(numbers.argmax()) if numbers.size else 0
        if numbers.size and numbers[worst] > self.now[other]:
            raise RaceError(
                kind, space, int(words[worst]), self.history[other][int(numbers[worst]) - 1], self._part(unit)
            )

    def _check_written(self, unit: Unit, space: str, words: np.ndarray) -> None:
        written = np.zeros(words.shape, dtype=bool)
        for table in self.last_write[space].values():
            written |= table[words] > 0
        if not written.all():
            part = self._part(unit)
            raise RaceError(
                "reading what nobody has written", space, int(words[np.flatnonzero(~written)[0]]), part, part
            )

    def _part(self, unit: Unit) -> tuple[int, Instruction]:
        return next((part for part in self.parts if part[1].unit == unit), self.parts[0])

    def end(self) -> None:
        """The current instruction is done: its accesses and signals become history."""
        for part in self.parts:
            unit = part[1].unit
            self.history[unit].append(part)
            self.start[unit].append(self.now)
            self.clock[unit] = self.now
            for number in _bits(part[1].signal):
                self.signals[number, unit].append(len(self.history[unit]))
        for unit, space, words, write in self.touched:
            tables = (self.last_write if write else self.last_read)[space]
            if unit not in tables:
                tables[unit] = np.zeros(self.sizes[space], dtype=np.int32)
            tables[unit][words] = len(self.history[unit])


def _bits(mask: int) -> list[int]:
    return [number for number in range(SEMAPHORES) if mask >> number & 1]
