"""ShifterUnit."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import simulate
from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.sat.shifter_unit import ShifterUnit, code_layout
from triovit.sim.bench import pack, run_bench


def test_bench_all_activations_all_codes():
    run_bench(
        ShifterUnit(ApotFormat()),
        "tests.hdl.sat.bench_shifter_unit",
        name="shifter_unit",
        parameters={"format": [3, 0]},
    )


@pytest.mark.parametrize("format", [ApotFormat(1, 0), ApotFormat(1, 8), ApotFormat(2, 3), ApotFormat(4, 8)], ids=str)
def test_other_formats(format):
    unit = ShifterUnit(format)
    rng = np.random.default_rng(format.width)
    activation = np.append(rng.integers(-128, 128, 300), [-128, -128, 127, 127])
    top = (1 << format.width) - 1  # both exponents at the upper end, negative
    code = np.append(rng.integers(0, top + 1, 300), [top, top - 1, top, top - 1])
    mask = (1 << format.exponent_bits) - 1
    items = [
        {"activation": a, "code": {"sign": c & 1, "e1": c >> 1 & mask, "e2": c >> 1 >> format.exponent_bits}}
        for a, c in zip(activation.tolist(), code.tolist(), strict=True)
    ]
    assert simulate(unit, items) == (activation * format.decode(code)).tolist()


def test_layout_numbers_codes_as_the_format_does():
    format = ApotFormat(2, 1)
    layout = code_layout(format)
    assert layout.size == format.width
    # -(2**3 + 2**1): e1 = 3, e2 = 1
    assert pack(layout, {"sign": 1, "e1": 3, "e2": 1}) == int(format.encode(-10))


def test_model_and_parameters_are_checked():
    assert ShifterUnit.latency == 2
    with pytest.raises(OverflowError, match="activation"):
        ShifterUnit(ApotFormat()).model(128, 0)
    with pytest.raises(OverflowError, match="APoT code"):
        ShifterUnit(ApotFormat()).model(0, 128)
    with pytest.raises(TypeError, match="format must be an ApotFormat, not 3"):
        ShifterUnit(3)
