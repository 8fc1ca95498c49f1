import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.isa.instructions import SEMAPHORES


def run(dut, bench):
    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


def drive(ctx, dut, wait, take, give, clear=0):
    for port, mask, taken in zip(dut.takers, wait, take, strict=True):
        ctx.set(port.wait, mask)
        ctx.set(port.take, taken)
    for giver, mask in zip(dut.give, give, strict=True):
        ctx.set(giver, mask)
    ctx.set(dut.clear, clear)


@pytest.mark.parametrize("givers, takers", [(5, 5), (1, 1), (7, 3)])
def test_random(givers, takers):
    dut, generator = Semaphores(givers, takers), random.Random(givers)
    counts = [0] * SEMAPHORES

    def mask(weight):
        return sum((generator.random() < weight) << bit for bit in range(SEMAPHORES))

    async def bench(ctx):
        for cycle in range(250):
            wait = [mask(generator.choice((0.0, 0.05, 0.3))) for _ in range(takers)]
            give = [mask(generator.choice((0.0, 0.1, 0.4))) for _ in range(givers)]
            drive(ctx, dut, wait, [0] * takers, give)
            expected = [all(counts[s] for s in range(SEMAPHORES) if w >> s & 1) for w in wait]
            assert [ctx.get(port.available) for port in dut.takers] == expected
            take = [available and generator.random() < 0.8 for available in expected]
            clear = cycle % 120 == 119
            following = [
                n + sum(g >> s & 1 for g in give) - sum(w >> s & 1 for w, t in zip(wait, take, strict=True) if t)
                for s, n in enumerate(counts)
            ]
            if min(following) < 0:  # two takers of one semaphore: no legal program does it, see test_limits
                take, following = [0] * takers, [n + sum(g >> s & 1 for g in give) for s, n in enumerate(counts)]
            drive(ctx, dut, wait, take, give, clear)
            assert ctx.get(dut.overflow) == (max(following) > 255 and not clear)
            await ctx.tick()
            counts[:] = [0] * SEMAPHORES if clear else [n % 256 for n in following]

    run(dut, bench)
    assert dut.latency == 1  # which the model has


def test_limits():
    """255 is legal, 256 overflows, give and take in one cycle at 255 and at 0 cancel, below 0 is reported too."""
    dut = Semaphores(2, 2)
    top = 1 << 31

    async def bench(ctx):
        for _ in range(255):
            drive(ctx, dut, [0, 0], [0, 0], [top, 0])
            assert ctx.get(dut.overflow) == 0
            await ctx.tick()
        drive(ctx, dut, [0, 0], [0, 0], [top, 0])
        assert ctx.get(dut.overflow) == 1
        drive(ctx, dut, [top, 0], [1, 0], [top, 0])
        assert ctx.get(dut.overflow) == 0
        drive(ctx, dut, [top, 0], [1, 0], [top, top])
        assert ctx.get(dut.overflow) == 1
        drive(ctx, dut, [top, 0], [1, 0], [0, 0], clear=1)
        await ctx.tick()
        drive(ctx, dut, [top, 0], [0, 0], [0, 0])
        assert ctx.get(dut.takers[0].available) == 0
        drive(ctx, dut, [1, 1], [0, 0], [1, 0])
        await ctx.tick()
        drive(ctx, dut, [1, 1], [1, 1], [0, 0])
        assert ctx.get(dut.takers[0].available) == ctx.get(dut.takers[1].available) == 1
        assert ctx.get(dut.overflow) == 1

    run(dut, bench)


@pytest.mark.parametrize(
    "givers, takers, error, text",
    [
        (0, 1, ValueError, "givers must be 1..7, not 0"),
        (1, 8, ValueError, "takers must be 1..7, not 8"),
        (1.0, 1, TypeError, "givers must be an integer, not 1.0"),
    ],
)
def test_parameters(givers, takers, error, text):
    with pytest.raises(error, match=text):
        Semaphores(givers, takers)
