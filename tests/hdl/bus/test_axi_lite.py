import random

import pytest
from amaranth.sim import Simulator

from tests.hdl.bus.lite import LiteMaster
from triovit.hdl.bus.axi_lite import AXI4LiteSlave

OKAY, SLVERR = 0, 2


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_accesses(share):
    """Every write reaches the register side once, with its strobes; responses and data belong to their access."""
    dut = AXI4LiteSlave(8)
    master, generator = LiteMaster(dut.axil, 1, share), random.Random(2)
    written = []

    async def bench(ctx):
        for _ in range(60):
            address, value, strobes = generator.randrange(256), generator.getrandbits(32), generator.randrange(16)
            expected = SLVERR if address & 0x80 else OKAY
            assert await master.write(ctx, address, value, strobes) == expected
            assert written == [(address & ~3, value, strobes)]
            written.clear()
            address = generator.randrange(256)
            data, response = await master.read(ctx, address)
            assert data == (address & ~3) * 0x01010101 ^ 0xFFFFFFFF
            assert response == (SLVERR if address & 0x40 else OKAY)

    async def registers(ctx):
        async for values in ctx.tick().sample(dut.write, dut.write_address, dut.write_data, dut.write_strobes):
            if values[2]:
                written.append(tuple(values[3:]))

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.add_testbench(registers, background=True)
    sim.add_process(answers_of(dut))
    sim.run()


def answers_of(dut):
    """Register side of the accesses: data and errors made up from the address."""

    async def process(ctx):
        async for write, read in ctx.changed(dut.write_address, dut.read_address):
            ctx.set(dut.write_error, bool(write & 0x80))
            ctx.set(dut.read_error, bool(read & 0x40))
            ctx.set(dut.read_data, read * 0x01010101 ^ 0xFFFFFFFF)

    return process


def test_a_read_a_cycle():
    """Reads back to back: an answer a cycle, one cycle after the address."""
    dut = AXI4LiteSlave(8)

    async def bench(ctx):
        ctx.set(dut.axil.rready, 1)
        ctx.set(dut.axil.arvalid, 1)
        for k in range(10):
            ctx.set(dut.axil.araddr, 4 * k)
            ctx.set(dut.read_data, 100 + k)
            assert ctx.get(dut.axil.arready) == 1 and ctx.get(dut.read_address) == 4 * k
            await ctx.tick()
            assert dut.latency == 1 and ctx.get(dut.axil.rvalid) == 1 and ctx.get(dut.axil.rdata) == 100 + k

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize(
    "bits, error, text",
    [
        (2, ValueError, "address_bits must be 3..32, not 2"),
        ("12", TypeError, "address_bits must be an integer, not '12'"),
    ],
)
def test_parameters(bits, error, text):
    with pytest.raises(error, match=text):
        AXI4LiteSlave(bits)
