"""LayerNorm."""

import numpy as np
import pytest

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.technology import TECHNOLOGIES
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(
    ("block", "lanes", "largest", "technology"),
    [(8, 1, 600, "ultrascale"), (5, 2, 333, "generic"), (32, 32, 4096, "generic")],
)
def test_bench(block, lanes, largest, technology):
    parameters = {"block": block, "lanes": lanes}
    run_bench(
        LayerNorm(**parameters),
        "tests.hdl.aux.bench_layer_norm",
        name=f"layer_norm_{block}_{lanes}",
        parameters=parameters | {"largest": largest},
        technology=TECHNOLOGIES[technology],
    )


@pytest.mark.parametrize(
    ("block", "lanes", "interval", "solve_cycles", "latency"),
    [(8, 1, 8, 50, 15), (8, 8, 1, 46, 8), (5, 2, 3, 46, 10), (1, 1, 1, 43, 8), (16, 4, 4, 48, 11)],
)
def test_cycles(block, lanes, interval, solve_cycles, latency):
    engine = LayerNorm(block, lanes)
    assert (engine.interval, engine.solve_cycles, engine.latency) == (interval, solve_cycles, latency)


def test_ports():
    engine = LayerNorm(3, accumulator_bits=27)
    fields = {name: field.width for name, field in engine.i.payload.shape()}
    assert fields == {"x": 3 * 8, "weight": 3 * 8, "channels": 13, "epsilon": 32, "last": 1}
    assert {name: field.width for name, field in engine.o.payload.shape()} == {"acc": 3 * 27}
    assert engine.i.signature.always_ready and engine.o.signature.always_ready


def test_model_is_the_contract():
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-128, 128, 100), rng.integers(-128, 128, 100)
    assert np.array_equal(LayerNorm.model(x, weight, 5), arithmetic.layer_norm(x, weight, 5))
    with pytest.raises(ValueError, match="1 to 4096 channels"):
        LayerNorm.model(np.zeros(4097, int), np.zeros(4097, int))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, r"block must be 1\.\.64, not 0"),
        ((65,), ValueError, r"block must be 1\.\.64, not 65"),
        ((8, 9), ValueError, r"lanes must be 1\.\.8, not 9"),
        ((8, 0), ValueError, r"lanes must be 1\.\.8, not 0"),
        ((8, 1, 23), ValueError, r"accumulator_bits must be 24\.\.32, not 23"),
        ((8, 8.0), TypeError, "lanes must be an integer"),
    ],
)
def test_parameters_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        LayerNorm(*arguments)
