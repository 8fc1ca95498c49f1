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
