"""HardswishGate and its thresholds."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.aux.kernels import grid, join, simulate, spread
from triovit.hdl.aux.hardswish import THRESHOLD, HardswishGate, threshold
from triovit.hdl.aux.requantizer import REQUANTIZED
from triovit.hdl.technology import TECHNOLOGIES


class Gate(wiring.Component):
    """The gate behind the thresholds of its fraction bits."""

    latency = HardswishGate.latency

    def __init__(self):
        self.gate = HardswishGate()
        fields = {"x": REQUANTIZED, "active": 1, "fraction_bits": 4}
        super().__init__({"i": In(data.StructLayout(fields)), "o": Out(signed(32))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = self.gate
        limit = Signal(THRESHOLD)
        m.d.comb += [limit[name].eq(v) for name, v in threshold(self.i.active, self.i.fraction_bits).items()]
        m.d.comb += [self.gate.i.x.eq(self.i.x), self.gate.i.threshold.eq(limit), self.o.eq(self.gate.o)]
        return m


def items(values, active, fraction_bits, beyond=0, negative=0):
    arrays = np.broadcast_arrays(values, active, fraction_bits, beyond, negative)
    return [
        {"x": {"value": v, "beyond": b, "negative": n}, "active": a, "fraction_bits": f}
        for v, a, f, b, n in zip(*(array.tolist() for array in arrays), strict=True)
    ]


@pytest.mark.parametrize("technology", ("generic", "ultrascale"))
def test_gate(technology):
    """Around both clamps and the limits for all f, and random operands."""
    rng = np.random.default_rng(4)
    clamps = grid(x=(-3, 3), off=(-2, -1, 0, 1, 2), fraction_bits=range(14))
    clamps["x"] = np.clip((clamps["x"] << clamps["fraction_bits"]) + clamps.pop("off"), -32768, 32767)
    limits = grid(x=(-32768, -1, 0, 1, 32767), fraction_bits=range(14))
    drawn = {"x": spread(rng, 16, 600), "fraction_bits": rng.integers(0, 14, 600)}
    vectors = join(*({name: part[name] for name in ("x", "fraction_bits")} for part in (clamps, limits, drawn)))
    outputs = simulate(Gate(), items(vectors["x"], 1, vectors["fraction_bits"]), TECHNOLOGIES[technology])
    assert outputs == HardswishGate.model(vectors["x"], vectors["fraction_bits"]).tolist()


@pytest.mark.parametrize("fraction_bits", [0, 6, 13])
def test_every_operand(fraction_bits):
    values = np.arange(-32768, 32768, 7)
    assert simulate(Gate(), items(values, 1, fraction_bits)) == (HardswishGate.model(values, fraction_bits).tolist())


def test_beyond():
    """Above its range an operand is 32767 already; below, whatever its bits are, the result is 0."""
    rng = np.random.default_rng(5)
    values = rng.integers(-(1 << 23), 1 << 23, 200)
    fraction_bits = rng.integers(0, 14, 200)
    assert simulate(Gate(), items(values, 1, fraction_bits, 1, 1)) == [0] * 200
    above = HardswishGate.model(np.full(200, 32767), fraction_bits).tolist()
    assert simulate(Gate(), items(32767, 1, fraction_bits, 1, 0)) == above


def test_it_lets_through():
    """24 bits, with any fraction bits and flags, and among rows of hardswish."""
    rng = np.random.default_rng(6)
    values, active = spread(rng, 24, 500), rng.integers(0, 2, 500)
    values = np.where(active, values >> 8, values)
    fraction_bits = np.where(active, rng.integers(0, 14, 500), rng.integers(0, 16, 500))
    beyond, negative = (rng.integers(0, 2, 500) & ~active for _ in range(2))
    product = HardswishGate.model(np.where(active, values, 0), np.minimum(fraction_bits, 13))
    outputs = simulate(Gate(), items(values, active, fraction_bits, beyond, negative))
    assert outputs == np.where(active, product, values).tolist()


def test_latency():
    assert HardswishGate().latency == HardswishGate().multiplier.latency == 2
    assert THRESHOLD.size == 1 + 16 + 14 + 15


def test_model_refuses_what_the_gate_cannot_do():
    with pytest.raises(OverflowError, match="fraction bits"):
        HardswishGate.model(0, 14)
    with pytest.raises(OverflowError, match="hardswish operand"):
        HardswishGate.model(1 << 15, 0)
