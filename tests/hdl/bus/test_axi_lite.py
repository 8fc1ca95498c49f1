import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from tests.hdl.bus.channels import CHANNELS, LiteChannels
from triovit.hdl.bus.axi_lite import AXI4LiteSlave
from triovit.hdl.emit.hierarchy import member_ports

OKAY, SLVERR = 0, 2
NUMBER = 40  # of writes, and of reads
LATENCY = AXI4LiteSlave.latency


def response(address: int) -> int:
    """What the register side makes of an address."""
    return SLVERR if address & 0x40 else OKAY


def content(address: int) -> int:
    return (address & ~3) * 0x01010101 ^ 0xFFFFFFFF


def exchange(shares) -> tuple[LiteChannels, list, list]:
    """Random writes and reads through channels with these pauses; the writes and reads that the register side saw."""
    dut, generator = AXI4LiteSlave(8), random.Random(3)
    requests = {
        "aw": [(generator.randrange(256),) for _ in range(NUMBER)],
        "w": [(generator.getrandbits(32), generator.randrange(16)) for _ in range(NUMBER)],
        "ar": [(generator.randrange(256),) for _ in range(NUMBER)],
    }
    channels, written, read = LiteChannels(dut.axil, requests, shares, seed=3), [], []

    async def watch(ctx):
        ports = (dut.read, dut.read_address, dut.write, dut.write_address, dut.write_data, dut.write_strobes)
        async for _, _, reading, address, writing, *write in ctx.tick().sample(*ports):
            read.extend([address] if reading else [])
            written.extend([tuple(write)] if writing else [])

    async def answer(ctx):
        async for write, read in ctx.changed(dut.write_address, dut.read_address):
            ctx.set(dut.write_error, response(write) == SLVERR)
            ctx.set(dut.read_error, response(read) == SLVERR)
            ctx.set(dut.read_data, content(read))

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(channels.run)
    sim.add_testbench(watch, background=True)
    sim.add_process(answer)
    sim.run()
    return channels, written, read


@pytest.mark.parametrize("slow", ["none", *CHANNELS, "all"])
def test_independent_channels(slow):
    """Whichever channel stalls: every access happens once, in order, with its own data, response and strobes."""
    shares = {channel: 0.8 if slow == channel else 0.5 if slow == "all" else 0.0 for channel in CHANNELS}
    channels, written, read = exchange(shares)
    addresses, data = channels.requests["aw"], channels.requests["w"]
    assert written == [(address & ~3, *payload) for (address,), payload in zip(addresses, data, strict=True)]
    assert read == [address & ~3 for (address,) in channels.requests["ar"]]
    assert channels.payloads("b") == [(response(address),) for (address,) in addresses]
    assert channels.payloads("r") == [(content(address), response(address)) for (address,) in channels.requests["ar"]]
    for request, answer in (("aw", "b"), ("w", "b"), ("ar", "r")):
        pairs = zip(channels.cycles(request), channels.cycles(answer), strict=True)
        assert all(after - before >= LATENCY for before, after in pairs)


def test_latency_and_interval():
    """Without pauses a response two cycles after its request, and a read and a write every two cycles."""
    channels, _, _ = exchange(dict.fromkeys(CHANNELS, 0.0))
    assert LATENCY == 2
    for channel, first in {"aw": 0, "w": 0, "ar": 0, "b": LATENCY, "r": LATENCY}.items():
        assert channels.cycles(channel) == [first + 2 * k for k in range(NUMBER)], channel


def test_host_without_registers():
    """A host may take a response, through gates alone, only in a cycle in which its next request is taken."""
    m = Module()
    m.submodules.slave = slave = AXI4LiteSlave(8)
    axil, writes, reads = slave.axil, Signal(8), Signal(8)
    m.d.comb += [axil.awvalid.eq(1), axil.wvalid.eq(1), axil.bready.eq(axil.awready & axil.wready)]
    m.d.comb += [axil.arvalid.eq(1), axil.rready.eq(axil.arready)]
    m.d.sync += [writes.eq(writes + slave.write), reads.eq(reads + slave.read)]

    async def bench(ctx):
        await ctx.tick().repeat(101)
        assert (ctx.get(writes), ctx.get(reads)) == (50, 50)

    sim = Simulator(m)
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


def test_ports_of_the_register_side():
    ports = {name: len(signal) for name, signal, _ in member_ports(AXI4LiteSlave(12))}
    side = {name: width for name, width in ports.items() if not name.startswith("axil_")}
    assert side == {
        "write": 1, "write_address": 12, "write_data": 32, "write_strobes": 4, "write_error": 1,
        "read": 1, "read_address": 12, "read_data": 32, "read_error": 1,
    }  # fmt: skip
