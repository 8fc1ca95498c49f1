"""cocotb bench of ColumnMemory, and so of ram.v with strobes of parts."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.memory.models import ColumnMemoryModel
from triovit.sim.bench import bench_parameters, start


@cocotb.test()
async def random_accesses(dut):
    await start(dut)
    shape = bench_parameters()["shape"]
    _, lanes, columns = shape
    model, generator = ColumnMemoryModel(*shape), random.Random(3)
    shown, compared = [[None] * columns] * lanes, 0
    for _ in range(2000):
        inputs = model.inputs(generator)
        dut.write_data.value = sum((byte & 0xFF) << 8 * k for k, byte in enumerate(inputs["write_data"]))
        for name in ("write_en", "write_row", "read_en", "read_row"):
            getattr(dut, name).value = int(inputs[name])
        await ReadOnly()
        bits = int(dut.read_data.value)
        for lane, word in enumerate(shown):
            for column, byte in enumerate(word):
                if byte is not None:
                    assert bits >> 8 * (columns * lane + column) & 0xFF == byte & 0xFF
                    compared += 1
        await RisingEdge(dut.clk)
        shown = model.step(**inputs)
    assert compared > 1500 * lanes * columns
