import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.memory.ram import RAM_SOURCE, Ram, simulation_memories


def test_values_and_hold():
    dut = Ram(12, 16)
    generator = random.Random(1)
    contents, shown = [0] * 16, 0

    async def bench(ctx):
        nonlocal shown
        for _ in range(600):
            write, read = generator.random() < 0.5, generator.random() < 0.5
            where = generator.randrange(16)
            source = where if generator.random() < 0.5 else generator.randrange(16)
            data = generator.getrandbits(12)
            inputs = {
                "write_en": write,
                "write_address": where,
                "write_data": data,
                "read_en": read,
                "read_address": source,
            }
            for name, value in inputs.items():
                ctx.set(getattr(dut, name), value)
            assert ctx.get(dut.read_data) == shown
            await ctx.tick()
            shown = contents[source] if read else shown  # the old value, also of a word that is being written
            if write:
                contents[where] = data
            assert ctx.get(dut.read_data) == shown

    with simulation_memories():
        sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert dut.latency == 1


def test_verilog_file():
    """The hand-written Verilog is checked by the bench of BankedMemory; it must come along with every design."""
    assert emit_verilog(Ram(12, 16), "ram").extra_files == (RAM_SOURCE,)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((0, 16), ValueError, "width must be 1..1024, not 0"),
        ((8, 1), ValueError, "depth must be 2..16777216, not 1"),
        ((8, 24), ValueError, "depth must be a power of two, not 24"),
        ((8.0, 16), TypeError, "width must be an integer, not 8.0"),
        ((8, 16, "lut"), ValueError, "style must be one of auto, block, ultra, distributed, not 'lut'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        Ram(*arguments)
