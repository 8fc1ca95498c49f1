"""RoundingShift and the saturation function."""

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from tests.hdl.aux.kernels import simulate
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.rounding_shift import RoundingShift, saturate


@pytest.mark.parametrize(("width", "max_shift"), [(2, 1), (5, 4), (6, 11)])
def test_every_value_and_shift(width, max_shift):
    """Also shifts beyond the width, and the codes above max_shift that the shift's width admits."""
    low, high = arithmetic.signed_range(width)
    codes = 1 << max_shift.bit_length()
    pairs = [(value, shift) for value in range(low, high + 1) for shift in range(codes)]
    kernel = RoundingShift(width, max_shift)
    outputs = simulate(kernel, [{"value": value, "shift": shift} for value, shift in pairs])
    assert outputs == [int(kernel.model(value, shift)) for value, shift in pairs]


@pytest.mark.parametrize("bits", [2, 3, 5, 6, 7])
def test_saturate_every_value(bits):
    m, value, result = Module(), Signal(signed(6)), Signal(signed(8))
    m.d.comb += result.eq(saturate(value, bits))
    seen = {}

    async def drive(ctx):
        for number in range(-32, 32):
            ctx.set(value, number)
            seen[number] = ctx.get(result)

    simulator = Simulator(m)
    simulator.add_testbench(drive)
    simulator.run()
    assert seen == {number: int(arithmetic.saturate(number, bits)) for number in range(-32, 32)}


def test_saturate_wants_a_signed_signal():
    for value in (Signal(8), Signal(signed(8)) + 1):
        with pytest.raises(TypeError, match="signed Signal"):
            saturate(value, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, 1), ValueError, r"width must be 2\.\.62, not 1"),
        ((63, 1), ValueError, r"width must be 2\.\.62, not 63"),
        ((8, 0), ValueError, r"max_shift must be 1\.\.63, not 0"),
        ((8, 64), ValueError, r"max_shift must be 1\.\.63, not 64"),
        ((8.0, 1), TypeError, "width must be an integer"),
    ],
)
def test_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        RoundingShift(*arguments)
    assert RoundingShift(62, 63).latency == RoundingShift(2, 1).latency == 1
