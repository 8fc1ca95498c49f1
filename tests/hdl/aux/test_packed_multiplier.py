"""PackedMultiplier and MultiplierPair."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import simulate
from tests.hdl.aux.multipliers import SideBySide
from triovit.hdl.aux.packed_multiplier import MultiplierPair, PackedMultiplier
from triovit.sim.bench import run_bench


def test_bench_cycle_by_cycle():
    run_bench(SideBySide(), "tests.hdl.aux.bench_packed_multiplier", name="packed_multiplier")


def test_model_on_all_operands():
    """2**24 triples, in chunks of one a1."""
    a0 = np.arange(-128, 128)[:, np.newaxis]
    b = np.arange(-128, 128)[np.newaxis]
    lower = a0 * b
    for a1 in range(-128, 128):
        p1, p0 = PackedMultiplier.model(a1, a0, b)
        assert np.array_equal(p0, lower) and np.array_equal(p1, np.broadcast_to(a1 * b, lower.shape))


@pytest.mark.parametrize("multiplier", [PackedMultiplier, MultiplierPair])
def test_as_a_kernel(multiplier):
    rng = np.random.default_rng(1)
    triples = rng.choice([-128, -1, 0, 1, 127, 77], (200, 3)).tolist()
    items = [dict(zip(("a1", "a0", "b"), triple, strict=True)) for triple in triples]
    right = [{"p1": a1 * b, "p0": a0 * b} for a1, a0, b in triples]
    assert simulate(multiplier(), items) == right


@pytest.mark.parametrize("multiplier", [PackedMultiplier, MultiplierPair])
def test_models_refuse_what_is_not_int8(multiplier):
    for name, operands in (("a1", (128, 0, 0)), ("a0", (0, -129, 0)), ("b", (0, 0, 128))):
        with pytest.raises(OverflowError, match=rf"{name} must lie in \[-128, 127\]"):
            multiplier.model(*operands)
