"""Shapes that the components of a memory in banks share: checks of parameters, widths of an address' parts."""

from __future__ import annotations

from amaranth.utils import ceil_log2

from triovit.hdl.validation import check_integer


def check_power(name: str, value: int, low: int, high: int) -> int:
    """Return `value` after checking that it is a power of two in [low, high]."""
    check_integer(name, value, low, high)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value}")
    return value


def check_banks(words: int, banks: int, width: int) -> tuple[int, int, int]:
    """Return the arguments after checking them: words of all banks, banks, words of a port."""
    check_power("banks", banks, 1, 128)
    check_power("width", width, 1, banks)
    check_integer("words", words, 2 * banks, 1 << 24)
    if words % banks:
        raise ValueError(f"words must be a multiple of the {banks} banks, not {words}")
    return words, banks, width


def bank_bits(banks: int) -> int:
    """Low bits of a word's address: its bank."""
    return ceil_log2(banks)


def row_bits(words: int, banks: int) -> int:
    """Bits of the row in a bank: what is left of the address."""
    return ceil_log2(words // banks)
