"""SecdedRam and a BankArray of it: every bit of a word flipped in the array, alone and with another one."""

import itertools
import random

import pytest

from tests.hdl.memory.models import BankArrayModel
from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.integrity.secded import SecdedEncoder, coded_bits, encode
from triovit.hdl.memory.bank_array import BankArray
from triovit.hdl.memory.secded_ram import SecdedRam
from triovit.sim.bench import run_bench


def test_every_flip():
    """Read after read without a gap: what is shown, and told, belongs to the word that was read two cycles before."""
    width, depth = 8, 4
    dut, generator = SecdedRam(width, depth), random.Random(1)
    bits = coded_bits(width)
    flips = [(), *((k,) for k in range(bits)), *itertools.combinations(range(bits), 2)] * 2
    generator.shuffle(flips)

    async def bench(ctx):
        expected = [None, None]
        for number, flipped in enumerate(flips):
            word, row = generator.getrandbits(width), number % depth
            drive(ctx, dut, write_en=1, write_address=row, write_data=encode(word, width), read_en=0)
            await ctx.tick()
            expected.append(None)
            ctx.set(dut.ram.contents[row], encode(word, width) ^ sum(1 << k for k in flipped))
            drive(ctx, dut, write_en=0, read_en=1, read_address=row)
            await ctx.tick()
            expected.append((word, len(flipped)))
            due = expected[-2]
            told = ctx.get(dut.corrected), ctx.get(dut.failed)
            assert told == ((due[1] == 1, due[1] == 2) if due else (0, 0))
            drive(ctx, dut, read_en=0)
            await ctx.tick()
            assert (ctx.get(dut.corrected), ctx.get(dut.failed)) == (len(flipped) == 1, len(flipped) == 2)
            if len(flipped) < 2:
                assert ctx.get(dut.read_data) == word
            await ctx.tick()  # told once, shown until the next read
            assert (ctx.get(dut.corrected), ctx.get(dut.failed)) == (0, 0)
            if len(flipped) < 2:
                assert ctx.get(dut.read_data) == word
            expected += [None, None]

    simulate(dut, bench)
    assert dut.latency == 2


def test_reads_without_a_gap():
    """One of four words is damaged: it is told of in its own cycle, whatever is read before and behind it."""
    width = 12
    dut, generator = SecdedRam(width, 4), random.Random(2)
    words = [generator.getrandbits(width) for _ in range(4)]
    damage = {1: 0b1, 2: 0b1001}

    async def bench(ctx):
        for row, word in enumerate(words):
            drive(ctx, dut, write_en=1, write_address=row, write_data=encode(word, width))
            await ctx.tick()
        for row, flips in damage.items():
            ctx.set(dut.ram.contents[row], encode(words[row], width) ^ flips)
        ctx.set(dut.write_en, 0)
        line = [None, None]
        for _ in range(200):
            row = generator.choice((None, 0, 1, 2, 3))
            drive(ctx, dut, read_en=row is not None, read_address=row or 0)
            await ctx.tick()
            line.append(row)
            told = ctx.get(dut.corrected), ctx.get(dut.failed)
            assert told == (line[-2] == 1, line[-2] == 2)
            if line[-2] in (0, 1, 3):
                assert ctx.get(dut.read_data) == words[line[-2]]

    simulate(dut, bench)


@pytest.mark.parametrize("shape", [(8, 1, 5, 1), (12, 4, 7, 2), (20, 4, 3, 4)])
def test_banks_as_without(shape):
    """As `BankArray` without codes, in every cycle, with single flips in between, which are told of and not seen."""
    dut, model, generator = BankArray(*shape, secded=True), BankArrayModel(*shape), random.Random(1)
    assert len(dut.rams) == shape[1] and all(ram.latency == dut.latency for ram in dut.rams)

    async def bench(ctx):
        compared = corrected = 0
        for _ in range(600):
            inputs = model.inputs(generator)
            drive(ctx, dut, **inputs)
            await ctx.tick()
            corrected += ctx.get(dut.corrected)
            for bank, word in enumerate(model.step(**inputs)):
                if word is not None:
                    assert ctx.get(dut.read_data[bank]) == word
                    compared += 1
            bank, row = generator.randrange(len(model.banks)), generator.randrange(model.rows)
            word = model.banks[bank].contents[row][0]
            if word is not None:  # one flip at most in a word, whatever happened before
                ram, flip = dut.rams[bank].ram, 1 << generator.randrange(coded_bits(shape[2]))
                ctx.set(ram.contents[row], encode(word, shape[2]) ^ flip)
        assert compared > 300 * shape[1] and corrected > 100

    simulate(dut, bench)


def test_a_bank_that_fails_is_told():
    shape = (12, 4, 7, 2)
    dut = BankArray(*shape, secded=True)

    async def bench(ctx):
        for row in range(3):
            drive(ctx, dut, write_en=15, write_rows=[row] * 4, write_data=[5, 90])
            await ctx.tick()
        drive(ctx, dut, write_en=0)
        for bank in range(4):
            good = ctx.get(dut.rams[bank].ram.contents[1])
            for flips in (0, 1, 3):
                ctx.set(dut.rams[bank].ram.contents[1], good ^ flips)
                for banks in (15, 15 ^ 1 << bank, 1 << bank):
                    drive(ctx, dut, read_en=banks, read_rows=[1] * 4)
                    await ctx.tick()
                    drive(ctx, dut, read_en=0)
                    await ctx.tick()
                    meant = flips if banks >> bank & 1 else 0
                    assert (ctx.get(dut.corrected), ctx.get(dut.failed)) == (meant == 1, meant == 3)
            ctx.set(dut.rams[bank].ram.contents[1], good)

    simulate(dut, bench)


@pytest.mark.parametrize("shape", [(48, 4, 64, 2), (40, 8, 32, 8)])
def test_bench(shape):
    """The Verilog, every cycle."""
    dut = BankArray(*shape, secded=True)
    run_bench(dut, "tests.hdl.memory.bench_bank_array", name="bank_array", parameters={"shape": shape})


def test_ports():
    dut = SecdedRam(32, 9)
    widths = {name: len(getattr(dut, name)) for name in dut.signature.members}
    strobes = ("write_en", "read_en", "corrected", "failed")
    addresses = {"write_address": 4, "read_address": 4}
    assert widths == {"write_data": 39, "read_data": 32, **addresses, **dict.fromkeys(strobes, 1)}
    assert len(SecdedEncoder(32).o) == 39
