import itertools

import numpy as np
import pytest

from tests.hdl.rmac.reference import rmac_timeline
from tests.hdl.timeline import simulate
from triovit.hdl.rmac.engine import RMACEngine
from triovit.hdl.rmac.operands import RMACMode
from triovit.hdl.technology import TECHNOLOGIES, ULTRASCALE
from triovit.sim.bench import run_bench

# Each size of lanes and of macs with each style; a whole table takes minutes.
SIZES = [(2, 16), (4, 4), (8, 2), (16, 8), (2, 3), (6, 5)]


@pytest.mark.parametrize("technology", ("generic", "ultrascale"))
@pytest.mark.parametrize("lanes, macs", SIZES)
def test_all_modes(lanes, macs, technology):
    engine = RMACEngine(lanes, macs)
    simulate(engine, rmac_timeline(engine, 1, accumulations=30), technology=TECHNOLOGIES[technology])


@pytest.mark.parametrize("mode", RMACMode)
def test_groups_without_gaps(mode):
    engine = RMACEngine(4, 4)
    simulate(engine, rmac_timeline(engine, 2, accumulations=40, modes=(mode,), gaps=(0,)), technology=ULTRASCALE)


@pytest.mark.parametrize("modes", list(itertools.permutations(RMACMode, 2)))
def test_switches_without_gaps(modes):
    engine = RMACEngine(4, 2)
    simulate(engine, rmac_timeline(engine, 3, accumulations=40, modes=modes, gaps=(0,)))


@pytest.mark.parametrize("lanes, macs", [(4, 3), (2, 2)])
def test_model(lanes, macs):
    generator = np.random.default_rng(3)
    features, weights = generator.integers(-128, 128, size=(2, 7, lanes, macs))
    count = generator.integers(0, lanes + 1, size=7)
    expected = {mode: np.zeros((lanes, macs), dtype=np.int64) for mode in RMACMode}
    for beat, lane, j in itertools.product(range(7), range(lanes), range(macs)):
        f, w = features[beat], weights[beat]
        expected[RMACMode.POINTWISE][lane, j] += f[0, j] * w[lane, j]
        expected[RMACMode.DEPTHWISE][lane, j] += f[lane, j] * w[0, j]
        expected[RMACMode.OUTER][lane, j] += f[0, j] * w[lane, 0]
        expected[RMACMode.ROW_SUM][lane, j] += f[lane, j] if lane < count[beat] else 0
    expected[RMACMode.POINTWISE] = expected[RMACMode.POINTWISE].sum(axis=1)[np.newaxis]
    expected[RMACMode.ROW_SUM] = expected[RMACMode.ROW_SUM].sum(axis=0)[np.newaxis]
    engine = RMACEngine(lanes, macs)
    for mode in RMACMode:
        result = engine.model(mode, features, weights, count)
        assert result.dtype == np.int64
        assert np.array_equal(result, expected[mode])
    everything = engine.model(RMACMode.ROW_SUM, features, weights)
    assert np.array_equal(everything, features.sum(axis=(0, 1))[np.newaxis])


def test_model_refuses_what_does_not_fit():
    engine = RMACEngine(2, 2, accumulator_bits=24)
    lowest = np.full(((1 << 23) // (128 * 128), 2, 2), -128)
    with pytest.raises(OverflowError, match="result"):
        engine.model(RMACMode.DEPTHWISE, lowest, lowest)
    assert np.all(engine.model(RMACMode.DEPTHWISE, lowest[1:], lowest[1:]) == (1 << 23) - 128 * 128)
    for bad in (lowest - 1, -lowest):  # -129, 128
        with pytest.raises(OverflowError, match="features"):
            engine.model(RMACMode.OUTER, bad[:1], lowest[:1])
        with pytest.raises(OverflowError, match="weights"):
            engine.model(RMACMode.OUTER, lowest[:1], bad[:1])
    for count in ([3], [-1]):
        with pytest.raises(OverflowError, match="count"):
            engine.model(RMACMode.ROW_SUM, lowest[:1], lowest[:1], np.array(count))


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
        "double": (102, 1),
        "count": (103, 2),
        "resumed": (105, 1),
        "final": (106, 1),
    }
    assert {name: (field.offset, field.width) for name, field in o} == {"acc": (0, 81), "last": (81, 1)}


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((1, 8), ValueError, "lanes must be 2..32, not 1"),
        ((34, 8), ValueError, "lanes must be 2..32, not 34"),
        ((3, 8), ValueError, "lanes must be even, not 3"),
        ((8, 1), ValueError, "macs must be 2..31, not 1"),
        ((8, 32), ValueError, "macs must be 2..31, not 32"),
        ((8, 8, 19), ValueError, "accumulator_bits must be 20..32, not 19"),
        ((8, 8, 33), ValueError, "accumulator_bits must be 20..32, not 33"),
        ((8.0, 8), TypeError, "lanes must be an integer, not 8.0"),
        ((8, True), TypeError, "macs must be an integer, not True"),
    ],
)
def test_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        RMACEngine(*arguments)


def test_latency():
    assert [RMACEngine(4, 8).latency(mode) for mode in RMACMode] == [13, 7, 7, 10]
    RMACEngine(2, 2, 20), RMACEngine(32, 31, 32)  # the limits themselves are legal


def test_spacing():
    engine, (pointwise, depthwise, outer, row_sum) = RMACEngine(8, 6), RMACMode
    assert engine.spacing(pointwise, pointwise) == 1
    assert {engine.spacing(pointwise, mode) for mode in (depthwise, outer, row_sum)} == {6}
    assert [engine.spacing(depthwise, pointwise, rows) for rows in (0, 4, 5, 6, 8)] == [1, 1, 1, 2, 4]
    assert [engine.spacing(outer, depthwise, rows) for rows in (0, 1, 8)] == [1, 1, 8]
    assert [engine.spacing(outer, outer, rows, resumed=True) for rows in (0, 2, 3, 8)] == [3, 3, 3, 8]
    assert engine.spacing(row_sum, pointwise) == 4
    assert engine.spacing(row_sum, row_sum, 1, resumed=True) == 8


@pytest.mark.parametrize("lanes, macs, technology", [(8, 8, "ultrascale"), (4, 4, "generic"), (16, 16, "ultrascale")])
def test_bench(lanes, macs, technology):
    run_bench(
        RMACEngine(lanes, macs),
        "tests.hdl.rmac.bench_engine",
        name="rmac_engine",
        parameters={"lanes": lanes, "macs": macs},
        technology=TECHNOLOGIES[technology],
    )
