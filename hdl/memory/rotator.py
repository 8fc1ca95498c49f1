"""Rotator: consecutive words between the banks they are in and the lanes they are for."""

from __future__ import annotations

import enum

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.memory.shapes import bank_bits, check_power
from triovit.hdl.validation import check_integer


class Towards(enum.Enum):
    """Where a rotator brings words."""

    LANES = enum.auto()  # a read: the word of the window's first address goes to lane 0
    BANKS = enum.auto()  # a write: lane 0 goes to the bank of the window's first address


class Rotator(wiring.Component):
    """Rotates `words` words by the number of the bank that lane 0 is in.

    Parameters
    ----------
    words : int, power of two, 1..128
        Words, as many as there are banks, or as a port is wide when its words repeat from bank to bank.
    word_bits : int, 1..1024
    towards : Towards
        Direction.

    Members
    -------
    i : In(ArrayLayout(word_bits, words)), o : Out(the same)
        LANES: `o[k]` is `i[(k + shift) mod words]`. BANKS: `o[(k + shift) mod words]` is `i[k]`.
    shift : In(log2(words))
        The lowest bits of the window's first address.

    Latency: 0 (combinational), log2(words) two-way multiplexers deep; two of them fit a LUT of six inputs, so they are
    described in pairs.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours (a barrel rotator).
    """

    i: data.View
    o: data.View
    shift: Signal

    def __init__(self, words: int, word_bits: int, towards: Towards = Towards.LANES):
        self.words = check_power("words", words, 1, 128)
        self.word_bits = check_integer("word_bits", word_bits, 1, 1024)
        if not isinstance(towards, Towards):
            raise TypeError(f"towards must be Towards.LANES or Towards.BANKS, not {towards!r}")
        self.towards = towards
        layout = data.ArrayLayout(word_bits, words)
        super().__init__({"i": In(layout), "o": Out(layout), "shift": In(bank_bits(words))})

    def elaborate(self, platform):
        m = Module()
        sign = 1 if self.towards is Towards.LANES else -1
        words = [self.i[k] for k in range(self.words)]
        # The coarse stage first: then the last stage, which is the fast one where a pair is left over, is the fine one.
        for low in reversed(range(0, bank_bits(self.words), 2)):
            digit = self.shift[low : low + 2]
            rotated = [Signal(self.word_bits, name=f"rotated_{low}_{k}") for k in range(self.words)]
            for k, target in enumerate(rotated):
                with m.Switch(digit):
                    for value in range(1 << len(digit)):
                        with m.Case(value):
                            m.d.comb += target.eq(words[(k + sign * (value << low)) % self.words])
            words = rotated
        m.d.comb += [self.o[k].eq(word) for k, word in enumerate(words)]
        return m
