"""WindowShift: every value where that is possible, corners and random values of real widths, and by proof."""

import random

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.aux.kernels import simulate
from tests.hdl.aux.windows import ClippedShift
from tests.hdl.formal import prove_never
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.window_shift import WindowShift
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(
    ("width", "bits", "max_shift"), [(4, 2, 4), (4, 6, 7), (7, 3, 11), (8, 2, 15), (5, 4, 19), (6, 2, 23)]
)
@pytest.mark.parametrize("fraction", [0, 1])
def test_every_value_and_shift(width, bits, max_shift, fraction):
    """Also shifts beyond the width, and results that are wider than the value."""
    low, high = arithmetic.signed_range(width)
    kernel = ClippedShift(width, bits, max_shift, zero_point=False)
    pairs = [(value, shift) for value in range(low, high + 1) for shift in range(max_shift + 1)]
    outputs = simulate(kernel, [{"value": v, "shift": n, "fraction": fraction, "zero_point": 0} for v, n in pairs])
    assert outputs == [kernel.model(value, shift, fraction) for value, shift in pairs]


@pytest.mark.parametrize(("width", "max_shift"), [(6, 4), (11, 7)])
@pytest.mark.parametrize("zero_point", [-128, -1, 0, 2, 127])
def test_every_value_with_a_zero_point(width, max_shift, zero_point):
    low, high = arithmetic.signed_range(width)
    kernel = ClippedShift(width, 8, max_shift)
    pairs = [(value, shift) for value in range(low, high + 1) for shift in range(max_shift + 1)]
    items = [{"value": v, "shift": n, "fraction": 1, "zero_point": zero_point} for v, n in pairs]
    assert simulate(kernel, items) == [kernel.model(value, shift, 1, zero_point) for value, shift in pairs]


@pytest.mark.parametrize(("width", "bits", "zero_point"), [(48, 8, True), (48, 24, False)])
def test_bench(width, bits, zero_point):
    parameters = {"width": width, "bits": bits, "zero_point": zero_point}
    run_bench(
        ClippedShift(width, bits, zero_point=zero_point),
        "tests.hdl.aux.bench_window_shift",
        name=f"window_shift_{bits}",
        parameters=parameters,
    )


class Differs(wiring.Component):
    """Whether a window shift ever differs from the formula written down: shift all of it, add, clip."""

    def __init__(self, width, bits, max_shift):
        self.shift = ClippedShift(width, bits, max_shift)
        super().__init__({"i": In(self.shift.i.shape()), "differs": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.shift = shift = self.shift
        item = Signal(self.i.shape(), reset_less=True)
        whole = Signal(signed(len(self.i.value) + 1))
        total = Signal(signed(max(len(whole), 8) + 2))
        low, high = arithmetic.signed_range(shift.shifter.bits)
        m.d.sync += item.eq(self.i)
        m.d.comb += [
            shift.i.eq(self.i),
            whole.eq(Cat(Const(0, 1), item.value).as_signed() >> item.shift),
            total.eq(whole[1:].as_signed() + (whole[0] & item.fraction) + item.zero_point),
            self.differs.eq(
                (item.shift <= shift.shifter.max_shift)
                & (shift.o != Mux(total < low, low, Mux(total > high, high, total)))
            ),
        ]
        return m


@pytest.mark.parametrize(("width", "bits", "max_shift"), [(13, 8, 15), (20, 9, 23), (48, 8, 47), (32, 16, 31)])
def test_proof(tmp_path, width, bits, max_shift):
    """Equal to the formula for every input, not only those that a test thinks of."""
    prove_never(Differs(width, bits, max_shift), "differs", tmp_path, steps=4)


def test_a_single_bit_beyond_the_window_is_seen():
    """Every bit of 48 alone, of both signs, at every shift."""
    kernel = ClippedShift(48, 8)
    items = [
        {"value": sign + (1 << bit if sign == 0 else -(1 << bit)), "shift": shift, "fraction": 1, "zero_point": zero}
        for bit in range(47)
        for shift in {0, bit, *range(bit % 5, 48, 5)}
        for sign, zero in ((0, random.Random(bit * shift).randrange(-128, 128)), (-1, -128))
    ]
    assert simulate(kernel, items) == [kernel.model(*item.values()) for item in items]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, 2), {}, ValueError, r"width must be 4\.\.62, not 3"),
        ((63, 2), {}, ValueError, r"width must be 4\.\.62, not 63"),
        ((8, 1), {}, ValueError, r"bits must be 2\.\.32, not 1"),
        ((8, 33), {}, ValueError, r"bits must be 2\.\.32, not 33"),
        ((8, 7), {"zero_point": True}, ValueError, r"bits must be 8\.\.32 with a zero point, which has 8 bits, not 7"),
        ((8, 4, 3), {}, ValueError, r"max_shift must be 4\.\.63, not 3"),
        ((8, 4, 64), {}, ValueError, r"max_shift must be 4\.\.63, not 64"),
        ((8.0, 4), {}, TypeError, "width must be an integer"),
    ],
)
def test_parameters(arguments, options, error, message):
    with pytest.raises(error, match=message):
        WindowShift(*arguments, **{"zero_point": False} | options)


def test_limits_are_legal():
    assert WindowShift(62, 32, 63).latency == WindowShift(4, 2, 4, zero_point=False).latency == 1
    assert "zero_point" not in dict(WindowShift(4, 2, 4, zero_point=False).i.late.shape())
    assert len(WindowShift(48, 8).i.shift) == 6 and WindowShift(48, 8).o.total.shape().width == 10
