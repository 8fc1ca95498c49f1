"""cocotb bench of RMACLane: random controls in every cycle against a register-level reference."""

from __future__ import annotations

from collections import deque

import cocotb
import numpy as np

from tests.hdl.rmac.cocotb_registers import compare_cycles, wrap
from tests.hdl.rmac.stalling_reference import operands
from triovit.hdl.rmac.cell import AccumulationMode
from triovit.hdl.rmac.lane import RMACLane
from triovit.sim.bench import bench_parameters

FILL = 200  # cycles that load every register


class LaneReference:
    def __init__(self, macs):
        zeros = np.zeros(macs, dtype=np.int64)
        self.index = np.arange(macs)
        self.history = deque([zeros] * macs, macs)  # weights of this and earlier enabled cycles
        self.a = self.b = self.product = self.psum = zeros
        self.acc = 0

    def __call__(self, inputs):
        outputs = {"psums": self.psum.tolist(), "acc": self.acc}
        if inputs["acc_en"]:
            self.acc = wrap((0 if inputs["acc_first"] else self.acc) + int(self.psum[-1]))
        if inputs["psum_en"]:
            above = np.concatenate([[0], self.psum[:-1]])
            own = 0 if inputs["first"] else self.psum
            self.psum = wrap(self.product + (above if inputs["mode"] == AccumulationMode.DOWN.value else own))
        if inputs["en"]:
            self.history.appendleft(inputs["weights"])
            skewed = np.array(self.history)[self.index, self.index]
            self.product = self.a * self.b
            self.a, self.b = inputs["features"], skewed if inputs["skewed"] else inputs["weights"]
        return outputs


def random_inputs(generator, macs, count):
    """After a random part, psums grow to their limits and past them, and the accumulator after them."""
    for k in range(count):
        filling, growing = k < FILL, k > count // 2
        rare = 0.001 if growing else 0.2
        style = "lowest" if growing and generator.random() < 0.99 else generator.choice(["any", "corners"])
        en = int(filling or generator.random() < 0.8)
        yield {
            "features": operands(generator, style, macs),
            "weights": operands(generator, style, macs),
            "skewed": int(generator.random() < 0.5),
            "mode": int(filling or (not growing and generator.random() < 0.5)),
            "first": int(not growing and generator.random() < 0.2),
            "psum_en": en & int(filling or generator.random() < 0.9),
            "acc_first": int(filling or generator.random() < rare),
            "acc_en": en & int(filling or generator.random() < 0.9),
            "en": en,
        }


@cocotb.test()
async def random_controls(dut):
    macs = bench_parameters()["macs"]
    reference, inputs = LaneReference(macs), random_inputs(np.random.default_rng(macs), macs, 20_000)
    await compare_cycles(dut, RMACLane(macs), reference, inputs, settle=FILL)
    assert abs(reference.acc) < 1 << 31
