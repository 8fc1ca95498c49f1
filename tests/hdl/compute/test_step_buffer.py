"""A step buffer against a queue of two, in every cycle: what it shows, when it takes a step, and full speed."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from triovit.hdl.compute.step_buffer import StepBuffer

BLOCK = 8


def run(gives, takes, cycles: int):
    """Offer and take steps when the callables say so; returns the cycles in which one went in, and came out."""
    rng, dut = random.Random(1), StepBuffer(BLOCK)
    came_in, came_out = [], []

    async def bench(ctx):
        held: deque[dict] = deque()
        offered = None
        for cycle in range(cycles):
            if offered is None and gives(cycle):
                offered = {
                    "index": cycle, "begins": rng.randint(0, 1), "features": rng.getrandbits(24),
                    "epsilon": rng.getrandbits(32), "push": rng.randint(0, 1), "partner_out": rng.getrandbits(24),
                    "result": {"out": rng.getrandbits(24), "final": rng.randint(0, 1)},
                }  # fmt: skip
            taken = takes(cycle)
            ctx.set(dut.i.valid, offered is not None)
            # What is not valid may be anything.
            ctx.set(dut.i.payload, offered or {"index": rng.getrandbits(32), "features": rng.getrandbits(24)})
            before = ctx.get(dut.i.ready)
            ctx.set(dut.o.ready, taken)
            assert ctx.get(dut.i.ready) == before == (len(held) < 2), cycle
            assert ctx.get(dut.o.valid) == (len(held) > 0), cycle
            if held:
                shown = ctx.get(dut.o.payload)
                for name, value in held[0].items():
                    if name == "result":
                        assert all(getattr(shown.result, part) == x for part, x in value.items()), cycle
                    else:
                        assert getattr(shown, name) == value, (cycle, name)
            room = len(held) < 2
            if held and taken:
                held.popleft()
                came_out.append(cycle)
            if offered and room:
                held.append(offered)
                came_in.append(cycle)
                offered = None
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return came_in, came_out


@pytest.mark.parametrize("given,taken", [(0.5, 0.5), (0.9, 0.5), (0.5, 0.9), (0.9, 0.9)])
def test_every_cycle(given, taken):
    rng = random.Random(f"{given} {taken}")
    came_in, came_out = run(lambda _: rng.random() < given, lambda _: rng.random() < taken, 600)
    assert len(came_in) - len(came_out) in (0, 1, 2) and len(came_out) > 200


def test_a_step_a_cycle():
    """Nothing but the latency lies between giving and taking, also after both had to wait."""
    came_in, came_out = run(lambda _: True, lambda _: True, 50)
    assert came_in == [*range(50)] and came_out == [cycle + StepBuffer.latency for cycle in came_in[:-1]]
    came_in, came_out = run(lambda _: True, lambda cycle: not 10 <= cycle < 20, 50)
    assert came_out == [*range(1, 10), *range(20, 50)] and came_in == [*range(11), *range(21, 50)]
