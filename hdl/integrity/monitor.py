"""Integrity monitor: alarms of everybody who stores words become an error of the machine, or a count."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.integrity.alarms import ALARMS, joined
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import ErrorCode, Storage, Unit
from triovit.hdl.validation import check_integer

PLACE_BITS = 4
CODE_BITS = max(ErrorCode).bit_length()
COUNT_BITS = 32

FAULT = data.StructLayout(
    {"valid": 1, "code": unsigned(CODE_BITS), "place": unsigned(PLACE_BITS), "known": 1, "index": unsigned(INDEX_BITS)}
)
"""An error of stored words. place: `Storage` of MEMORY_UNCORRECTABLE, `Unit` of QUEUE_PARITY, FETCH's of
PROGRAM_PARITY. known: `index` is the instruction's number; else nobody knows it."""


class IntegrityMonitor(wiring.Component):
    """Joins alarms, chooses what the machine stops with, and counts what was corrected.

    Parameters: sources (1..64).
    Members:
      alarms (In, ALARMS).array(sources). index (In, 32): the instruction that FETCH is at.
      clear (In, 1), count (In, 1): the count becomes zero; this cycle's corrections count.
      fault (Out, FAULT): of several alarms in one cycle the program's goes first, then queues', then memories', each in
      the order of their numbers.
      corrected (Out, 32): cycles in which a word of a memory was corrected; stays at its largest value.
    Latency: `latency = 1` cycle from an alarm to the fault, 2 to the count.
    Raises: TypeError or ValueError for a number of sources outside its range.
    Source: ours.
    """

    alarms: list[data.View]
    index: Signal
    clear: Signal
    count: Signal
    fault: data.View
    corrected: Signal

    latency = 1

    def __init__(self, sources: int):
        self.sources = check_integer("sources", sources, 1, 64)
        super().__init__(
            {
                "alarms": In(ALARMS).array(sources),
                "index": In(INDEX_BITS),
                "clear": In(1),
                "count": In(1),
                "fault": Out(FAULT),
                "corrected": Out(COUNT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        seen, fault = Signal(ALARMS), self.fault
        counted = Signal()
        m.d.sync += [seen.eq(joined(*self.alarms)), counted.eq(seen.corrected & self.count)]
        m.d.comb += [fault.valid.eq(seen.failed.any() | seen.queues.any() | seen.program), fault.index.eq(self.index)]
        with m.If(seen.program):
            m.d.comb += [fault.code.eq(ErrorCode.PROGRAM_PARITY), fault.place.eq(Unit.FETCH), fault.known.eq(1)]
        with m.Elif(seen.queues.any()):
            m.d.comb += [fault.code.eq(ErrorCode.QUEUE_PARITY), fault.place.eq(_lowest(seen.queues, Unit))]
        with m.Else():
            m.d.comb += [fault.code.eq(ErrorCode.MEMORY_UNCORRECTABLE), fault.place.eq(_lowest(seen.failed, Storage))]
        with m.If(counted & ~self.corrected.all()):
            m.d.sync += self.corrected.eq(self.corrected + 1)
        with m.If(self.clear):
            m.d.sync += [self.corrected.eq(0), counted.eq(0)]
        return m


def _lowest(bits, numbers: type[Storage] | type[Unit]):
    """Number of the lowest bit that is set."""
    place = 0
    for number in reversed(numbers):
        place = Mux(bits[number], number.value, place)
    return place


def fault_text(register: int) -> str:
    """What register ERROR of a machine with `integrity` says: code and place."""
    code, place = ErrorCode(register & 0xFF), register >> 8 & 0xFF
    kinds: Mapping[ErrorCode, tuple[str, type[Storage] | type[Unit]]] = {
        ErrorCode.MEMORY_UNCORRECTABLE: ("buffer", Storage),
        ErrorCode.QUEUE_PARITY: ("a queue of", Unit),
    }
    if code not in kinds:
        return code.name
    words, numbers = kinds[code]
    return f"{code.name} ({words} {numbers(place).name})"
