import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator

from tests.hdl.rmac.stalling_reference import operands
from triovit.hdl.mat.lane import MATLane
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("multipliers", [2, 3, 8])
def test_groups(multipliers):
    """Groups back to back; the result of each, read `latency` cycles after its last beat, is the model's."""
    generator, lane = np.random.default_rng(multipliers), MATLane(multipliers)
    groups = [
        operands(generator, style, 2, beats, multipliers)
        for beats, style in ((1, "any"), (1, "corners"), (12, "lowest"), (2, "any"), (30, "any"), (1, "lowest"))
    ]
    features, weights = (np.concatenate(part) for part in zip(*groups, strict=True))
    ends = np.cumsum([len(group[0]) for group in groups]) - 1
    starts, beats, results = {0, *(ends + 1)}, len(features), []

    async def bench(ctx):
        ctx.set(lane.en, 1)
        for cycle in range(beats + lane.latency + 1):
            ctx.set(lane.features, features[min(cycle, beats - 1)].tolist())
            ctx.set(lane.weights, weights[min(cycle, beats - 1)].tolist())
            tag = cycle - (lane.latency - 1)
            ctx.set(lane.acc_en, 0 <= tag < beats)
            ctx.set(lane.acc_first, tag in starts)
            if cycle - lane.latency in ends:
                results.append(ctx.get(lane.acc))
            await ctx.tick()

    simulator = Simulator(lane)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == [MATLane.model(*group) for group in groups]


def test_model():
    features, weights = np.array([[1, -2], [3, 4]]), np.array([[5, 6], [-7, 8]])
    assert MATLane.model(features, weights) == 1 * 5 - 2 * 6 - 3 * 7 + 4 * 8
    several = np.stack([weights, 2 * weights, -weights], axis=1)  # three lanes
    assert MATLane.model(features[:, np.newaxis], several).tolist() == [4, 8, -4]
    for bad in (-129, 128):
        with pytest.raises(OverflowError, match="features"):
            MATLane.model(np.array([[bad]]), np.array([[1]]))
        with pytest.raises(OverflowError, match="weights"):
            MATLane.model(np.array([[1]]), np.array([[bad]]))
    for fine in (-128, 127):
        assert MATLane.model(np.array([[fine]]), np.array([[fine]])) == fine * fine


def test_ports():
    widths = {name: Shape.cast(member.shape).width for name, member in MATLane(4).signature.members.items()}
    assert widths == {"features": 32, "weights": 32, "acc_first": 1, "acc_en": 1, "en": 1, "acc": 32}


def test_latency():
    assert [MATLane(n).latency for n in (2, 3, 4, 8, 32)] == [4, 5, 5, 6, 8]


@pytest.mark.parametrize("multipliers, error", [(1, ValueError), (33, ValueError), (True, TypeError)])
def test_parameters(multipliers, error):
    with pytest.raises(error, match="multipliers must be"):
        MATLane(multipliers)


@pytest.mark.parametrize("multipliers", [7, 16])
def test_bench(multipliers):
    run_bench(
        MATLane(multipliers), "tests.hdl.mat.bench_lane", name="mat_lane", parameters={"multipliers": multipliers}
    )
