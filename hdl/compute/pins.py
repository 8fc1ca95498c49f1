"""What is at the pins of a core's buffers, made once for all cores."""

from __future__ import annotations

from amaranth.hdl import Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from triovit.hdl.config.buffers import Banks
from triovit.hdl.memory.shapes import bank_bits, row_bits


def _rows(shape: Banks) -> data.ArrayLayout:
    return data.ArrayLayout(row_bits(shape.words, shape.banks), shape.banks)


class ReadPinsInterface(wiring.PureInterface):
    """Members of a `ReadPins`."""

    enables: Signal
    rows: data.View
    shift: Signal


class ReadPins(wiring.Signature):
    """A read of a buffer: its banks, their rows, and the bank of the first word; Out at who reads."""

    def __init__(self, shape: Banks):
        super().__init__({"enables": Out(shape.banks), "rows": Out(_rows(shape)), "shift": Out(bank_bits(shape.banks))})


class WritePinsInterface(wiring.PureInterface):
    """Members of a `WritePins`."""

    enables: Signal
    rows: data.View
    from_result: Signal


class WritePins(wiring.Signature):
    """A write to a buffer: its banks, their rows, and whether the words are results; Out at who writes."""

    def __init__(self, shape: Banks):
        super().__init__({"enables": Out(shape.banks), "rows": Out(_rows(shape)), "from_result": Out(1)})
