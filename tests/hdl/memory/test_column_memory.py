import itertools
import random

import pytest

from tests.hdl.memory.models import ColumnMemoryModel
from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.memory.column_memory import ColumnMemory
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("shape", [(4, 1, 1), (6, 2, 3), (20, 4, 4), (24, 8, 8)])
def test_every_cycle(shape):
    dut, model, generator = ColumnMemory(*shape), ColumnMemoryModel(*shape), random.Random(1)

    async def bench(ctx):
        compared = 0
        for _ in range(600):
            inputs = model.inputs(generator)
            drive(ctx, dut, **inputs)
            await ctx.tick()
            for lane, word in enumerate(model.step(**inputs)):
                for column, byte in enumerate(word):
                    if byte is not None:
                        assert ctx.get(dut.read_data[lane][column]) == byte
                        compared += 1
        assert compared > 300 * shape[1] * shape[2]

    simulate(dut, bench)


@pytest.mark.parametrize("shape", [(6, 2, 3), (20, 4, 4)])
def test_every_cycle_with_parity(shape):
    """As without, and no word is told damaged that was written."""
    dut, model, generator = ColumnMemory(*shape, parity=True), ColumnMemoryModel(*shape), random.Random(1)

    async def bench(ctx):
        for row in range(shape[0] // shape[1]):
            values = [generator.randint(-128, 127) for _ in range(shape[2])]
            drive(ctx, dut, write_en=(1 << shape[1]) - 1, write_row=row, write_data=values)
            await ctx.tick()
        for _ in range(400):
            inputs = model.inputs(generator)
            drive(ctx, dut, **inputs, used=generator.getrandbits(shape[1]))
            await ctx.tick()
            assert not ctx.get(dut.failed)
            for lane, word in enumerate(model.step(**inputs)):
                for column, byte in enumerate(word):
                    if byte is not None:
                        assert ctx.get(dut.read_data[lane][column]) == byte

    simulate(dut, bench)


def test_flipped_bits_are_told():
    """Each bit of a row, its parity's too: a cycle after its column is shown, if its lane is used."""
    words, lanes, columns = 6, 2, 3
    dut = ColumnMemory(words, lanes, columns, parity=True)

    async def bench(ctx):
        for row in range(3):
            drive(ctx, dut, write_en=0b11, write_row=row, write_data=[3 * row, -7, 100])
            await ctx.tick()
        drive(ctx, dut, write_en=0)
        for column, lane, bit in itertools.product(range(columns), range(lanes), range(9)):
            row = dut.rams[column].contents[1]
            ctx.set(row, ctx.get(row) ^ 1 << 9 * lane + bit)
            for used, read in ((0b01, 1), (0b10, 1), (0b11, 1), (0b11, 0), (0b11, 2)):
                told = []
                for cycle in range(dut.latency + columns + 2):
                    drive(ctx, dut, read_en=cycle == 0 and read > 0, read_row=2 if read == 2 else 1, used=used)
                    await ctx.tick()
                    told.append(ctx.get(dut.failed))
                expected = [0] * len(told)
                if used >> lane & 1 and read == 1:
                    expected[dut.latency + column + dut.alarm_latency - 1] = 1
                assert told == expected, (column, lane, bit, used, read)
            ctx.set(row, ctx.get(row) ^ 1 << 9 * lane + bit)

    simulate(dut, bench)


def test_a_row_leaves_a_column_a_cycle():
    """Column m shows the row latency + m cycles after its read, and no sooner."""
    dut = ColumnMemory(6, 2, 4)

    async def bench(ctx):
        for row in range(3):
            drive(ctx, dut, write_en=0b11, write_row=row, write_data=[10 * row + column for column in range(4)])
            await ctx.tick()
        drive(ctx, dut, write_en=0)
        for cycle, row in enumerate((1, 2, 0, 0, 0, 0, 0, 0)):
            drive(ctx, dut, read_en=cycle < 2, read_row=row)
            await ctx.tick()
            for column in range(4):
                since = cycle + 1 - dut.latency - column  # 0: the first read's row stands there
                if since >= 0:
                    assert ctx.get(dut.read_data[1][column]) == (10, 20)[min(since, 1)] + column

    simulate(dut, bench)
    assert dut.latency == 2


@pytest.mark.parametrize("shape", [(24, 8, 8), (20, 4, 4)])
def test_bench(shape):
    run_bench(
        ColumnMemory(*shape), "tests.hdl.memory.bench_column_memory", name="column_memory", parameters={"shape": shape}
    )


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((24, 3, 8), ValueError, "lanes must be a power of two, not 3"),
        ((24, 0, 8), ValueError, "lanes must be 1..128, not 0"),
        ((1024, 256, 8), ValueError, "lanes must be 1..128, not 256"),
        ((24, 8, 0), ValueError, "columns must be 1..128, not 0"),
        ((24, 8, 129), ValueError, "columns must be 1..128, not 129"),
        ((20, 8, 8), ValueError, "words must be a multiple of the 8 lanes, not 20"),
        ((8, 8, 8), ValueError, "words must be 16..16777216, not 8"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        ColumnMemory(*arguments)
