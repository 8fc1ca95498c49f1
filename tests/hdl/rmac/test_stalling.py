import itertools

import numpy as np
import pytest

from tests.hdl.rmac.simulate_stalling import simulate_engine
from tests.hdl.rmac.stalling_reference import RMACReference, rmac_beats
from triovit.hdl.rmac.stalling import RMACEngine, RMACMode
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("lanes, macs", [(3, 2), (2, 5)])
def test_simulator(lanes, macs):
    engine = RMACEngine(lanes, macs)
    simulate_engine(engine, RMACReference(engine), rmac_beats(engine, 7, groups=60), seed=lanes)


@pytest.mark.parametrize("lanes, macs", [(4, 3), (2, 2)])
def test_model(lanes, macs):
    generator = np.random.default_rng(3)
    features, weights = generator.integers(-128, 128, size=(2, 7, lanes, macs))
    expected = {mode: np.zeros((lanes, macs), dtype=np.int64) for mode in RMACMode}
    for beat, lane, j in itertools.product(range(7), range(lanes), range(macs)):
        f, w = features[beat], weights[beat]
        expected[RMACMode.POINTWISE][lane, j] += f[0, j] * w[lane, j]
        expected[RMACMode.DEPTHWISE][lane, j] += f[lane, j] * w[0, j]
        expected[RMACMode.OUTER][lane, j] += f[0, j] * w[lane, 0]
    expected[RMACMode.POINTWISE] = expected[RMACMode.POINTWISE].sum(axis=1)[np.newaxis]
    for mode in RMACMode:
        result = RMACEngine.model(mode, features, weights)
        assert result.dtype == np.int64
        assert np.array_equal(result, expected[mode])


def test_model_refuses_what_int32_cannot_hold():
    lowest = np.full(((1 << 31) // (128 * 128), 2, 2), -128)
    with pytest.raises(OverflowError, match="psum"):
        RMACEngine.model(RMACMode.DEPTHWISE, lowest, lowest)
    assert np.all(RMACEngine.model(RMACMode.DEPTHWISE, lowest[1:], lowest[1:]) == (1 << 31) - 128 * 128)
    for bad in (lowest - 1, -lowest):  # -129, 128
        with pytest.raises(OverflowError, match="features"):
            RMACEngine.model(RMACMode.OUTER, bad[:1], lowest[:1])
        with pytest.raises(OverflowError, match="weights"):
            RMACEngine.model(RMACMode.OUTER, lowest[:1], bad[:1])
    highest = -1 - lowest[:1]
    for mode in RMACMode:
        assert RMACEngine.model(mode, highest, highest).max() == 127 * 127 * (2 if mode is RMACMode.POINTWISE else 1)


def test_ports():
    engine = RMACEngine(2, 3)
    i, o = engine.i.payload.shape(), engine.o.payload.shape()
    assert {name: (field.offset, field.width) for name, field in i} == {
        "features": (0, 48),
        "weights": (48, 48),
        "mode": (96, 2),
        "first": (98, 1),
        "last": (99, 1),
        "rows": (100, 2),
    }
    assert {name: (field.offset, field.width) for name, field in o} == {"acc": (0, 96), "last": (96, 1)}


@pytest.mark.parametrize(
    "lanes, macs, error, text",
    [
        (1, 8, ValueError, "lanes must be 2..32, not 1"),
        (33, 8, ValueError, "lanes must be 2..32, not 33"),
        (8, 1, ValueError, "macs must be 2..32, not 1"),
        (8, 33, ValueError, "macs must be 2..32, not 33"),
        (8.0, 8, TypeError, "lanes must be an integer, not 8.0"),
        (8, True, TypeError, "macs must be an integer, not True"),
    ],
)
def test_parameters(lanes, macs, error, text):
    with pytest.raises(error, match=text):
        RMACEngine(lanes, macs)


def test_latency():
    assert [RMACEngine(4, 8).latency(mode) for mode in RMACMode] == [12, 4, 4]
    RMACEngine(2, 2), RMACEngine(32, 32)  # the limits themselves are legal


@pytest.mark.parametrize("lanes, macs", [(2, 3), (4, 4), (8, 8), (8, 4)])
def test_bench(lanes, macs):
    run_bench(
        RMACEngine(lanes, macs),
        "tests.hdl.rmac.bench_stalling",
        name="rmac_engine",
        parameters={"lanes": lanes, "macs": macs},
    )
