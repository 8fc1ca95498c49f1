"""cocotb bench of PackedMultiplier: random controls in every cycle against a register-level reference."""

from __future__ import annotations

import random

import cocotb

from tests.hdl.cocotb_registers import compare_cycles, wrap
from triovit.hdl.multiplier.dsp48e2 import PackedMultiplier
from triovit.hdl.multiplier.pair import Addend


class Reference:
    def __init__(self):
        self.first, self.second = (0, 0), (0, 0)
        self.product = self.total = self.addend = 0

    def __call__(self, inputs):
        outputs = {"p": self.total % (1 << 48), "cascade_out": self.total % (1 << 48)}
        en = [inputs["en"] >> k & 1 for k in range(4)]
        if en[3]:
            z = {Addend.ZERO.value: 0, Addend.CASCADE.value: inputs["cascade_in"], Addend.OWN.value: self.total}
            self.total = wrap(self.product + z[self.addend], 48)
        if en[2]:
            self.product = self.second[0] * self.second[1]
        if en[1]:
            self.second = self.first
        if en[0]:
            low, high = inputs["a"]
            self.first = ((high << 18) + low, inputs["b"])
        self.addend = inputs["addend"]
        return outputs


def random_inputs(choose, count):
    operand = lambda: choose.choice((-128, -127, -1, 0, 1, 127, choose.randint(-128, 127)))  # noqa: E731
    for k in range(count):
        filling = k < 6  # load the registers before anything is compared
        yield {
            "a": [operand(), operand()],
            "b": operand(),
            "en": 15 if filling or choose.random() < 0.6 else choose.randrange(16),
            "addend": 0 if filling else choose.choice([addend.value for addend in Addend]),
            "cascade_in": choose.choice((0, (1 << 47) - 1, 1 << 47, choose.getrandbits(48))),
        }


@cocotb.test()
async def random_controls(dut):
    await compare_cycles(dut, PackedMultiplier(), Reference(), random_inputs(random.Random(1), 20_000), settle=6)
