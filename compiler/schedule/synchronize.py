"""Semaphores from the data: every wait that the words an instruction touches make necessary, and no other.

There is one semaphore for each ordered pair of units that share a buffer (`hdl.config.engines.semaphores`). An
instruction waits when it reads what another unit writes, or overwrites what another unit reads or writes, unless an
earlier wait has already settled that. The instruction waited for is later in its unit's order than every one that was
waited for before, so the n-th signal of a pair's semaphore always meets its n-th wait. All waits point backwards in
program order: the program is legal by construction.

Within a unit only one thing needs a semaphore: reading a result that an earlier instruction of the same unit wrote,
because a unit starts its next instruction before the last one's results are written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.compiler.schedule.schedule import Draft
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of, semaphores
from triovit.hdl.isa.engines import ENGINES
from triovit.hdl.isa.instructions import SEMAPHORE_BITS
from triovit.hdl.isa.names import Opcode, Unit
from triovit.machine.accesses import accesses
from triovit.machine.nests import MEMORY

# Number -> name: LOAD_RMAC is given by LOAD, taken by RMAC.
SEMAPHORE_NAMES = {
    number: f"{giver.name}_{taker.name}" for (giver, taker), number in semaphores(ENGINES["trio"]).items()
}


@dataclass(eq=False)
class Event:
    """One thing that starts at one time: an instruction, or a joint convolution with its MAT_JOIN."""

    parts: list[tuple[Unit, Draft]]

    @property
    def taker(self) -> Unit:
        return self.parts[0][0]


def _events(drafts: list[Draft]) -> list[Event]:
    events: list[Event] = []
    for draft in drafts:
        part = draft.instruction.unit, draft
        if draft.instruction.opcode == Opcode.MAT_JOIN:
            events[-1].parts.append(part)
        else:
            events.append(Event([part]))
    return events


def limit_tokens(drafts: list[Draft], number: int, most: int) -> None:
    """Thin out a semaphore's signals until it never holds more than `most` (>= 2) in program order.

    Of each two signals that are given and not yet taken, the earlier one goes, and the wait for the later one: the
    earlier wait then waits for the later signal, which orders everything as before and a little more. Both signals come
    before both waits, so the program stays legal.
    """
    bit = 1 << number
    waits = iter([draft for draft in drafts if draft.instruction.wait & bit])
    given: list[tuple[Draft, Draft]] = []  # signals that are not yet taken, each with its wait
    for draft in drafts:
        if draft.instruction.wait & bit:
            given.pop(0)
        if draft.instruction.signal & bit:
            given.append((draft, next(waits)))
        if len(given) > most:
            for (signal, _), (_, wait) in zip(given[0::2], given[1::2], strict=False):
                signal.edit(signal=signal.instruction.signal & ~bit)
                wait.edit(wait=wait.instruction.wait & ~bit)
            kept = [(signal, wait) for (_, wait), (signal, _) in zip(given[0::2], given[1::2], strict=False)]
            given = kept + given[len(given) // 2 * 2 :]


class Synchronizer:
    """Finds the waits of a sequence of drafts and writes them into their instructions."""

    def __init__(self, config: AcceleratorConfig, memory_words: int):
        self.config = config
        engines = engines_of(config)
        self.units = [engine.unit for engine in engines]
        self.semaphores = semaphores(engines)
        sizes = {**config.words, MEMORY: memory_words}
        # Number (from 1) of the last instruction of a unit that read or wrote a word; 0: none.
        self.reads = {(s, u): np.zeros(n, dtype=np.int32) for s, n in sizes.items() if s != MEMORY for u in self.units}
        self.writes = {(s, u): np.zeros(n, dtype=np.int32) for s, n in sizes.items() if s != MEMORY for u in self.units}
        # In memory every word is written at most once, by STORE.
        self.writes[MEMORY, Unit.STORE] = np.zeros(sizes[MEMORY], dtype=np.int32)
        self.issued: dict[Unit, list[Draft]] = {unit: [] for unit in self.units}
        self.clocks: dict[Unit, list[np.ndarray]] = {
            unit: [] for unit in self.units
        }  # known to be done when an instruction starts
        self.known = {unit: np.zeros(max(self.units) + 1, dtype=np.int64) for unit in self.units}

    def run(self, drafts: list[Draft]) -> None:
        for event in _events(drafts):
            self._add(event)
        # A semaphore holds 8 bits. A unit can be ahead of program order by what the queues hold, hence the reserve.
        most = (1 << SEMAPHORE_BITS) - 1 - 2 * self.config.queue_depth
        for number in self.semaphores.values():
            limit_tokens(drafts, number, most)

    def _add(self, event: Event) -> None:
        start = np.maximum.reduce([self.known[unit] for unit, _ in event.parts])
        needed = dict.fromkeys(self.units, 0)
        # A MAT_JOIN's accesses are the MAT engine's part of its convolution.
        instruction = event.parts[0][1].instruction
        touched = [(unit, list(accesses(self.config, instruction, unit))) for unit, _ in event.parts]
        for unit, words_of_unit in touched:
            for space, words, write in words_of_unit:
                self._need(needed, unit, space, words, write)
        taker = event.taker
        waits = {giver: number for giver, number in needed.items() if number > start[giver]}
        for giver, number in waits.items():
            # What another wait already implies needs none of its own.
            if any(self.clocks[other][n - 1][giver] >= number for other, n in waits.items() if other != giver):
                continue
            self._wait(giver, taker, number, event.parts[0][1])
            start = np.maximum(start, self.clocks[giver][number - 1])
            start[giver] = max(start[giver], number)
        for unit, draft in event.parts:
            self.issued[unit].append(draft)
            self.clocks[unit].append(start.copy())
            self.known[unit] = start.copy()
        for unit, words_of_unit in touched:
            number = len(self.issued[unit])
            for space, words, write in words_of_unit:
                table = (self.writes if write else self.reads).get((space, unit))
                if table is not None:
                    table[words] = number

    def _need(self, needed: dict[Unit, int], unit: Unit, space: str, words: np.ndarray, write: bool) -> None:
        for other in self.units:
            tables = [self.writes.get((space, other))]
            if write and other != unit:
                tables.append(self.reads.get((space, other)))
            elif write:
                continue  # a unit's reads, and its writes among themselves, stay in order
            for table in tables:
                if table is not None:
                    needed[other] = max(needed[other], int(table[words].max()))

    def _wait(self, giver: Unit, taker: Unit, number: int, draft: Draft) -> None:
        bit = 1 << self.semaphores[giver, taker]
        signaller = self.issued[giver][number - 1]
        assert not signaller.instruction.signal & bit, "a signal is waited for once"
        signaller.edit(signal=signaller.instruction.signal | bit)
        draft.edit(wait=draft.instruction.wait | bit)
