"""LayerNorm."""

import numpy as np
import pytest

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(("lanes", "largest"), [(1, 40), (5, 333), (32, 4096)])
def test_bench(lanes, largest):
    parameters = {"lanes": lanes, "largest": largest}
    run_bench(LayerNorm(lanes), "tests.hdl.aux.bench_layer_norm", name=f"layer_norm_{lanes}", parameters=parameters)


@pytest.mark.parametrize(("lanes", "solve_cycles"), [(1, 40), (2, 41), (5, 43), (8, 43), (64, 46)])
def test_cycles(lanes, solve_cycles):
    engine = LayerNorm(lanes)
    assert (engine.latency, engine.solve_cycles) == (6, solve_cycles)


def test_ports():
    engine = LayerNorm(3)
    fields = {name: field.width for name, field in engine.i.payload.shape()}
    assert fields == {"x": 3 * 8, "weight": 3 * 8, "channels": 13, "epsilon": 32, "last": 1}
    assert {name: field.width for name, field in engine.o.payload.shape()} == {"acc": 3 * 32}


def test_model_is_the_contract():
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-128, 128, 100), rng.integers(-128, 128, 100)
    assert np.array_equal(LayerNorm.model(x, weight, 5), arithmetic.layer_norm(x, weight, 5))
    with pytest.raises(ValueError, match="1 to 4096 channels"):
        LayerNorm.model(np.zeros(4097, int), np.zeros(4097, int))


@pytest.mark.parametrize(("lanes", "error"), [(0, ValueError), (65, ValueError), (8.0, TypeError)])
def test_parameters_are_checked(lanes, error):
    with pytest.raises(error, match="lanes must be"):
        LayerNorm(lanes)
