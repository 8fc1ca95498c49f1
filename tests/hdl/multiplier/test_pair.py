"""Pairs of multiply-accumulators of both kinds: sums over cycles and along cascades, to the limits of their bits."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from triovit.hdl.multiplier.choice import pair_of
from triovit.hdl.multiplier.packed import PackedPair
from triovit.hdl.multiplier.pair import SUM, Addend, MultiplierPair
from triovit.hdl.shapes import OPERAND
from triovit.hdl.technology import GENERIC, ULTRASCALE

PAIRS = (MultiplierPair, PackedPair)
EXTREMES = [(-128, -128), (-128, 127), (127, -128), (127, 127), (-127, -128)]  # a, b


class Cascade(wiring.Component):
    """`chain` pairs of one cascade, each with operands and enables of its own, and the sums of the last one."""

    def __init__(self, pair, own: int, chain: int):
        self.own_terms, self.chain = own, chain
        self.pairs = [pair(own, chain, cascaded=k > 0) for k in range(chain)]
        super().__init__(
            {
                "a": In(data.ArrayLayout(data.ArrayLayout(OPERAND, 2), chain)),
                "b": In(data.ArrayLayout(OPERAND, chain)),
                "en": In(data.ArrayLayout(4, chain)),
                "addend": In(data.ArrayLayout(Addend, chain)),
                "own": Out(data.ArrayLayout(SUM, 2)),
                "chained": Out(data.ArrayLayout(SUM, 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for k, pair in enumerate(self.pairs):
            m.submodules[f"pair{k}"] = pair
            m.d.comb += [
                pair.a.eq(self.a[k]),
                pair.b.eq(self.b[k]),
                pair.en.eq(self.en[k]),
                pair.addend.eq(self.addend[k]),
            ]
            if k:
                m.d.comb += pair.cascade_in.eq(self.pairs[k - 1].cascade_out)
        last = self.pairs[-1]
        for name, terms in (("own", self.own_terms), ("chained", self.chain)):
            for k, (number, correction) in enumerate(last.unpack(last.sums, terms)):
                m.d.comb += getattr(self, name)[k].eq(number + correction)
        return m


def run(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def operands(generator, terms: int):
    """a (terms, 2) and b (terms,): any, or all at a limit, the two sums at different ones."""
    a, b = generator.integers(-128, 128, (terms, 2)), generator.integers(-128, 128, terms)
    kind = generator.integers(0, 4)
    if kind == 0:
        a = generator.choice([-128, 127], (terms, 2))
        b = np.where(a[:, 0] == -128, -128, 127)  # sum 0 as high as it gets
    elif kind == 1:
        extremes = [EXTREMES[generator.integers(len(EXTREMES))] for _ in range(2)]
        a, b = np.array([[extremes[0][0], extremes[1][0]]] * terms), np.full(terms, extremes[0][1])
    return a, b


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("own", [31, 9, 8])
def test_sums_over_cycles(pair, own):
    """Groups of `own` products in one pair, with idle cycles in between, each stage enabled for what passes it."""
    dut, generator = Cascade(pair, own, 1), np.random.default_rng(own)

    async def bench(ctx):
        for _ in range(60):
            a, b = operands(generator, own)
            if own == 8:
                b = np.maximum(b, -127)
            idle = generator.integers(0, 3)
            stream = [(k, a[k], b[k]) for k in range(own)]
            for _ in range(idle):
                stream.insert(generator.integers(0, len(stream)), None)
            enables, addends = [0] * 4, [Addend.ZERO.value] * 3
            for step in [*stream, None, None, None]:
                enables = [int(step is not None), *enables[:-1]]
                first = step is not None and step[0] == 0
                addends = [Addend.ZERO.value if first else Addend.OWN.value, *addends[:-1]]
                noise = generator.integers(-128, 128, 3).tolist()
                ctx.set(dut.a[0], step[1].tolist() if step else noise[:2])
                ctx.set(dut.b[0], int(step[2]) if step else noise[2])
                ctx.set(dut.en[0], sum(bit << k for k, bit in enumerate(enables)))
                ctx.set(dut.addend[0], addends[2])
                await ctx.tick()
            expected = MultiplierPair.model(a, b)
            assert [ctx.get(dut.own[k]) for k in range(2)] == expected.tolist()

    run(dut, bench)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("chain", [2, 8, 9, 31])
def test_sums_along_a_cascade(pair, chain):
    """A product in each pair, column k a cycle after column k - 1, a new sum in every cycle."""
    dut, generator = Cascade(pair, 1, chain), np.random.default_rng(chain)
    groups = [operands(generator, chain) for _ in range(30)]
    if chain <= 8:
        groups = [(a, np.maximum(b, -127)) for a, b in groups]

    async def bench(ctx):
        for k in range(chain):
            ctx.set(dut.en[k], 15)
            ctx.set(dut.addend[k], Addend.CASCADE if k else Addend.ZERO)
        for cycle in range(len(groups) + chain + 3):
            done = cycle - (chain - 1) - MultiplierPair.latency
            if done >= 0:
                expected = MultiplierPair.model(*groups[done])
                assert [ctx.get(dut.chained[k]) for k in range(2)] == expected.tolist()
            for k in range(chain):
                if 0 <= cycle - k < len(groups):
                    a, b = groups[cycle - k]
                    ctx.set(dut.a[k], a[k].tolist())
                    ctx.set(dut.b[k], int(b[k]))
            await ctx.tick()

    run(dut, bench)


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("pair", PAIRS)
def test_a_stage_without_enable_keeps_what_it_has(pair, stage):
    dut = Cascade(pair, 31, 1)

    async def bench(ctx):
        for a, b in (((5, -6), 7), ((8, 9), 10)):
            ctx.set(dut.a[0], a)
            ctx.set(dut.b[0], b)
            ctx.set(dut.en[0], 15 if b == 7 else 15 & ~(1 << stage))
            await ctx.tick().repeat(6)
            assert [ctx.get(dut.own[k]) for k in range(2)] == [35, -42]
        ctx.set(dut.en[0], 15)
        await ctx.tick().repeat(6)
        assert [ctx.get(dut.own[k]) for k in range(2)] == [80, 90]

    run(dut, bench)


def test_all_sums_are_unpacked():
    """Both sums of 20 bits, every one at and next to a multiple of 2**16, from p and sum 1 modulo 4."""
    pair = PackedPair(31, 1)
    numbers = [16 * 4096 * k + d for k in range(-8, 8) for d in (-2, -1, 0, 1, 2)]
    numbers = [n for n in numbers if -(1 << 19) <= n < 1 << 19]
    m, got = Module(), []
    halves = pair.unpack(pair.sums, 31)

    async def bench(ctx):
        for low, high in itertools.product(numbers, numbers):
            p = ((high << 18) + low) % (1 << 38)
            ctx.set(pair.sums, p | (high & 3) << 38)
            got.append(tuple(ctx.get(number) + ctx.get(correction + 0) for number, correction in halves))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert [((a + (1 << 19)) % (1 << 20) - (1 << 19), (b + (1 << 19)) % (1 << 20) - (1 << 19)) for a, b in got] == list(
        itertools.product(numbers, numbers)
    )


def test_model():
    assert PackedPair.model is MultiplierPair.model
    assert MultiplierPair.model(np.array([[1, 2], [3, -4]]), np.array([5, 6])).tolist() == [23, -14]
    full = np.full((31, 2), -128), np.full(31, -128)
    assert MultiplierPair.model(*full).tolist() == [31 << 14] * 2
    with pytest.raises(OverflowError, match="sum of a pair"):
        MultiplierPair.model(np.full((32, 2), -128), np.full(32, -128))
    with pytest.raises(OverflowError, match="a "):
        MultiplierPair.model(np.array([[128, 0]]), np.array([0]))
    with pytest.raises(OverflowError, match="b "):
        MultiplierPair.model(np.array([[0, 0]]), np.array([-129]))


@pytest.mark.parametrize("pair", PAIRS)
def test_parameters(pair):
    assert pair.latency == 4
    for own, chain in ((1, 1), (31, 31)):
        pair(own, chain)
    for own, chain, text in ((0, 1, "own must be 1..31, not 0"), (32, 1, "own must"), (1, 32, "chain must be 1..31")):
        with pytest.raises(ValueError, match=text):
            pair(own, chain)


def test_choice():
    assert pair_of(GENERIC) is MultiplierPair and pair_of(ULTRASCALE) is PackedPair
    assert pair_of(None) is MultiplierPair


@pytest.mark.parametrize("chain, cascade", [(1, 48), (8, 48), (9, 50)])
def test_widths(chain, cascade):
    """Sums have the same bits in both; two bits go along with packed cascades of more than 8 products."""
    packed, plain = PackedPair(31, chain), MultiplierPair(31, chain)
    assert (len(packed.cascade_in), len(packed.cascade_out), len(packed.sums)) == (cascade, cascade, 40)
    assert (len(plain.cascade_in), len(plain.cascade_out), len(plain.sums)) == (40, 40, 40)
