"""DyadicRequantizer and PowerOfTwoRequantizer."""

import numpy as np
import pytest
from amaranth.hdl import signed

from tests.hdl.aux.kernels import rows, simulate, spread
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.pipeline import StreamPipeline
from triovit.hdl.aux.requantizer import DyadicRequantizer, PowerOfTwoRequantizer
from triovit.sim.bench import run_bench

KINDS = {"dyadic": DyadicRequantizer, "power_of_two": PowerOfTwoRequantizer}


@pytest.mark.parametrize("kind", KINDS)
def test_bench(kind):
    run_bench(
        StreamPipeline(KINDS[kind](8)),
        "tests.hdl.aux.bench_requantizer",
        name=f"{kind}_requantizer",
        parameters={"kind": kind, "bits": 8},
    )


@pytest.mark.parametrize("bits", [2, 16, 24, 32])
def test_other_output_widths(bits):
    rng = np.random.default_rng(bits)
    vectors = {
        "acc": spread(rng, 32, 300),
        "multiplier": rng.integers(0, 1 << 16, 300),
        "shift": rng.integers(0, 48, 300),
        "zero_point": spread(rng, 8, 300),
    }
    kernel = DyadicRequantizer(bits)
    outputs = simulate(kernel, rows(vectors))
    assert outputs == kernel.model(**vectors).tolist()
    low, high = arithmetic.signed_range(bits)
    assert min(outputs) == low and max(outputs) == high


@pytest.mark.parametrize(("width", "max_shift"), [(2, 1), (4, 3), (24, 15)])
def test_other_input_widths(width, max_shift):
    """A zero point wider than the value must still count in full."""
    rng = np.random.default_rng(width)
    vectors = {
        "acc": spread(rng, width, 300),
        "shift": rng.integers(0, max_shift + 1, 300),
        "zero_point": spread(rng, 8, 300),
    }
    kernel = PowerOfTwoRequantizer(8, width=width, max_shift=max_shift)
    assert simulate(kernel, rows(vectors)) == kernel.model(**vectors).tolist()


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("bits", [1, 33])
def test_bits(kind, bits):
    with pytest.raises(ValueError, match=rf"bits must be 2\.\.32, not {bits}"):
        kind(bits)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 1}, r"width must be 2\.\.62"),
        ({"width": 63}, r"width must be 2\.\.62"),
        ({"max_shift": 0}, r"max_shift must be 1\.\.63"),
        ({"max_shift": 64}, r"max_shift must be 1\.\.63"),
    ],
)
def test_power_of_two_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        PowerOfTwoRequantizer(8, **parameters)


def test_defaults_are_the_contract():
    for kernel in (PowerOfTwoRequantizer(), DyadicRequantizer()):
        assert kernel.o.shape() == signed(8)
        assert kernel.i.shape()["acc"].shape == signed(32)
        assert kernel.i.shape()["shift"].width == 6


def test_latencies():
    assert (PowerOfTwoRequantizer(8).latency, DyadicRequantizer(8).latency) == (2, 4)
