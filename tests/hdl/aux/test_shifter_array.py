"""ShifterArray."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import rows, simulate, spread
from triovit.hdl.aux.pipeline import StreamPipeline
from triovit.hdl.aux.shifter_array import ShifterArray
from triovit.sim.bench import run_bench


def test_bench():
    run_bench(
        StreamPipeline(ShifterArray(3)),
        "tests.hdl.aux.bench_shifter_array",
        name="shifter_array",
        parameters={"lanes": 3},
    )


@pytest.mark.parametrize("lanes", [1, 8])
def test_other_lane_counts(lanes):
    rng = np.random.default_rng(lanes)
    vectors = {
        "dividend": spread(rng, 24, (200, lanes)),
        "code": rng.integers(0, 16, 200),
        "zero_point": spread(rng, 8, (200, lanes)),
    }
    assert simulate(ShifterArray(lanes), rows(vectors)) == ShifterArray.model(**vectors).tolist()


def test_model_without_zero_point():
    assert ShifterArray.model(np.array([[12, -12]]), np.array([3])).tolist() == [[2, -1]]


def test_parameters():
    assert ShifterArray(64).latency == 2
    for lanes in (0, 65):
        with pytest.raises(ValueError, match=rf"lanes must be 1\.\.64, not {lanes}"):
            ShifterArray(lanes)


def test_model_refuses_what_the_hardware_cannot_take():
    with pytest.raises(OverflowError, match="dividend"):
        ShifterArray.model(np.array([[1 << 23]]), np.array([0]))
    with pytest.raises(OverflowError, match="divisor code"):
        ShifterArray.model(np.array([[0]]), np.array([16]))
