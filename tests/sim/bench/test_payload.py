"""pack and unpack agree with Amaranth's own layouts."""

import random

import numpy as np
import pytest
from amaranth.hdl import Value, signed, unsigned
from amaranth.lib import data

from triovit.sim.bench.payload import pack, random_value, unpack, width_of

LAYOUT = data.StructLayout(
    {
        "sign": signed(3),
        "rows": data.ArrayLayout(data.ArrayLayout(signed(8), 3), 2),
        "point": data.StructLayout({"x": unsigned(1), "y": signed(33)}),
        "empty": unsigned(0),
        "choice": data.UnionLayout({"low": unsigned(2), "whole": signed(5)}),
    }
)


def without_union(value):
    return {key: item for key, item in value.items() if key != "choice"}


@pytest.mark.parametrize("seed", range(20))
def test_same_bits_as_amaranth(seed):
    value = random_value(LAYOUT, random.Random(seed)) | {"choice": {"whole": -3}}
    constant = Value.cast(LAYOUT.const(value))
    assert pack(LAYOUT, value) == constant.value % (1 << len(constant))
    assert width_of(LAYOUT) == len(constant)
    again = unpack(LAYOUT, pack(LAYOUT, value))
    assert without_union(again) == without_union(value)
    assert again["choice"] == {"low": 1, "whole": -3}


def test_numpy_values_are_welcome():
    rows = np.array([[-128, 0, 127], [1, -1, 5]], np.int8)
    layout = LAYOUT["rows"].shape
    assert unpack(layout, pack(layout, rows)) == rows.tolist()


def test_random_values_reach_the_limits():
    generator = random.Random(0)
    seen = {random_value(signed(16), generator) for _ in range(300)}
    assert {-(1 << 15), (1 << 15) - 1, 0, -1} <= seen
    assert len(seen) > 100


def test_values_that_do_not_fit_are_refused():
    for shape, value in ((signed(8), 128), (signed(8), -129), (unsigned(4), 16), (unsigned(4), -1), (unsigned(0), 1)):
        with pytest.raises(OverflowError, match=f"{value} does not fit"):
            pack(shape, value)
    struct = data.StructLayout({"a": 1, "b": 1})
    with pytest.raises(KeyError, match="'b'"):
        pack(struct, {"a": 1})
    with pytest.raises(KeyError, match="'c'"):
        pack(struct, {"a": 1, "b": 0, "c": 0})
    with pytest.raises(ValueError, match="array of 2 elements expected, not 3"):
        pack(data.ArrayLayout(1, 2), [0, 0, 0])
