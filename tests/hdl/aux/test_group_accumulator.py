"""GroupAccumulator in Amaranth's simulator; its owners' benches check it on Verilog."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from triovit.hdl.aux.group_accumulator import GroupAccumulator


@pytest.mark.parametrize(("lanes", "width", "delay"), [(1, 8, 0), (3, 32, 1), (2, 40, 4)])
def test_values_and_cycles(lanes, width, delay):
    """A pipeline of `delay` stages, modelled here, brings the values; results must come one enabled cycle later."""
    dut = GroupAccumulator(lanes, width, delay)
    assert dut.latency == delay + 1
    coin, rng = random.Random(delay), np.random.default_rng(delay)
    bits = min(width, 29)
    got, right = [], []

    async def drive(ctx):
        line = [None] * delay  # beats in flight: (first, last, values)
        held, group, started = None, None, False
        for _ in range(600):
            valid, first, last = coin.random() < 0.7, not started or coin.random() < 0.4, coin.random() < 0.5
            started |= valid
            values = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), lanes).tolist()
            beat = (first, last, values) if valid else None
            line = [beat, *line]
            arriving = line[delay]
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, {"first": first, "last": last})
            for lane in range(lanes):
                ctx.set(dut.values[lane], arriving[2][lane] if arriving else coin.getrandbits(7))
            ready = coin.random() < 0.5
            ctx.set(dut.o.ready, ready)
            assert ctx.get(dut.o.valid) == (held is not None)
            if held is not None:
                got.append([ctx.get(dut.o.payload.acc[lane]) for lane in range(lanes)])
                right.append(held)
            enabled = held is None or ready
            assert ctx.get(dut.en) == ctx.get(dut.i.ready) == enabled
            if enabled:
                held = None
                if arriving:
                    group = [arriving[2]] if arriving[0] else [*group, arriving[2]]
                    held = [(sum(c) + (1 << 31)) % (1 << 32) - (1 << 31) for c in zip(*group, strict=True)]
                    held = held if arriving[1] else None
                line = line[:delay]
            else:
                line = line[1:]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert len(right) > 100 and got == right


def test_model():
    assert GroupAccumulator.model([[1, -2], [3, 5]]).tolist() == [4, 3]
    assert GroupAccumulator.model([[1 << 31], [-1]]).tolist() == [(1 << 31) - 1]
    with pytest.raises(OverflowError, match="accumulator"):
        GroupAccumulator.model([[1 << 31]])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 8, 0), "lanes must be 1..1024, not 0"),
        ((1025, 8, 0), "lanes must be 1..1024, not 1025"),
        ((1, 0, 0), "width must be 1..64, not 0"),
        ((1, 65, 0), "width must be 1..64, not 65"),
        ((1, 8, -1), "delay must be 0..64, not -1"),
        ((1, 8, 65), "delay must be 0..64, not 65"),
    ],
)
def test_parameters_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        GroupAccumulator(*arguments)
