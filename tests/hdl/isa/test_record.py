"""The post-processing record: one table, the same bytes for NumPy and for the hardware."""

import numpy as np
from amaranth.hdl import Const

from triovit.golden.integer.records import PostParameters
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.record import RECORD, RECORD_BYTES, RECORD_DTYPE

VALUES = {
    "bias": -2, "m1": 0x1234, "n1": 5, "zero_point": -1, "m2": 0xABCD, "n2": 6,
    "residual_shift": 2, "residual_multiplier": 0x345678,
}  # fmt: skip
BYTES = bytes.fromhex("feffffff 3412 05 ff cdab 06 02 78563400")


def test_bytes():
    """What programs in memory rely on."""
    assert np.array(tuple(VALUES.values()), dtype=RECORD_DTYPE).tobytes() == BYTES
    assert RECORD_LAYOUT.const(VALUES).as_bits() == int.from_bytes(BYTES, "little")


def test_size_and_offsets():
    offsets = {"bias": 0, "m1": 4, "n1": 6, "zero_point": 7, "m2": 8, "n2": 10}
    offsets |= {"residual_shift": 11, "residual_multiplier": 12}
    assert RECORD_BYTES == RECORD_DTYPE.itemsize == 16 and RECORD_LAYOUT.size == 128
    assert {name: offset for name, (_, offset) in RECORD_DTYPE.fields.items()} == offsets
    assert {name: field.offset for name, field in RECORD_LAYOUT} == {name: 8 * o for name, o in offsets.items()}


def test_round_trip():
    """Random records written by NumPy and read through the layout, sign and all."""
    rng = np.random.default_rng(3)
    records = np.frombuffer(rng.bytes(200 * RECORD_BYTES), dtype=RECORD_DTYPE)
    for record in records:
        seen = RECORD_LAYOUT.from_bits(int.from_bytes(record.tobytes(), "little"))
        for name in RECORD_DTYPE.names:
            value = seen[name]
            assert (value.value if isinstance(value, Const) else value) == record[name], name
    for field in RECORD:  # both ends of each field were within reach
        assert (records[field.name] < 0).any() == field.signed


def test_it_holds_what_the_network_says_of_a_channel():
    assert set(PostParameters.ARRAYS) == set(RECORD_DTYPE.names)
    for field in RECORD:
        if field.name in PostParameters.RANGES:
            low, high = PostParameters.RANGES[field.name]
            assert field.lowest <= low and high <= field.highest
