"""cocotb bench of BankedMemory."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.memory.reference import BankedModel, random_access
from triovit.sim.bench import bench_parameters, start


@cocotb.test()
async def random_accesses(dut):
    await start(dut)
    words, banks, word_bits, write_width, read_width, strides = bench_parameters()["memory"]
    model, generator = BankedModel(words, banks, write_width, read_width), random.Random(3)
    mask = (1 << word_bits) - 1
    compared = 0
    for _ in range(3000):
        access = random_access(generator, words, word_bits, write_width, strides)
        for name, value in access.items():
            packed = (
                sum(word << (word_bits * lane) for lane, word in enumerate(value))
                if name == "write_data"
                else int(value)
            )
            getattr(dut, name).value = packed
        await ReadOnly()
        bits = int(dut.read_data.value) if dut.read_data.value.is_resolvable else 0
        for lane, word in enumerate(model.shown):
            if word >= 0:
                assert bits >> (word_bits * lane) & mask == word
                compared += 1
        await RisingEdge(dut.clk)
        model.step(**access)
    assert compared > 2000 * read_width // 2
