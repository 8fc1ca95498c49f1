"""LeadingOneDetector and Log2Quantizer."""

import pytest
from amaranth.lib import data

from tests.hdl.aux.kernels import simulate
from triovit.hdl.aux.log2_quantizer import LeadingOneDetector, Log2Quantizer
from triovit.sim.bench import run_bench


def test_bench():
    run_bench(Log2Quantizer(), "tests.hdl.aux.bench_log2_quantizer", name="log2_quantizer")


@pytest.mark.parametrize("width", [3, 4, 5, 8, 9])
def test_detector_every_value(width):
    values = range(1 << width)
    found = simulate(LeadingOneDetector(width), values)
    assert [item["index"] for item in found] == LeadingOneDetector.model(values).tolist()
    assert [item["nonzero"] for item in found] == [int(value > 0) for value in values]
    assert [item["below"] for item in found] == [int(f"{value:b}"[1:2] or 0) for value in values]


@pytest.mark.parametrize("width", [4, 7])
def test_narrow_quantizer_every_value_and_offset(width):
    items = [(value, offset) for value in range(-(1 << (width - 1)), 1 << (width - 1)) for offset in range(-32, 32, 5)]
    outputs = simulate(Log2Quantizer(width), [{"value": value, "offset": offset} for value, offset in items])
    assert outputs == [int(Log2Quantizer.model(value, offset)) for value, offset in items]


@pytest.mark.parametrize(
    ("kind", "width", "low"),
    [(LeadingOneDetector, 2, 3), (LeadingOneDetector, 33, 3), (Log2Quantizer, 3, 4), (Log2Quantizer, 33, 4)],
)
def test_width(kind, width, low):
    with pytest.raises(ValueError, match=rf"width must be {low}\.\.32, not {width}"):
        kind(width)


def test_widest_detector():
    values = [0, 1, (1 << 32) - 1, 1 << 31, 3 << 30, (3 << 30) - 1, 0xA0000000]
    found = simulate(LeadingOneDetector(32), values)
    assert [(item["index"], item["below"]) for item in found] == [
        (0, 0), (0, 0), (31, 1), (31, 0), (31, 1), (31, 0), (31, 0),
    ]  # fmt: skip
    assert LeadingOneDetector(32).o.shape() == data.StructLayout({"index": 5, "below": 1, "nonzero": 1})
    assert (LeadingOneDetector(32).latency, Log2Quantizer().latency) == (2, 3)
