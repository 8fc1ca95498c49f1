import numpy as np
import pytest

from tests.hdl.mat.reference import mat_timeline
from tests.hdl.timeline import simulate
from triovit.hdl.mat.engine import MATEngine
from triovit.hdl.technology import TECHNOLOGIES, ULTRASCALE
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("technology", ("generic", "ultrascale"))
@pytest.mark.parametrize("lanes, multipliers", [(2, 16), (4, 4), (8, 2), (16, 8), (2, 9), (6, 3)])
def test_random_groups(lanes, multipliers, technology):
    engine = MATEngine(lanes, multipliers)
    simulate(engine, mat_timeline(engine, 1, groups=60), technology=TECHNOLOGIES[technology])


def test_groups_of_one_beat():
    engine = MATEngine(4, 4)
    simulate(engine, mat_timeline(engine, 2, groups=40, gaps=(0,), longest=1), technology=ULTRASCALE)


@pytest.mark.parametrize("lanes, multipliers", [(4, 3), (2, 2)])
def test_model(lanes, multipliers):
    generator = np.random.default_rng(4)
    features = generator.integers(-128, 128, size=(5, multipliers))
    weights = generator.integers(-128, 128, size=(5, lanes, multipliers))
    result = MATEngine(lanes, multipliers).model(features, weights)
    expected = [sum(int(features[b] @ weights[b, lane]) for b in range(5)) for lane in range(lanes)]
    assert result.dtype == np.int64
    assert result.tolist() == expected


def test_model_refuses_what_does_not_fit():
    engine = MATEngine(2, 2, accumulator_bits=24)
    features, weights = np.full((256, 2), -128), np.full((256, 2, 2), -128)
    with pytest.raises(OverflowError, match="result"):
        engine.model(features, weights)
    assert engine.model(features[1:], weights[1:]).tolist() == [(1 << 23) - (1 << 15)] * 2
    for bad in (-129, 128):
        with pytest.raises(OverflowError, match="features"):
            engine.model(np.full((1, 2), bad), weights[:1])
        with pytest.raises(OverflowError, match="weights"):
            engine.model(features[:1], np.full((1, 2, 2), bad))


def test_ports():
    engine = MATEngine(2, 3)
    i, o = engine.i.payload.shape(), engine.o.payload.shape()
    assert {name: (field.offset, field.width) for name, field in i} == {
        "features": (0, 24),
        "first": (24, 1),
        "last": (25, 1),
        "weights": (26, 48),
    }
    assert {name: (field.offset, field.width) for name, field in o} == {"acc": (0, 54)}


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((1, 8), ValueError, "lanes must be 2..32, not 1"),
        ((34, 8), ValueError, "lanes must be 2..32, not 34"),
        ((7, 8), ValueError, "lanes must be even, not 7"),
        ((8, 1), ValueError, "multipliers must be 2..31, not 1"),
        ((8, 32), ValueError, "multipliers must be 2..31, not 32"),
        ((8, 8, 19), ValueError, "accumulator_bits must be 20..32, not 19"),
        ((8, 8, 33), ValueError, "accumulator_bits must be 20..32, not 33"),
        ((8, 8.0), TypeError, "multipliers must be an integer, not 8.0"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        MATEngine(*arguments)


def test_latency():
    assert [MATEngine(2, multipliers).latency for multipliers in (2, 8, 16)] == [6, 12, 20]
    MATEngine(2, 2, 20), MATEngine(32, 31, 32)  # the limits themselves are legal


@pytest.mark.parametrize(
    "lanes, multipliers, technology", [(8, 8, "ultrascale"), (4, 4, "generic"), (16, 16, "ultrascale")]
)
def test_bench(lanes, multipliers, technology):
    run_bench(
        MATEngine(lanes, multipliers),
        "tests.hdl.mat.bench_engine",
        name="mat_engine",
        parameters={"lanes": lanes, "multipliers": multipliers},
        technology=TECHNOLOGIES[technology],
    )
