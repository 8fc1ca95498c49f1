"""cocotb bench of BankArray, and so of ram.v with its output register."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.memory.models import BankArrayModel
from triovit.sim.bench import bench_parameters, start


def pack(values, bits: int) -> int:
    return sum(value << bits * k for k, value in enumerate(values))


@cocotb.test()
async def random_accesses(dut):
    await start(dut)
    shape = bench_parameters()["shape"]
    words, banks, word_bits, _ = shape
    model, generator = BankArrayModel(*shape), random.Random(3)
    shown, compared = [None] * banks, 0
    for _ in range(3000):
        inputs = model.inputs(generator)
        dut.write_en.value, dut.read_en.value = inputs["write_en"], inputs["read_en"]
        row_bits = (words // banks - 1).bit_length()
        dut.write_rows.value = pack(inputs["write_rows"], row_bits)
        dut.read_rows.value = pack(inputs["read_rows"], row_bits)
        dut.write_data.value = pack(inputs["write_data"], word_bits)
        await ReadOnly()
        bits = int(dut.read_data.value)
        for bank, word in enumerate(shown):
            if word is not None:
                assert bits >> word_bits * bank & ((1 << word_bits) - 1) == word
                compared += 1
        await RisingEdge(dut.clk)
        shown = model.step(**inputs)
    assert compared > 2000 * banks
