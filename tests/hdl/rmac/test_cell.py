import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator

from triovit.hdl.rmac.cell import AccumulationMode, RMACCell
from triovit.sim.bench import run_bench

DOWN, SELF = AccumulationMode.DOWN, AccumulationMode.SELF


def simulate(mode, a, b, psum_in):
    """One group; psum_out after each product, `latency` enabled cycles after its operands; frozen at times."""
    cell, outputs, generator = RMACCell(), [], np.random.default_rng(9)

    async def bench(ctx):
        for k in range(len(a) + cell.latency):
            while generator.random() < 0.3:  # frozen, inputs changing
                ctx.set(cell.en, 0)
                ctx.set(cell.psum_en, 0)
                ctx.set(cell.a, int(generator.integers(-128, 128)))
                ctx.set(cell.psum_in, int(generator.integers(-1000, 1000)))
                await ctx.tick()
            ctx.set(cell.en, 1)
            ctx.set(cell.psum_en, 1)
            ctx.set(cell.a, int(a[k]) if k < len(a) else 0)
            ctx.set(cell.b, int(b[k]) if k < len(a) else 0)
            ctx.set(cell.mode, mode)
            ctx.set(cell.first, k == 1)
            ctx.set(cell.psum_in, int(psum_in[k - 1]) if 0 < k <= len(a) else 0)
            if k >= cell.latency:
                outputs.append(ctx.get(cell.psum_out))
            await ctx.tick()

    simulator = Simulator(cell)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return outputs


@pytest.mark.parametrize("mode", [DOWN, SELF])
def test_model(mode):
    generator = np.random.default_rng(5)
    a, b = generator.choice([-128, -1, 0, 3, 127], size=(2, 100))
    psum_in = generator.integers(-(1 << 30), 1 << 30, size=100)
    expected = [int(p + x * y) for x, y, p in zip(a, b, psum_in, strict=True)]
    if mode is SELF:
        expected = [int(np.dot(a[: k + 1], b[: k + 1])) for k in range(100)]
    assert RMACCell.model(mode, a, b, psum_in).tolist() == expected
    assert simulate(mode, a, b, psum_in) == expected


def test_model_refuses():
    for bad in (-129, 128):
        with pytest.raises(OverflowError, match="operand a"):
            RMACCell.model(SELF, [bad], [1])
        with pytest.raises(OverflowError, match="operand b"):
            RMACCell.model(SELF, [1], [bad])
    with pytest.raises(OverflowError, match="psum_in"):
        RMACCell.model(DOWN, [1], [1], [1 << 31])
    with pytest.raises(OverflowError, match="psum must"):
        RMACCell.model(DOWN, [1], [1], [(1 << 31) - 1])
    assert RMACCell.model(DOWN, [-128], [-128], [-(1 << 31)]) == -(1 << 31) + (1 << 14)
    assert RMACCell.model(DOWN, [127], [127]) == 127 * 127


def test_ports():
    widths = {name: Shape.cast(member.shape).width for name, member in RMACCell().signature.members.items()}
    assert widths == {"a": 8, "b": 8, "psum_in": 32, "mode": 1, "first": 1, "en": 1, "psum_en": 1, "psum_out": 32}


def test_bench():
    run_bench(RMACCell(), "tests.hdl.rmac.bench_cell", name="rmac_cell")
