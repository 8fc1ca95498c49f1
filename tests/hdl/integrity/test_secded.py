"""SECDED codes: every single and every double flip of every width that the machine has, and the hardware against the
code's own arithmetic."""

import itertools
import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.memory.simulate import simulate
from triovit.hdl.integrity.secded import (
    SecdedDecoder,
    SecdedEncoder,
    check_bits,
    coded_bits,
    columns,
    encode,
    pieces,
)
from triovit.sim.bench import run_bench

WIDTHS = (32, 64, 128)  # words of blocks of 4, 8 and 16


def test_sizes():
    assert [check_bits(bits) for bits in (1, 4, 8, 11, 32, 57, 58, 64)] == [3, 4, 5, 5, 7, 7, 8, 8]
    assert [pieces(width) for width in (1, 64, 65, 128, 136)] == [(1,), (64,), (64, 1), (64, 64), (64, 64, 8)]
    assert [coded_bits(width) for width in WIDTHS] == [39, 72, 144]


@pytest.mark.parametrize("bits", range(1, 65))
def test_columns_tell_every_flip(bits):
    """No two flips, of data or check bits, have a sum that a single one has: then any two are found."""
    checks = check_bits(bits)
    single = [*columns(bits), *(1 << row for row in range(checks))]
    assert len(columns(bits)) == bits and len(set(single)) == bits + checks and 0 not in single
    assert not set(single) & {a ^ b for a, b in itertools.combinations(single, 2)}


def test_sums_are_short():
    """27 bits in each sum of (72, 64): two LUTs of six inputs deep, and even."""
    loads = [sum(column >> row & 1 for column in columns(64)) for row in range(8)]
    assert max(loads) == min(loads) == 26


class Codec(wiring.Component):
    """Encoder, flips, decoder."""

    i: Signal
    flips: Signal
    o: Signal
    coded: Signal
    corrected: Signal
    failed: Signal

    def __init__(self, width: int):
        self.width = width
        coded = coded_bits(width)
        super().__init__(
            {
                "i": In(width),
                "flips": In(coded),
                "coded": Out(coded),
                "o": Out(width),
                "corrected": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder, m.submodules.decoder = encoder, decoder = (
            SecdedEncoder(self.width),
            SecdedDecoder(self.width),
        )
        m.d.comb += [
            encoder.i.eq(self.i),
            self.coded.eq(encoder.o),
            decoder.i.eq(encoder.o ^ self.flips),
            self.o.eq(decoder.o),
            self.corrected.eq(decoder.corrected),
            self.failed.eq(decoder.failed),
        ]
        return m


@pytest.mark.parametrize("width", (1, 3, 8, 36, 72))
def test_odd_widths(width):
    """Widths that the bench leaves out: every single flip, and flips in both pieces at once."""
    generator, dut = random.Random(width), Codec(width)

    async def bench(ctx):
        for flipped in [(), *((k,) for k in range(coded_bits(width)))]:
            word, flips = generator.getrandbits(width), sum(1 << k for k in flipped)
            ctx.set(dut.i, word)
            ctx.set(dut.flips, flips)
            await ctx.delay(1e-9)
            assert ctx.get(dut.coded) == encode(word, width)
            assert (ctx.get(dut.o), ctx.get(dut.corrected), ctx.get(dut.failed)) == (word, bool(flipped), 0)

    simulate(dut, bench, clock=False)


@pytest.mark.parametrize("width", WIDTHS)
def test_bench(width):
    run_bench(Codec(width), "tests.hdl.integrity.bench_secded", name="secded", parameters={"width": width})


def test_widths_are_checked():
    for kind in (SecdedEncoder, SecdedDecoder):
        with pytest.raises(ValueError, match=r"width must be 1..1024, not 0"):
            kind(0)
