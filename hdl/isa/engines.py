"""The units of a machine and what they touch: the one list behind the hardware, the compiler and the simulators.

A unit takes instructions from a queue of its own; FETCH, which fills the queues, is not in the list. Queues,
semaphores, counters, trace ports and the register map are loops over the list, so that a further unit is an entry here
(and in `hdl.compute.engines`, which says what its hardware is made of).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triovit.hdl.isa.names import Opcode, Unit


class Space(enum.StrEnum):
    """Storage that instructions read and write: the on-chip buffers, and the memory behind the AXI ports."""

    A = "A"
    O = "O"  # noqa: E741
    B = "B"
    C = "C"
    P = "P"
    K = "K"
    DIVISOR = "divisor"
    MEMORY = "memory"


@dataclass(frozen=True)
class Engine:
    """What executes the instructions of one unit.

    unit: its name, and its number in opcodes, events and tables. opcodes: its instructions. reads, writes: spaces that
    they touch, of which its semaphores follow. computes: its results go through post-processing; else it moves data.
    """

    unit: Unit
    opcodes: tuple[Opcode, ...]
    reads: frozenset[Space]
    writes: frozenset[Space]
    computes: bool = False

    def may_wait_for(self, giver: Engine) -> bool:
        """An instruction of this unit may have to wait for one of `giver`.

        It reads or overwrites what the other one writes, or overwrites what the other one reads. A unit's own accesses
        keep their order, but for reading an own result: the next instruction starts before the last one's are written.
        """
        if giver == self:
            return bool(self.reads & self.writes)
        return bool(giver.writes & (self.reads | self.writes) or giver.reads & self.writes)


def _engine(unit: Unit, reads: Iterable[Space], writes: Iterable[Space], computes: bool = False) -> Engine:
    opcodes = tuple(opcode for opcode in Opcode if opcode >> 4 == unit)
    return Engine(unit, opcodes, frozenset(reads), frozenset(writes), computes)


S = Space
# In the order of the queues, of priority and of the units' numbers.
ENGINES = {
    "trio": (
        _engine(Unit.LOAD, (S.MEMORY,), (S.A, S.O, S.B, S.C, S.P)),
        _engine(Unit.STORE, (S.O,), (S.MEMORY,)),
        _engine(Unit.RMAC, (S.A, S.O, S.B, S.P, S.DIVISOR), (S.A, S.O, S.K, S.DIVISOR), computes=True),
        _engine(Unit.MAT, (S.A, S.O, S.C, S.K, S.P, S.DIVISOR), (S.A, S.O, S.DIVISOR), computes=True),
    )
}


# ---- counters ----
class Event(enum.Enum):
    """What a counter counts, a cycle at a time."""

    BUSY = enum.auto()
    STALL = enum.auto()
    BEAT_READ = enum.auto()
    BEAT_WRITTEN = enum.auto()


@dataclass(frozen=True)
class Counter:
    """An event counter: its register's name and meaning, the event, and the unit that has it (None: the AXI ports)."""

    name: str
    text: str
    event: Event
    unit: Unit | None = None


def counters(engines: Sequence[Engine]) -> tuple[Counter, ...]:
    """The counters of these units, in the order of their registers."""
    names = [engine.unit.name for engine in engines]
    computing = [engine for engine in engines if engine.computes]
    return (
        *(
            Counter(f"{name}_BUSY", f"Cycles in which {name} had work", Event.BUSY, engine.unit)
            for name, engine in zip(names, engines, strict=True)
        ),
        *(
            Counter(
                f"{engine.unit.name}_STALL",
                f"Cycles in which a step of {engine.unit.name} had to wait",
                Event.STALL,
                engine.unit,
            )
            for engine in computing
        ),
        Counter("BEATS_READ", "AXI beats read, of all ports", Event.BEAT_READ),
        Counter("BEATS_WRITTEN", "AXI beats written, of all ports", Event.BEAT_WRITTEN),
    )


# ---- names for simulators ----
def traced(engines: Sequence[Engine]) -> tuple[Unit, ...]:
    """Units with trace ports: FETCH and those of the list."""
    return (Unit.FETCH, *(engine.unit for engine in engines))


def trace_port(unit: Unit) -> str:
    """Prefix of a unit's trace ports at the top level."""
    return f"trace_{unit.name.lower()}"
