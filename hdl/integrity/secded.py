"""SECDED: words with check bits, of which one flipped bit is corrected and two are found."""

from __future__ import annotations

import functools
import itertools

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.validation import check_integer

PIECE = 64
"""Most data bits under one code: (72, 64) is what a block RAM of 72 bits holds."""


def pieces(width: int) -> tuple[int, ...]:
    """Data bits of each code of a word: as many whole pieces as it has, and what is left."""
    check_integer("width", width, 1, 1024)
    whole, left = divmod(width, PIECE)
    return (PIECE,) * whole + ((left,) if left else ())


@functools.cache
def columns(bits: int) -> tuple[int, ...]:
    """Syndrome that each of `bits` data bits gives when it is flipped: distinct, of odd weight, 3 at least.

    Check bit c gives the syndrome 1 << c. Two flipped bits give an even weight, so no pair looks like a single one.
    Light columns come first, and of equal weight those that keep the check bits' sums short.
    """
    checks = next(count for count in itertools.count(2) if (1 << count - 1) - count >= bits)
    chosen, load = [], [0] * checks
    for weight in range(3, checks + 1, 2):
        left = list(itertools.combinations(range(checks), weight))
        while left and len(chosen) < bits:
            rows = min(left, key=lambda rows: sorted((load[row] for row in rows), reverse=True))
            left.remove(rows)
            chosen.append(sum(1 << row for row in rows))
            for row in rows:
                load[row] += 1
    return tuple(chosen)


def check_bits(bits: int) -> int:
    """Check bits of a code of `bits` data bits: 8 of 64, 7 of 32."""
    return max(columns(bits)).bit_length()


def coded_bits(width: int) -> int:
    """Bits of a coded word of `width` bits."""
    return sum(bits + check_bits(bits) for bits in pieces(width))


def checks_of(word: Value, bits: int) -> Value:
    """Check bits of `bits` data bits."""
    return Cat(_sum(word, bits, row) for row in range(check_bits(bits)))


def _sum(word: Value, bits: int, row: int) -> Value:
    return Cat(word[k] for k, column in enumerate(columns(bits)) if column >> row & 1).xor()


def encode(word: int, width: int) -> int:
    """The coded word of `width` data bits, as `SecdedEncoder` makes it."""
    coded = position = 0
    for bits in pieces(width):
        part = word & ((1 << bits) - 1)
        checks = functools.reduce(lambda a, b: a ^ b, (c for k, c in enumerate(columns(bits)) if part >> k & 1), 0)
        coded |= (part | checks << bits) << position
        word, position = word >> bits, position + bits + check_bits(bits)
    return coded


def judge(syndrome: Value, width: int) -> tuple[Value, Value]:
    """(corrected, failed) of a decoder's syndrome. corrected: a bit of a piece had flipped, of data or check bits, and
    no piece has failed. failed: two bits of a piece had flipped, or more with a syndrome that is no single bit's."""
    corrected, failed, position = [], [], 0
    for bits in pieces(width):
        checks = check_bits(bits)
        part = syndrome[position : position + checks]
        position += checks
        # One bit for each syndrome: whether it is that of a single flipped bit.
        single = sum(1 << column for column in (*columns(bits), *(1 << row for row in range(checks))))
        known = Const(single, 1 << checks).bit_select(part, 1)
        corrected.append(known)
        failed.append((part != 0) & ~known)
    return Cat(*corrected).any() & ~Cat(*failed).any(), Cat(*failed).any()


class SecdedEncoder(wiring.Component):
    """Adds check bits to a word.

    Parameters: width (1..1024), bits of a word.
    Members: i (In, width); o (Out, coded_bits(width)): for each piece of the word its data, then its check bits.
    Latency: 0 (combinational).
    Numerics: none. All zeros are a coded word.
    Raises: TypeError or ValueError for a width outside its range.
    Source: M. Y. Hsiao, A Class of Optimal Minimum Odd-weight-column SEC-DED Codes, IBM J. Res. Dev. 14 (1970): a
    Hamming code with parity, in which no check bit is a sum of all others.
    """

    i: Signal
    o: Signal

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(width), "o": Out(coded_bits(width))})

    def elaborate(self, platform):
        m = Module()
        coded, position = [], 0
        for bits in pieces(self.width):
            part = self.i[position : position + bits]
            coded += [part, checks_of(part, bits)]
            position += bits
        m.d.comb += self.o.eq(Cat(*coded))
        return m


class SecdedDecoder(wiring.Component):
    """Takes a coded word apart: corrects one flipped bit of each piece, and tells what it cannot correct.

    Parameters: width (1..1024), bits of a word without check bits.
    Members: i (In, coded_bits(width)); o (Out, width): the word, wrong if `failed`; syndrome (Out), corrected (Out, 1),
    failed (Out, 1): see `judge`, which those may use who have time for it in another cycle only.
    Latency: 0 (combinational); 7 LUTs deep for a piece of 64 bits, as Yosys maps it.
    Numerics: none.
    Raises: TypeError or ValueError for a width outside its range.
    Source: as `SecdedEncoder`.
    """

    i: Signal
    o: Signal
    syndrome: Signal
    corrected: Signal
    failed: Signal

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {
                "i": In(coded_bits(width)),
                "o": Out(width),
                "syndrome": Out(coded_bits(width) - width),
                "corrected": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, syndromes, position = [], [], 0
        for number, bits in enumerate(pieces(self.width)):
            checks = check_bits(bits)
            word, code = self.i[position : position + bits], self.i[position + bits : position + bits + checks]
            position += bits + checks
            syndrome = Signal(checks, name=f"syndrome_{number}")
            m.d.comb += syndrome.eq(checks_of(word, bits) ^ code)
            words.append(word ^ Cat(syndrome == column for column in columns(bits)))
            syndromes.append(syndrome)
        corrected, failed = judge(self.syndrome, self.width)
        m.d.comb += [
            self.o.eq(Cat(*words)),
            self.syndrome.eq(Cat(*syndromes)),
            self.corrected.eq(corrected),
            self.failed.eq(failed),
        ]
        return m
