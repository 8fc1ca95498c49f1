"""From a window of consecutive words to banks and rows, once for all memories that are read or written alike."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.memory.shapes import bank_bits, check_banks, row_bits


def window_mask(count: Value, double: Value, width: int) -> Value:
    """Words that a window of `width` is read for, a bit each: the first `count`, or if `double` every second one of the
    first 2 * `count` - 1. `count` is at most `width`, or half of it."""
    return Cat(Mux(double, (lane % 2 == 0) & (count > lane // 2), count > lane) for lane in range(width))


class BankSelect(wiring.Component):
    """Which banks of a `BankArray` a window of words meets, and in which rows.

    Words `address` to `address + width - 1` are in different banks whatever the address is. Banks below the bank of the
    first word hold the row that follows:

        address 6, 4 words, 4 banks:    bank   0   1   2   3     shift 2
                                        row 1          6   7     rows 2 2 1 1
                                        row 2  8   9

    Parameters
    ----------
    words, banks : int
        Of the `BankArray`.
    width : int, power of two, 1..banks
        Words of the window.

    Members
    -------
    address : In(bits of words - 1)
        Of the window's first word. It may lie beyond the memory, or before it modulo its bits, where the mask leaves
        the words out.
    mask : In(width)
        Words of the window that are used; 0 where there is no access.
    enables : Out(banks), rows : Out(ArrayLayout(row_bits, banks))
        Banks with a word that is used; the row of every bank.
    shift : Out(log2(banks))
        Bank of the first word, for a `Rotator`.

    Latency: 0 (combinational). Addresses are checked where they are made.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    address: Signal
    mask: Signal
    enables: Signal
    rows: data.View
    shift: Signal

    def __init__(self, words: int, banks: int, width: int):
        self.words, self.banks, self.width = check_banks(words, banks, width)
        super().__init__(
            {
                "address": In(bank_bits(banks) + row_bits(words, banks)),
                "mask": In(width),
                "enables": Out(banks),
                "rows": Out(data.ArrayLayout(row_bits(words, banks), banks)),
                "shift": Out(bank_bits(banks)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row = self.address[bank_bits(self.banks) :]
        following = Signal.like(row, name="following")
        below = Signal(self.banks)
        spread = Signal(2 * self.banks)
        m.d.comb += [
            self.shift.eq(self.address[: bank_bits(self.banks)]),
            following.eq(row + 1),
            below.eq((1 << self.shift) - 1),
            *(self.rows[bank].eq(Mux(below[bank], following, row)) for bank in range(self.banks)),
            spread.eq(self.mask << self.shift),
            self.enables.eq(spread[: self.banks] | spread[self.banks :]),
        ]
        return m
