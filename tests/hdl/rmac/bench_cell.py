"""cocotb bench of RMACCell: random controls in every cycle against a register-level reference."""

from __future__ import annotations

import random

import cocotb

from tests.hdl.rmac.cocotb_registers import compare_cycles, wrap
from triovit.hdl.rmac.cell import AccumulationMode, RMACCell


class CellReference:
    def __init__(self):
        self.product = self.psum = 0

    def __call__(self, inputs):
        outputs = {"psum_out": self.psum}
        own = 0 if inputs["first"] else self.psum
        z = inputs["psum_in"] if inputs["mode"] == AccumulationMode.DOWN.value else own
        if inputs["psum_en"]:
            self.psum = wrap(self.product + z)
        if inputs["en"]:
            self.product = inputs["a"] * inputs["b"]
        return outputs


def random_inputs(choose, count):
    operand = lambda: choose.choice((-128, -127, -1, 0, 1, 127, choose.randint(-128, 127)))  # noqa: E731
    limit = (1 << 31) - 1
    for k in range(count):
        filling = k < 2  # load both registers before anything is compared
        yield {
            "a": operand(),
            "b": operand(),
            "psum_in": choose.choice((-limit - 1, limit, 0, choose.randint(-limit - 1, limit))),
            "mode": int(filling or choose.random() < 0.3),
            "first": int(choose.random() < 0.2),
            "en": int(filling or choose.random() < 0.8),
            "psum_en": int(filling or choose.random() < 0.8),
        }


@cocotb.test()
async def random_controls(dut):
    await compare_cycles(dut, RMACCell(), CellReference(), random_inputs(random.Random(1), 10_000), settle=2)
