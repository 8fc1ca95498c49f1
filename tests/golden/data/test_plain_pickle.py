"""Pickles of plain data, of Python 2 and 3; and those that would run something."""

import os
import pickle
import pickletools

import numpy as np
import pytest

from tests.golden.data.public_archives import python2
from triovit.golden.data.plain_pickle import PickleError, read_pickle


def same(found, expected):
    return all(
        np.array_equal(found[key], value) if isinstance(value, np.ndarray) else found[key] == value
        for key, value in expected.items()
    )


@pytest.fixture
def values():
    return {
        "data": np.random.default_rng(1).integers(0, 256, (7, 3072), dtype=np.uint8),
        "labels": [3, 0, 300, 70000, -1],
        "many": list(range(2500)),
        "names": [b"a", b"\xe9" * 400],
    }


def test_the_writer_of_these_tests_writes_what_python_reads(values):
    loaded = pickle.loads(python2({key.encode(): value for key, value in values.items()}), encoding="bytes")
    assert same({key.decode(): value for key, value in loaded.items()}, values)


def test_python_2(values):
    assert same(read_pickle(python2({key.encode(): value for key, value in values.items()}), "x"), values)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_python_3(values, protocol):
    assert same(read_pickle(pickle.dumps(values, protocol), "x"), values)


def test_an_array_in_the_order_of_columns():
    array = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert np.array_equal(read_pickle(pickle.dumps({"a": array}, 2), "x")["a"], array)


class Evil:
    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def test_nothing_is_run_or_imported(tmp_path):
    marker = tmp_path / "marker"
    for protocol in range(6):
        for value in (
            Evil(os.system, f"touch {marker}"),
            Evil(eval, "1"),
            Evil(np.load, "x"),
            Evil(getattr, 1, "real"),
        ):
            with pytest.raises(PickleError, match=r"^evil: cannot be read as a pickle of plain data"):
                read_pickle(pickle.dumps({"a": value}, protocol), "evil")
    assert not marker.exists()
    with pytest.raises(PickleError, match=r"posix\.system is not plain data"):
        read_pickle(pickle.dumps({"a": Evil(os.system, "true")}, 2), "x")


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"a": np.zeros(3)}, 2),  # not bytes
        pickle.dumps({"a": np.zeros(3, object)}, 2),
        pickle.dumps([1, 2], 2),
        pickle.dumps({"a": {1, 2}}, 2),
        b"",
        b"\x80\x02}q\x01.."[:-2],
        b"\x80\x02e.",
        b"\x80\x02h\x07.",
        b"\x80\x02K\x01K\x02R.",
        b"\x80\x02cnumpy\ndtype\nU\x02O8\x85R.",
        b"\x80\x02}(K\x01u.",
        np.random.default_rng(0).bytes(64),
    ],
    ids=lambda data: repr(data)[:20],
)
def test_what_is_refused(data):
    with pytest.raises(PickleError) as caught:
        read_pickle(data, "x")
    assert "\n" not in str(caught.value)


def test_every_damage_of_a_file_is_one_error(values):
    whole = python2({b"labels": [1, 2, 3], b"data": np.zeros((2, 4), np.uint8)})
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            read_pickle(bytes(data[: rng.integers(1, len(data) + 1)]), "x")
        except PickleError:
            continue
    assert pickletools.optimize(whole)  # what is damaged was whole
