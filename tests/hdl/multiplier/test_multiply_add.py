"""MultiplyAdd: the Verilog of the primitive's behaviour, its twin and plain arithmetic."""

from itertools import product

import numpy as np
import pytest

from tests.hdl.aux.kernels import simulate
from tests.hdl.multiplier.multiplied import Multiplied, draw
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.multiplier.multiply_add import SOURCE, MultiplyAdd
from triovit.hdl.technology import TECHNOLOGIES, ULTRASCALE
from triovit.sim.bench import run_bench

# The ones that post-processing has, and what else is possible.
SHAPES = {
    "first": {"a_bits": 27, "b_bits": 17, "pre_add": True, "addend": "c"},
    "residual": {"a_bits": 25, "b_bits": 8, "operand_registers": 0, "result_register": False},
    "gate": {"a_bits": 17, "b_bits": 16, "pre_add": True, "addend": "c", "result_register": False},
    "low": {"a_bits": 18, "b_bits": 17, "addend": "c"},
    "high": {"a_bits": 15, "b_bits": 17, "addend": "cascade", "operand_registers": 2},
    "slow": {"a_bits": 27, "b_bits": 18, "operand_registers": 2, "addend": "c"},
}


@pytest.mark.parametrize("shape", ["first", "residual", "high"])  # every value of every parameter
def test_bench_of_the_verilog(shape):
    run_bench(
        Multiplied(**SHAPES[shape]),
        "tests.hdl.multiplier.bench_multiply_add",
        name=f"multiply_add_{shape}",
        parameters=SHAPES[shape],
        technology=ULTRASCALE,
    )


@pytest.mark.parametrize(("shape", "technology"), list(product(SHAPES, ("generic", "ultrascale"))))
def test_arithmetic(shape, technology):
    component = Multiplied(**SHAPES[shape])
    items = draw(component, 300, seed=3)
    assert simulate(component, items, TECHNOLOGIES[technology]) == [component.model(item) for item in items]


def test_wider_than_the_primitive():
    """What does not fit is plain arithmetic in every technology, and needs no hand-written Verilog."""
    component = Multiplied(a_bits=32, b_bits=17, pre_add=True, addend="c")
    assert emit_verilog(component, "wide", technology=ULTRASCALE).extra_files == ()
    items = draw(component, 200, seed=4)
    assert simulate(component, items, ULTRASCALE) == [component.model(item) for item in items]
    assert emit_verilog(MultiplyAdd(27, 18), "fits", technology=ULTRASCALE).extra_files == (SOURCE,)
    assert emit_verilog(MultiplyAdd(27, 18), "fits").extra_files == ()


@pytest.mark.parametrize(
    ("options", "latency", "addend_latency"),
    [
        ({}, 3, 2),
        ({"operand_registers": 0, "result_register": False}, 1, 1),
        ({"operand_registers": 2}, 4, 2),
        ({"pre_add": True, "addend": "c", "result_register": False}, 2, 1),
    ],
)
def test_latencies(options, latency, addend_latency):
    multiplier = MultiplyAdd(8, 8, **options)
    assert (multiplier.latency, multiplier.addend_latency) == (latency, addend_latency)


def test_model_ignores_what_is_not_connected():
    assert MultiplyAdd(8, 8).model(3, 5, d=7, c=9, cascade_in=1 << 20) == 15
    assert MultiplyAdd(8, 8, pre_add=True, addend="c").model(3, 5) == 15
    assert MultiplyAdd(8, 8, pre_add=True, addend="c").model(3, 5, d=7, c=9) == 59
    assert MultiplyAdd(8, 8, addend="cascade").model(3, np.array([5, 6]), cascade_in=-1).tolist() == [14, 17]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"a_bits": 1}, ValueError, r"a_bits must be 2\.\.34, not 1"),
        ({"a_bits": 35}, ValueError, r"a_bits must be 2\.\.34, not 35"),
        ({"b_bits": 1}, ValueError, r"b_bits must be 2\.\.18, not 1"),
        ({"b_bits": 19}, ValueError, r"b_bits must be 2\.\.18, not 19"),
        ({"operand_registers": 3}, ValueError, r"operand_registers must be 0\.\.2, not 3"),
        ({"operand_registers": 2, "pre_add": True}, ValueError, "operand_registers must be 1 with pre_add, not 2"),
        ({"addend": "p"}, ValueError, "addend must be one of none, c, cascade, not 'p'"),
        ({"b_bits": 8.0}, TypeError, "b_bits must be an integer, not 8.0"),
    ],
)
def test_parameters(options, error, message):
    with pytest.raises(error, match=message):
        MultiplyAdd(**{"a_bits": 8, "b_bits": 8} | options)
