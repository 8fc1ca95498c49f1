"""WideMultiplier."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import grid, join, rows, simulate, spread
from triovit.golden.integer import arithmetic
from triovit.hdl.multiplier.wide_multiplier import WideMultiplier
from triovit.hdl.technology import TECHNOLOGIES


@pytest.mark.parametrize("a_bits", [19, 32])
@pytest.mark.parametrize("technology", ("generic", "ultrascale"))
def test_products(a_bits, technology):
    rng = np.random.default_rng(a_bits)
    low, high = arithmetic.signed_range(a_bits)
    part = 1 << 17
    corners = grid(a=(low, -part, -1, 0, 1, part - 1, part, high), b=(0, 1, 65535), c=(-128, 0, 127), use_c=(0, 1))
    drawn = {"a": spread(rng, a_bits, 500), "b": rng.integers(0, 1 << 16, 500)}
    drawn |= {"c": spread(rng, 8, 500), "use_c": rng.integers(0, 2, 500)}
    vectors = join(corners, drawn)
    kernel = WideMultiplier(a_bits)
    assert kernel.latency == 4
    right = kernel.model(vectors["a"], vectors["b"], np.where(vectors["use_c"], vectors["c"], 0))
    assert simulate(kernel, rows(vectors), TECHNOLOGIES[technology]) == right.tolist()


@pytest.mark.parametrize("a_bits", [18, 41])
def test_parameters(a_bits):
    with pytest.raises(ValueError, match=rf"a_bits must be 19\.\.40, not {a_bits}"):
        WideMultiplier(a_bits)


def test_model_adds_nothing_of_itself():
    assert WideMultiplier.model(3, 5) == 15
