import random

import pytest
from amaranth.sim import Simulator

from tests.hdl.memory.reference import BankedModel, random_access
from triovit.hdl.memory.banked import BankedMemory
from triovit.hdl.memory.ram import simulation_memories
from triovit.sim.bench import run_bench

# words, banks, word_bits, write_width, read_width, strides
SMALL = [
    (32, 1, 5, 1, 1, (1,)),
    (32, 4, 5, 2, 4, (1,)),
    (64, 8, 6, 8, 4, (1, 2)),
    (64, 16, 4, 4, 8, (1, 2)),
    (24, 8, 4, 1, 2, (1, 2)),
    (48, 8, 5, 2, 8, (1, 2)),
]


@pytest.mark.parametrize("memory", SMALL)
def test_against_model(memory):
    words, banks, word_bits, write_width, read_width, strides = memory
    dut, model, generator = BankedMemory(*memory), BankedModel(words, banks, write_width, read_width), random.Random(1)

    def compare(ctx):
        for lane, word in enumerate(model.shown):
            assert word < 0 or ctx.get(dut.read_data[lane]) == word

    async def bench(ctx):
        # Every word first, with every alignment of the write port.
        for address in range(words):
            data = [generator.getrandbits(word_bits) for _ in range(write_width)]
            access = {
                "write_en": 1,
                "write_address": address,
                "write_data": data,
                "write_mask": 1,
                "read_en": 0,
                "read_address": 0,
            }
            await apply(ctx, access)
        # Every alignment of the read port.
        for address in range(words):
            for double in (0, 1) if 2 in strides else (0,):
                access = {
                    "write_en": 0,
                    "write_address": 0,
                    "write_data": [0] * write_width,
                    "write_mask": 0,
                    "read_en": 1,
                    "read_address": address,
                } | ({"read_double": double} if 2 in strides else {})
                await apply(ctx, access)
                compare(ctx)
        for _ in range(400):
            await apply(ctx, random_access(generator, words, word_bits, write_width, strides))
            compare(ctx)

    async def apply(ctx, access):
        for name, value in access.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        model.step(**access)

    with simulation_memories():
        sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert dut.latency == 1


@pytest.mark.parametrize("memory", [(240, 8, 64, 2, 8, (1, 2)), (256, 8, 64, 8, 8, (1,))])
def test_bench(memory):
    run_bench(
        BankedMemory(*memory), "tests.hdl.memory.bench_banked", name="banked_memory", parameters={"memory": memory}
    )


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((46, 4, 8, 1, 1), ValueError, "words must be a multiple of the 4 banks, not 46"),
        ((4, 4, 8, 1, 1), ValueError, "words must be 8..16777216, not 4"),
        ((64, 3, 8, 1, 1), ValueError, "banks must be a power of two, not 3"),
        ((64, 256, 8, 1, 1), ValueError, "banks must be 1..128, not 256"),
        ((64, 4, 8, 8, 1), ValueError, "write_width must be 1..4, not 8"),
        ((64, 4, 8, 3, 1), ValueError, "write_width must be a power of two, not 3"),
        ((64, 4, 8, 1, 8), ValueError, "read_width must be 1..4, not 8"),
        ((64, 4, 8, 1, 1, (2,)), ValueError, r"strides must be \(1,\) or \(1, 2\), not \(2,\)"),
        ((64, 4, 0, 1, 1), ValueError, "word_bits must be 1..1024, not 0"),
        ((64, 4, 8, "1", 1), TypeError, "write_width must be an integer, not '1'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        BankedMemory(*arguments)
