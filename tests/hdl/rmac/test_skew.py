import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.rmac.skew import OperandSkew


@pytest.mark.parametrize("macs", [2, 3, 8])
def test_delays(macs):
    """Element j comes out j enabled cycles later when skewed, at once when not, whatever happened before."""
    skew, choose, history = OperandSkew(macs), random.Random(macs), [[0] * macs] * macs

    async def bench(ctx):
        for _ in range(300):
            vector = [choose.randint(-128, 127) for _ in range(macs)]
            skewed, en = choose.random() < 0.7, choose.random() < 0.7
            ctx.set(skew.i, vector)
            ctx.set(skew.skewed, skewed)
            ctx.set(skew.en, en)
            present = [vector, *history]
            assert list(ctx.get(skew.o)) == [present[j][j] if skewed else vector[j] for j in range(macs)]
            if en:
                history.insert(0, vector)
            await ctx.tick()

    simulator = Simulator(skew)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("macs, error", [(1, ValueError), (33, ValueError), (None, TypeError)])
def test_parameters(macs, error):
    with pytest.raises(error, match="macs must be"):
        OperandSkew(macs)
