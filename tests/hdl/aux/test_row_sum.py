"""RowSum."""

import numpy as np
import pytest

from triovit.hdl.aux.row_sum import RowSum
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(("tokens", "channels"), [(6, 3), (1, 2)])
def test_bench(tokens, channels):
    parameters = {"tokens": tokens, "channels": channels}
    name = f"row_sum_{tokens}x{channels}"
    run_bench(RowSum(tokens, channels), "tests.hdl.aux.bench_row_sum", name=name, parameters=parameters)


@pytest.mark.parametrize(("tokens", "latency"), [(1, 1), (2, 2), (5, 4), (8, 4), (9, 5), (64, 7)])
def test_latency(tokens, latency):
    assert RowSum(tokens, 1).latency == latency


def test_ports():
    engine = RowSum(6, 3)
    fields = {name: field.width for name, field in engine.i.payload.shape()}
    assert fields == {"window": 6 * 3 * 8, "count": 3, "first": 1, "last": 1}
    assert {name: field.width for name, field in engine.o.payload.shape()} == {"acc": 3 * 32}


def test_model_ignores_tokens_from_count_on():
    window = np.arange(-6, 6).reshape(2, 3, 2)
    assert RowSum.model(window, [3, 0]).tolist() == [-6 - 4 - 2, -5 - 3 - 1]
    assert RowSum.model(window, [1, 2]).tolist() == [-6 + 0 + 2, -5 + 1 + 3]
    with pytest.raises(OverflowError, match="count"):
        RowSum.model(window, [4, 0])
    assert RowSum.model([[[-128, 127]]], [1]).tolist() == [-128, 127]
    for value in (-129, 128):
        with pytest.raises(OverflowError, match="window"):
            RowSum.model([[[value]]], [1])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 1), "tokens must be 1..64, not 0"),
        ((65, 1), "tokens must be 1..64, not 65"),
        ((1, 0), "channels must be 1..64, not 0"),
        ((1, 65), "channels must be 1..64, not 65"),
    ],
)
def test_parameters_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        RowSum(*arguments)
