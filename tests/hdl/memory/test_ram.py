import random

import pytest

from tests.hdl.memory.models import RamModel
from tests.hdl.memory.simulate import drive, simulate
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.memory.ram import RAM_SOURCE, Ram


@pytest.mark.parametrize(("depth", "latency", "parts"), [(16, 1, 1), (11, 2, 1), (5, 1, 4), (12, 2, 3)])
def test_every_cycle(depth, latency, parts):
    """Values, and what stays shown."""
    dut = Ram(12, depth, latency=latency, parts=parts)
    model, generator = RamModel(depth, latency, parts, 12 // parts), random.Random(1)

    async def bench(ctx):
        compared = 0
        for _ in range(600):
            where = generator.randrange(depth)
            source = where if generator.random() < 0.5 else generator.randrange(depth)
            write, read = generator.getrandbits(parts), generator.getrandbits(1)
            data = generator.getrandbits(12)
            drive(ctx, dut, write_en=write, write_address=where, write_data=data, read_en=read, read_address=source)
            await ctx.tick()
            bits = 12 // parts
            for part, value in enumerate(model.step(write, where, data, read, source)):
                if value is not None:
                    assert ctx.get(dut.read_data) >> bits * part & ((1 << bits) - 1) == value
                    compared += 1
        assert compared > 380 * parts

    simulate(dut, bench)
    assert dut.latency == latency


def test_verilog_file():
    """Benches of BankArray and ColumnMemory check the hand-written Verilog; it must come along with every design."""
    assert emit_verilog(Ram(12, 16), "ram").extra_files == (RAM_SOURCE,)


def test_latency_and_parts_are_checked():
    for latency, parts, text in (
        (0, 1, "latency must be 1..2, not 0"),
        (3, 1, "latency must be 1..2, not 3"),
        (1, 0, "parts must be 1..12, not 0"),
        (1, 5, "parts must divide the width, 12, which 5 does not"),
    ):
        with pytest.raises(ValueError, match=text):
            Ram(12, 16, latency=latency, parts=parts)


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((0, 16), ValueError, "width must be 1..1024, not 0"),
        ((8, 1), ValueError, "depth must be 2..16777216, not 1"),
        ((8.0, 16), TypeError, "width must be an integer, not 8.0"),
        ((8, 16, "lut"), ValueError, "style must be one of auto, block, ultra, distributed, not 'lut'"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        Ram(*arguments)
