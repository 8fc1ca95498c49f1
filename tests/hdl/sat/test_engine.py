"""ShifterAdderTree."""

import numpy as np
import pytest

from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.sat.engine import ShifterAdderTree
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(("lanes", "units", "exponent_bits", "low"), [(3, 5, 3, 0), (1, 1, 4, 2)])
def test_bench(lanes, units, exponent_bits, low):
    engine = ShifterAdderTree(lanes, units, ApotFormat(exponent_bits, low))
    parameters = {"lanes": lanes, "units": units, "exponent_bits": exponent_bits, "low": low}
    name = f"shifter_adder_tree_{lanes}x{units}"
    run_bench(engine, "tests.hdl.sat.bench_engine", name=name, parameters=parameters)


@pytest.mark.parametrize(("units", "latency"), [(1, 3), (2, 4), (5, 6), (8, 6), (9, 7)])
def test_latency(units, latency):
    assert ShifterAdderTree(2, units, ApotFormat()).latency == latency


def test_ports():
    engine = ShifterAdderTree(3, 5, ApotFormat(2))
    fields = {name: field.width for name, field in engine.i.payload.shape()}
    assert fields == {"activations": 5 * 8, "codes": 3 * 5 * 5, "first": 1, "last": 1}
    assert {name: field.width for name, field in engine.o.payload.shape()} == {"acc": 3 * 32}


def test_model_is_the_matrix_product():
    format = ApotFormat(3, 0)
    rng = np.random.default_rng(0)
    activations, codes = rng.integers(-128, 128, (6, 4)), rng.integers(0, 128, (6, 3, 4))
    weights = format.decode(codes)
    right = [int(sum(activations[b] @ weights[b, lane] for b in range(6))) for lane in range(3)]
    assert ShifterAdderTree(3, 4, format).model(activations, codes).tolist() == right


def test_model_refuses_overflow():
    engine = ShifterAdderTree(1, 1, ApotFormat(4, 8))
    code = engine.format.encode(engine.format.max)
    assert engine.model([[-128]], [[[code]]]).tolist() == [-(1 << 30)]
    with pytest.raises(OverflowError, match="accumulator"):
        engine.model([[-128]] * 3, [[[code]]] * 3)
    for activation in (-129, 128):
        with pytest.raises(OverflowError, match="activation"):
            engine.model([[activation]], [[[code]]])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0, 1, ApotFormat()), ValueError, "lanes must be 1..64, not 0"),
        ((65, 1, ApotFormat()), ValueError, "lanes must be 1..64, not 65"),
        ((1, 0, ApotFormat()), ValueError, "units must be 1..64, not 0"),
        ((1, 65, ApotFormat()), ValueError, "units must be 1..64, not 65"),
        ((1, 1.0, ApotFormat()), TypeError, "units must be an integer"),
        ((1, 1, (3, 0)), TypeError, "format must be an ApotFormat"),
    ],
)
def test_parameters_are_checked(arguments, error, text):
    with pytest.raises(error, match=text):
        ShifterAdderTree(*arguments)
