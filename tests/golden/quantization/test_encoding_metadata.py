"""Encodings in a network's metadata: they come back bit for bit, and what is none is refused."""

import dataclasses
import json

import numpy as np
import pytest

from tests.networks import small_network
from triovit.golden.quantization.encoding import Encoding, from_metadata, pixel_encoding, to_metadata
from triovit.golden.quantization.settings import QuantizationError

NETWORK = small_network(1)


def with_entries(entries):
    return dataclasses.replace(NETWORK, metadata={"encodings": json.loads(json.dumps(entries))})


def test_they_come_back_as_they_were():
    rng = np.random.default_rng(0)
    channels = NETWORK.shapes()["stem"][0]
    assert channels == 8
    encodings = {
        "input": pixel_encoding((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "stem": Encoding(rng.random(8), rng.integers(-128, 128, 8)),
        "ds.depthwise": Encoding(np.full(8, 0.1), np.zeros(8, dtype=np.int64)),
        "ds.point": Encoding(np.repeat(rng.random(2), 4), np.repeat([3, -5, 3, 7], 2)),
    }
    entries = to_metadata(encodings)
    assert [len(entries[name]["scale"]) for name in encodings] == [3, 8, 1, 2]
    assert [len(entries[name]["zero_point"]) for name in encodings] == [3, 8, 1, 4]
    back = from_metadata(with_entries(entries))
    assert back.keys() == encodings.keys()
    for name, encoding in encodings.items():
        for what in ("scale", "zero_point"):
            found, expected = getattr(back[name], what), getattr(encoding, what)
            assert found.dtype == expected.dtype and np.array_equal(found, expected), (name, what)


def test_none():
    assert from_metadata(NETWORK) == {}


@pytest.mark.parametrize(
    "entries, message",
    [
        ([], "must be an object, not list"),
        ({"nowhere": {"scale": [1.0], "zero_point": [0]}}, "no tensor 'nowhere'"),
        ({"stem": {"scale": [1.0]}}, "encoding of stem must have lists of numbers"),
        ({"stem": {"scale": [1.0] * 3, "zero_point": [0]}}, "that divide 8 channels"),
        ({"stem": {"scale": [], "zero_point": [0]}}, "that divide 8 channels"),
        ({"stem": {"scale": [True], "zero_point": [0]}}, "lists of numbers"),
        ({"stem": {"scale": ["1"], "zero_point": [0]}}, "lists of numbers"),
        ({"stem": {"scale": 1.0, "zero_point": [0]}}, "lists of numbers"),
        ({"stem": 5}, "lists of numbers"),
        ({"stem": {"scale": [0.0], "zero_point": [0]}}, "scales must be finite and positive"),
        ({"stem": {"scale": [float("nan")], "zero_point": [0]}}, "scales must be finite and positive"),
        ({"stem": {"scale": [1.0], "zero_point": [float("inf")]}}, "zero points finite"),
    ],
    ids=str,
)
def test_what_is_none(entries, message):
    with pytest.raises(QuantizationError, match=message) as error:
        from_metadata(with_entries(entries))
    assert "\n" not in str(error.value)
