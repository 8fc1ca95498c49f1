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


def named(mask):
    """Semaphores of a mask."""
    return [s for s in range(SEMAPHORES) if mask >> s & 1]


@pytest.mark.parametrize("givers, takers", [(5, 5), (1, 1), (7, 3)])
def test_random(givers, takers):
    """Against a model: what is given and taken counts a cycle later, and until then the taker is offered nothing."""
    dut, generator = Semaphores(givers, takers), random.Random(givers)
    counts, changes = [0] * SEMAPHORES, [0] * SEMAPHORES
    took, overflow = [False] * takers, False

    def mask(weight):
        return sum((generator.random() < weight) << bit for bit in range(SEMAPHORES))

    async def bench(ctx):
        nonlocal counts, changes, took, overflow
        for cycle in range(400):
            wait = [mask(generator.choice((0.0, 0.05, 0.3))) for _ in range(takers)]
            give = [mask(generator.choice((0.0, 0.1, 0.4))) for _ in range(givers)]
            clear = cycle % 120 == 119
            drive(ctx, dut, wait, [0] * takers, give, clear)
            expected = [all(counts[s] and not took[k] for s in named(w)) for k, w in enumerate(wait)]
            assert [ctx.get(port.available) for port in dut.takers] == expected
            assert ctx.get(dut.overflow) == overflow
            take = [available and generator.random() < 0.8 for available in expected]
            taken = [w for w, t in zip(wait, take, strict=True) if t]
            if any(sum(w >> s & 1 for w in taken) > 1 for s in range(SEMAPHORES)):
                take, taken = [False] * takers, []  # two takers of one semaphore: no legal program does it
            drive(ctx, dut, wait, take, give, clear)
            await ctx.tick()
            following = [n + change for n, change in zip(counts, changes, strict=True)]
            overflow = not clear and not all(0 <= n < 256 for n in following)
            counts = [0 if clear else n % 256 for n in following]
            changes = [
                0 if clear else sum(g >> s & 1 for g in give) - sum(w >> s & 1 for w in taken)
                for s in range(SEMAPHORES)
            ]
            took = take

    run(dut, bench)
    assert dut.latency == 2  # which the model has


@pytest.mark.parametrize(
    "before, give, take, after",
    [
        (254, 1, 0, 255), (255, 1, 0, None), (255, 1, 1, 255), (255, 2, 1, None), (255, 7, 0, None), (249, 7, 0, None),
        (248, 7, 0, 255), (1, 0, 1, 0), (1, 1, 1, 1), (1, 0, 2, None), (1, 0, 7, None), (1, 7, 7, 1), (127, 1, 0, 128),
        (128, 0, 1, 127), (255, 0, 7, 248),
    ],
)  # fmt: skip
def test_limits(before, give, take, after):
    """0..255 is legal; what is given and taken in one cycle counts together. None: reported, for a cycle."""
    dut, top = Semaphores(7, 7), 1 << 31

    async def bench(ctx):
        for number in range(before):
            drive(ctx, dut, [0] * 7, [0] * 7, [top * (k == number % 7) for k in range(7)])
            await ctx.tick()
        drive(ctx, dut, [0] * 7, [0] * 7, [0] * 7)
        await ctx.tick()
        drive(ctx, dut, [top] * 7, [k < take for k in range(7)], [top * (k < give) for k in range(7)])
        assert all(ctx.get(taker.available) for taker in dut.takers)
        await ctx.tick()
        drive(ctx, dut, [0] * 7, [0] * 7, [0] * 7)
        assert ctx.get(dut.overflow) == 0
        await ctx.tick()
        assert ctx.get(dut.overflow) == (after is None)
        await ctx.tick()
        assert ctx.get(dut.overflow) == 0
        for left in range(after or 0, 0, -1):
            drive(ctx, dut, [top, *[0] * 6], [1, *[0] * 6], [0] * 7)
            assert ctx.get(dut.takers[0].available) == 1, left
            await ctx.tick()
            assert ctx.get(dut.takers[0].available) == 0  # the counter does not show it yet
            drive(ctx, dut, [top, *[0] * 6], [0] * 7, [0] * 7)
            await ctx.tick()
        if after is not None:
            drive(ctx, dut, [top, *[0] * 6], [0] * 7, [0] * 7)
            assert ctx.get(dut.takers[0].available) == 0

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
