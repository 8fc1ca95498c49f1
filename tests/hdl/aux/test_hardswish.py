"""HardswishGate and Hardswish."""

import numpy as np
import pytest

from tests.hdl.aux.kernels import grid, join, rows, simulate
from triovit.hdl.aux.hardswish import Hardswish, HardswishGate
from triovit.hdl.aux.pipeline import StreamPipeline
from triovit.sim.bench import run_bench


def test_bench():
    run_bench(StreamPipeline(Hardswish()), "tests.hdl.aux.bench_hardswish", name="hardswish")


def test_gate():
    rng = np.random.default_rng(4)
    clamps = grid(x=(-3, 3), off=(-1, 0, 1), fraction_bits=range(14))
    clamps["x"] = np.clip((clamps["x"] << clamps["fraction_bits"]) + clamps.pop("off"), -32768, 32767)
    limits = grid(x=(-32768, -1, 0, 1, 32767), fraction_bits=range(14))
    drawn = {"x": rng.integers(-32768, 32768, 300), "fraction_bits": rng.integers(0, 14, 300)}
    vectors = join(clamps, limits, drawn)
    assert simulate(HardswishGate(), rows(vectors)) == HardswishGate.model(**vectors).tolist()


def test_latencies():
    assert (HardswishGate().latency, Hardswish().latency) == (2, 9)


def test_model_refuses_what_the_gate_cannot_do():
    with pytest.raises(OverflowError, match="fraction bits"):
        HardswishGate.model(0, 14)
    with pytest.raises(OverflowError, match="hardswish operand"):
        HardswishGate.model(1 << 15, 0)
