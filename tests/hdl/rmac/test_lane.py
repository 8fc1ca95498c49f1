import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator

from tests.hdl.rmac.stalling_reference import operands
from triovit.hdl.rmac.cell import AccumulationMode
from triovit.hdl.rmac.lane import RMACLane
from triovit.sim.bench import run_bench

DOWN, SELF = AccumulationMode.DOWN, AccumulationMode.SELF


def simulate(macs, mode, groups):
    """Groups back to back, en high throughout; the result of each, read `latency` cycles after its last beat.

    groups: (features, weights) of (beats, macs) each.
    """
    lane = RMACLane(macs)
    features, weights = (np.concatenate(part) for part in zip(*groups, strict=True))
    ends = np.cumsum([len(group[0]) for group in groups]) - 1
    starts = {0, *(ends + 1)}
    beats, results = len(features), []
    delay = macs + 2

    async def bench(ctx):
        ctx.set(lane.en, 1)
        ctx.set(lane.mode, mode)
        ctx.set(lane.skewed, mode is DOWN)
        for cycle in range(beats + delay + 2):
            rows = [cycle - j if mode is DOWN else cycle for j in range(macs)]
            ctx.set(lane.features, [int(features[row, j]) if 0 <= row < beats else 55 for j, row in enumerate(rows)])
            ctx.set(lane.weights, weights[cycle].tolist() if cycle < beats else [77] * macs)
            ctx.set(lane.psum_en, mode is DOWN or 2 <= cycle < beats + 2)
            ctx.set(lane.first, cycle - 2 in starts)
            ctx.set(lane.acc_en, delay <= cycle < beats + delay)
            ctx.set(lane.acc_first, cycle - delay in starts)
            if cycle - lane.latency(mode) in ends:
                results.append(ctx.get(lane.acc) if mode is DOWN else list(ctx.get(lane.psums)))
            await ctx.tick()

    simulator = Simulator(lane)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize("mode", [DOWN, SELF])
@pytest.mark.parametrize("macs", [2, 3, 8])
def test_groups(macs, mode):
    generator = np.random.default_rng(macs)
    groups = [
        operands(generator, style, 2, beats, macs)
        for beats, style in ((1, "any"), (1, "corners"), (12, "lowest"), (2, "any"), (30, "any"), (1, "lowest"))
    ]
    expected = [RMACLane.model(mode, *group).tolist() for group in groups]
    assert simulate(macs, mode, groups) == expected


def test_model():
    features, weights = np.array([[1, -2], [3, 4]]), np.array([[5, 6], [-7, 8]])
    assert RMACLane.model(DOWN, features, weights) == 1 * 5 - 2 * 6 - 3 * 7 + 4 * 8
    several = np.stack([weights, 2 * weights, -weights], axis=1)  # three lanes
    assert RMACLane.model(DOWN, features[:, np.newaxis], several).tolist() == [4, 8, -4]
    assert RMACLane.model(SELF, features[:, np.newaxis], several).tolist() == [[-16, 20], [-32, 40], [16, -20]]
    assert RMACLane.model(SELF, features, weights).tolist() == [1 * 5 - 3 * 7, -2 * 6 + 4 * 8]
    for bad in (-129, 128):
        with pytest.raises(OverflowError, match="features"):
            RMACLane.model(SELF, np.array([[bad]]), np.array([[1]]))
        with pytest.raises(OverflowError, match="weights"):
            RMACLane.model(SELF, np.array([[1]]), np.array([[bad]]))
    for fine in (-128, 127):
        assert RMACLane.model(SELF, np.array([[fine]]), np.array([[fine]])) == fine * fine


def test_ports():
    widths = {name: Shape.cast(member.shape).width for name, member in RMACLane(4).signature.members.items()}
    data = {"features": 32, "weights": 32, "psums": 128, "acc": 32}
    flags = ("skewed", "mode", "first", "psum_en", "acc_first", "acc_en", "en")
    assert widths == data | dict.fromkeys(flags, 1)


@pytest.mark.parametrize(
    "macs, error, text",
    [
        (1, ValueError, "macs must be 2..32, not 1"),
        (33, ValueError, "macs must be 2..32, not 33"),
        ("8", TypeError, "macs must be an integer, not '8'"),
    ],
)
def test_parameters(macs, error, text):
    with pytest.raises(error, match=text):
        RMACLane(macs)


@pytest.mark.parametrize("macs", [2, 5])
def test_bench(macs):
    run_bench(RMACLane(macs), "tests.hdl.rmac.bench_lane", name="rmac_lane", parameters={"macs": macs})
