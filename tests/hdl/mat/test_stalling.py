import numpy as np
import pytest

from tests.hdl.mat.stalling_reference import MATReference, mat_beats
from tests.hdl.rmac.simulate_stalling import simulate_engine
from triovit.hdl.mat.stalling import MATEngine
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("lanes, multipliers", [(3, 2), (2, 5)])
def test_simulator(lanes, multipliers):
    engine = MATEngine(lanes, multipliers)
    simulate_engine(engine, MATReference(engine), mat_beats(engine, 7, groups=60), seed=lanes)


def test_model():
    generator = np.random.default_rng(2)
    features, weights = generator.integers(-128, 128, (5, 3)), generator.integers(-128, 128, (5, 4, 3))
    expected = [sum(int(features[t] @ weights[t, lane]) for t in range(5)) for lane in range(4)]
    result = MATEngine.model(features, weights)
    assert result.dtype == np.int64
    assert result.tolist() == expected
    with pytest.raises(OverflowError, match="accumulator"):
        MATEngine.model(np.full((1 << 16, 2), -128), np.full((1 << 16, 4, 2), -128))


def test_ports():
    engine = MATEngine(2, 3)
    i, o = engine.i.payload.shape(), engine.o.payload.shape()
    assert {name: (field.offset, field.width) for name, field in i} == {
        "features": (0, 24),
        "first": (24, 1),
        "last": (25, 1),
        "weights": (26, 48),
    }
    assert {name: (field.offset, field.width) for name, field in o} == {"acc": (0, 64)}


def test_latency():
    assert [MATEngine(2, n).latency for n in (2, 3, 4, 5, 8, 16, 32)] == [5, 6, 6, 7, 7, 8, 9]
    MATEngine(32, 2)  # the limits themselves are legal


@pytest.mark.parametrize(
    "lanes, multipliers, error, text",
    [
        (1, 8, ValueError, "lanes must be 2..32, not 1"),
        (33, 8, ValueError, "lanes must be 2..32, not 33"),
        (8, 1, ValueError, "multipliers must be 2..32, not 1"),
        (8, 33, ValueError, "multipliers must be 2..32, not 33"),
        ("8", 8, TypeError, "lanes must be an integer, not '8'"),
        (8, 8.0, TypeError, "multipliers must be an integer, not 8.0"),
    ],
)
def test_parameters(lanes, multipliers, error, text):
    with pytest.raises(error, match=text):
        MATEngine(lanes, multipliers)


@pytest.mark.parametrize("lanes, multipliers", [(2, 3), (4, 4), (8, 8), (4, 2)])
def test_bench(lanes, multipliers):
    run_bench(
        MATEngine(lanes, multipliers),
        "tests.hdl.mat.bench_stalling",
        name="mat_engine",
        parameters={"lanes": lanes, "multipliers": multipliers},
    )
