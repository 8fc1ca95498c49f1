"""cocotb bench of MATLane: random controls in every cycle against a register-level reference."""

from __future__ import annotations

from collections import deque

import cocotb
import numpy as np

from tests.hdl.rmac.cocotb_registers import compare_cycles, wrap
from tests.hdl.rmac.stalling_reference import operands
from triovit.hdl.mat.lane import MATLane
from triovit.sim.bench import bench_parameters

FILL = 50


class LaneReference:
    """Inner products in a delay line of latency - 1 enabled cycles, then the accumulator."""

    def __init__(self, latency):
        self.sums = deque([0] * (latency - 1), latency - 1)
        self.acc = 0

    def __call__(self, inputs):
        outputs = {"acc": self.acc}
        if inputs["acc_en"]:
            self.acc = wrap((0 if inputs["acc_first"] else self.acc) + self.sums[-1])
        if inputs["en"]:
            self.sums.appendleft(int(inputs["features"] @ inputs["weights"]))
        return outputs


def random_inputs(generator, multipliers, count):
    """After a random part the accumulator grows to its limit and past it."""
    for k in range(count):
        filling, growing = k < FILL, k > 3000
        en = int(filling or generator.random() < 0.8)
        style = "lowest" if growing else generator.choice(["any", "corners", "lowest"])
        yield {
            "features": operands(generator, style, multipliers),
            "weights": operands(generator, style, multipliers),
            "acc_first": int(filling or (not growing and generator.random() < 0.1)),
            "acc_en": en & int(filling or growing or generator.random() < 0.8),
            "en": en,
        }


@cocotb.test()
async def random_controls(dut):
    multipliers = bench_parameters()["multipliers"]
    lane = MATLane(multipliers)
    count = 3000 + (1 << 18) // multipliers  # with en high in 80 % of the cycles, the sum passes 2**31 once
    inputs = random_inputs(np.random.default_rng(multipliers), multipliers, count)
    reference = LaneReference(lane.latency)
    await compare_cycles(dut, lane, reference, inputs, settle=FILL)
    assert reference.acc < 0
