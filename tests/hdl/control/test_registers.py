import random

import pytest
from amaranth.sim import Simulator

from tests.hdl.bus.lite import LiteMaster
from tests.sim.configurations import CHECKED
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.control.registers import RegisterFile
from triovit.hdl.isa.registers import REGISTERS, register_map

OKAY, SLVERR = 0, 2
CONFIG = PRESETS["trio-zcu102"]
MAP = register_map(CONFIG)
STATE = {"busy": ("STATUS", 0), "done": ("STATUS", 1), "error": ("STATUS", 2), "interrupt": ("STATUS", 3)}
STATE["bursts"] = ("STATUS", 4)
COUNTERS = (
    "LOAD_BUSY", "STORE_BUSY", "RMAC_BUSY", "MAT_BUSY", "RMAC_STALL", "MAT_STALL", "BEATS_READ", "BEATS_WRITTEN",
)  # fmt: skip
COMMANDS = {
    "start": ("CONTROL", 0),
    "soft_reset": ("CONTROL", 1),
    "acknowledge_done": ("STATUS", 1),
    "acknowledge_interrupt": ("STATUS", 3),
}


def run(bench, share=0.0, config=CONFIG):
    dut = RegisterFile(config)
    master = LiteMaster(dut.s_axil, 5, share)
    strobes = dict.fromkeys(COMMANDS, 0)

    async def count(ctx):
        async for values in ctx.tick().sample(*(getattr(dut.commands, name) for name in COMMANDS)):
            for name, value in zip(COMMANDS, values[2:], strict=True):
                strobes[name] += value

    async def body(ctx):
        await bench(ctx, dut, master, strobes)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(body)
    sim.add_testbench(count, background=True)
    sim.run()


def test_reset_values_and_constants():
    async def bench(ctx, dut, master, strobes):
        for register in MAP:
            assert await master.read(ctx, register.offset) == (register.reset, OKAY), register.name
        constants = {
            name: (await master.read(ctx, REGISTERS[name]))[0] for name in ("ID", "HASH_LO", "HASH_HI", "CONFIG_ARRAY")
        }
        assert constants["ID"].to_bytes(4, "big") == b"TRIO"
        assert constants["HASH_HI"] << 32 | constants["HASH_LO"] == CONFIG.hash
        assert constants["CONFIG_ARRAY"].to_bytes(4, "little") == bytes([16, 8, 16, 4])
        assert (await master.read(ctx, REGISTERS["WATCHDOG"]))[0] == 1 << 20

    run(bench)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_contents(share):
    """Random writes with strobes against a model; outputs follow; other registers stay."""
    writable = [r for r in MAP if r.access == "rw"]
    model = {r.name: r.reset for r in writable}
    generator = random.Random(1)

    async def bench(ctx, dut, master, strobes):
        for _ in range(40):
            register, value, lanes = generator.choice(writable), generator.getrandbits(32), generator.randrange(16)
            assert await master.write(ctx, register.offset, value, lanes) == OKAY
            mask = sum(0xFF << 8 * k for k in range(4) if lanes >> k & 1) & register.fields[0].mask
            model[register.name] = model[register.name] & ~mask | value & mask
            for other in writable:
                assert await master.read(ctx, other.offset) == (model[other.name], OKAY), other.name
            outputs = {
                "PROGRAM_OFFSET": dut.program_offset, "PROGRAM_BYTES": dut.program_bytes,
                "MEMORY_SIZE": dut.memory.size, "CORE_STRIDE": dut.core_stride, "WATCHDOG": dut.commands.watchdog,
            }  # fmt: skip
            for name, port in outputs.items():
                assert ctx.get(port) == model[name]
            first = model["MEMORY_BASE_HI"] << 32 | model["MEMORY_BASE_LO"]
            for port in range(CONFIG.ports):  # that of the last one has settled long ago
                assert ctx.get(dut.memory.base[port]) == (first + port * model["PORT_STRIDE"]) % (1 << 64)
        assert not any(ctx.get(base) % 4096 for base in dut.memory.base)
        assert not any(strobes.values())

    run(bench, share)


def test_core_mask():
    """Core 0 cannot be left out; all cores take part after a reset."""

    async def bench(ctx, dut, master, strobes):
        low, high = REGISTERS["CORE_MASK_LO"], REGISTERS["CORE_MASK_HI"]
        assert ctx.get(dut.core_mask) == (1 << dut.config.cores) - 1
        for value, shown in ((0, 1), (0xFFFFFFFE, 0xFFFFFFFF), (6, 7)):
            assert await master.write(ctx, low, value) == OKAY
            assert await master.write(ctx, high, value) == OKAY
            assert await master.read(ctx, low) == (shown, OKAY) and await master.read(ctx, high) == (value, OKAY)
            assert ctx.get(dut.core_mask) == value << 32 | shown

    run(bench, 0.0)


def test_state():
    async def bench(ctx, dut, master, strobes):
        for name, (register, bit) in STATE.items():
            port = getattr(dut.status, name)
            ctx.set(port, 1)
            assert await master.read(ctx, REGISTERS[register]) == (1 << bit, OKAY), name
            ctx.set(port, 0)
        words = {"ERROR": dut.status.error_code, "ERROR_INDEX": dut.status.error_index}
        words |= dict(zip(COUNTERS, dut.counts, strict=True))
        for number, (register, port) in enumerate(words.items()):
            value = number + 1 if register == "ERROR" else 0xA5A50000 + number
            ctx.set(port, value)
            assert await master.read(ctx, REGISTERS[register]) == (value, OKAY), register
            ctx.set(port, 0)
        # The high half belongs to the low half that was read last.
        ctx.set(dut.cycles, 0x1_FFFFFFFF)
        assert (await master.read(ctx, REGISTERS["CYCLES_LO"]))[0] == 0xFFFFFFFF
        ctx.set(dut.cycles, 0x2_00000000)
        assert (await master.read(ctx, REGISTERS["CYCLES_HI"]))[0] == 1
        await master.read(ctx, REGISTERS["CYCLES_LO"])
        assert (await master.read(ctx, REGISTERS["CYCLES_HI"]))[0] == 2

    run(bench)


def test_state_of_integrity():
    async def bench(ctx, dut, master, strobes):
        for register in register_map(CHECKED):
            assert await master.read(ctx, register.offset) == (register.reset, OKAY), register.name
        ctx.set(dut.status.error_code, 0x12)
        ctx.set(dut.status.error_place, 0x6)
        ctx.set(dut.corrected, 0xABCDEF01)
        assert await master.read(ctx, REGISTERS["ERROR"]) == (0x612, OKAY)
        assert await master.read(ctx, REGISTERS["CORRECTED"]) == (0xABCDEF01, OKAY)
        assert await master.write(ctx, REGISTERS["CORRECTED"], 0) == SLVERR

    run(bench, config=CHECKED)


def test_commands():
    """Each command is one strobe of one cycle, a cycle after the write; a strobe off in the byte lanes is none."""

    async def bench(ctx, dut, master, strobes):
        for name, (register, bit) in COMMANDS.items():
            assert await master.write(ctx, REGISTERS[register], 1 << bit) == OKAY
            await ctx.tick()
            assert strobes == {n: int(n == name) for n in COMMANDS}
            strobes[name] = 0
        await master.write(ctx, REGISTERS["CONTROL"], 7, 0b1110)
        await master.write(ctx, REGISTERS["STATUS"], 0b0101)
        assert not any(strobes.values()) and ctx.get(dut.commands.interrupt_enable) == 0
        await master.write(ctx, REGISTERS["CONTROL"], 4)
        assert ctx.get(dut.commands.interrupt_enable) == 1 and not any(strobes.values())
        assert (await master.read(ctx, REGISTERS["CONTROL"]))[0] == 4  # commands read as 0
        await master.write(ctx, REGISTERS["CONTROL"], 1)
        assert ctx.get(dut.commands.interrupt_enable) == 0 and strobes["start"] == 1

    run(bench, 0.3)


def test_refusals():
    """SLVERR for holes, constants and locked registers, and nothing changes."""
    known = {r.offset for r in MAP}

    async def bench(ctx, dut, master, strobes):
        for offset in {0x01C, 0x02C + 0x50, 0x018, 0x078, 0x400, 0x7FC, 0x800, 0xFFC} - known:
            assert await master.read(ctx, offset) == (0, SLVERR), hex(offset)
            assert await master.write(ctx, offset, 0xFFFFFFFF) == SLVERR, hex(offset)
        for register in MAP:
            if not register.writable:
                assert await master.write(ctx, register.offset, 0xFFFFFFFF) == SLVERR, register.name
        ctx.set(dut.status.busy, 1)
        for register in MAP:
            if register.writable:
                expected = SLVERR if register.locked else OKAY
                assert await master.write(ctx, register.offset, 0xFFFFF000) == expected, register.name
                if register.locked:
                    assert (await master.read(ctx, register.offset))[0] == register.reset
        assert {r.name for r in MAP if r.locked} == {
            "PROGRAM_OFFSET",
            "PROGRAM_BYTES",
            "MEMORY_BASE_LO",
            "MEMORY_BASE_HI",
            "MEMORY_SIZE",
            "CORE_STRIDE",
            "PORT_STRIDE",
            "CORE_MASK_LO",
            "CORE_MASK_HI",
        }
        assert not any(strobes.values())

    run(bench)
