"""The monitor: what it makes of alarms, and what it counts."""

import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.integrity.alarms import ALARMS
from triovit.hdl.integrity.monitor import FAULT, IntegrityMonitor, fault_text
from triovit.hdl.isa.names import ErrorCode, Storage, Unit


def run(bench, sources=3):
    dut = IntegrityMonitor(sources)

    async def body(ctx):
        await bench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(body)
    sim.run()


def raised(corrected=0, failed=(), queues=(), program=0) -> dict:
    return {
        "corrected": corrected,
        "failed": sum(1 << place for place in failed),
        "queues": sum(1 << unit for unit in queues),
        "program": program,
    }


def test_every_alarm_of_every_source():
    places = [({"failed": [place]}, ErrorCode.MEMORY_UNCORRECTABLE, place) for place in Storage]
    places += [({"queues": [unit]}, ErrorCode.QUEUE_PARITY, unit) for unit in Unit]
    places += [({"program": 1}, ErrorCode.PROGRAM_PARITY, Unit.FETCH)]

    async def bench(ctx, dut):
        ctx.set(dut.index, 77)
        for source in range(3):
            for what, code, place in places:
                ctx.set(dut.alarms[source], raised(**what))
                assert not ctx.get(dut.fault.valid)
                await ctx.tick()
                ctx.set(dut.alarms[source], raised())
                fault = dut.fault
                assert ctx.get(fault.valid) and (ctx.get(fault.code), ctx.get(fault.place)) == (code, place)
                assert ctx.get(fault.known) == (code == ErrorCode.PROGRAM_PARITY) and ctx.get(fault.index) == 77
                await ctx.tick()
                assert not ctx.get(fault.valid)

    run(bench)
    assert IntegrityMonitor.latency == 1


def test_order():
    """Program, queues, memories; within each the lowest number."""
    rng = random.Random(1)

    async def bench(ctx, dut):
        for _ in range(300):
            parts = [
                raised(
                    corrected=rng.getrandbits(1),
                    failed=rng.sample(list(Storage), rng.randrange(3)),
                    queues=rng.sample(list(Unit), rng.randrange(2)),
                    program=rng.random() < 0.1,
                )
                for _ in range(3)
            ]
            for source, part in enumerate(parts):
                ctx.set(dut.alarms[source], part)
            await ctx.tick()
            failed, queues, program = (
                [number for number in numbers if any(part[name] >> number & 1 for part in parts)]
                for name, numbers in (("failed", Storage), ("queues", Unit), ("program", [0]))
            )
            assert ctx.get(dut.fault.valid) == bool(failed or queues or program)
            if program:
                expected = ErrorCode.PROGRAM_PARITY, Unit.FETCH
            elif queues:
                expected = ErrorCode.QUEUE_PARITY, queues[0]
            elif failed:
                expected = ErrorCode.MEMORY_UNCORRECTABLE, failed[0]
            else:
                continue
            assert (ctx.get(dut.fault.code), ctx.get(dut.fault.place)) == expected

    run(bench)


def test_count():
    """Cycles with a correction, of any number of sources, while it counts; it stays at its largest value."""

    async def bench(ctx, dut):
        async def step(sources, count=1, clear=0):
            for source in range(3):
                ctx.set(dut.alarms[source], raised(corrected=source in sources))
            ctx.set(dut.count, count)
            ctx.set(dut.clear, clear)
            await ctx.tick()

        for sources in ((0,), (1, 2), (), (0, 1, 2)):
            await step(sources)
        await step(())
        await step(())
        assert ctx.get(dut.corrected) == 3 and not ctx.get(dut.fault.valid)
        await step((0,), count=0)
        await step((), count=0)
        await step(())
        await step(())
        assert ctx.get(dut.corrected) == 3
        await step((0,))
        await step((), clear=1)
        await step(())
        await step(())
        assert ctx.get(dut.corrected) == 0
        ctx.set(dut.corrected, (1 << 32) - 2)
        for _ in range(5):
            await step((2,))
        assert ctx.get(dut.corrected) == (1 << 32) - 1

    run(bench)


def test_texts():
    for place in Storage:
        text = fault_text(ErrorCode.MEMORY_UNCORRECTABLE | place << 8)
        assert text == f"MEMORY_UNCORRECTABLE (buffer {place.name})"
    assert fault_text(ErrorCode.QUEUE_PARITY | Unit.MAT << 8) == "QUEUE_PARITY (a queue of MAT)"
    assert fault_text(ErrorCode.PROGRAM_PARITY) == "PROGRAM_PARITY" and fault_text(ErrorCode.WATCHDOG) == "WATCHDOG"


def test_sizes():
    assert ALARMS.size == 1 + len(Storage) + len(Unit) + 1
    dut = IntegrityMonitor(64)
    assert [len(port) for port in (dut.index, dut.clear, dut.count, dut.corrected)] == [32, 1, 1, 32]
    assert {name: field.width for name, field in FAULT} == {"valid": 1, "code": 5, "place": 4, "known": 1, "index": 32}
    with pytest.raises(ValueError, match=r"sources must be 1..64, not 0"):
        IntegrityMonitor(0)
