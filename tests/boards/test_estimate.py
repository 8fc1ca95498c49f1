"""Estimates against what synthesis gave: `make measurements` writes boards/measurements.json."""

import dataclasses
import itertools

import pytest

from triovit.boards import estimate as model
from triovit.boards.devices import BOARDS, Board, Family, Resources
from triovit.boards.estimate import ERROR, core_dsps, deviation, estimate
from triovit.boards.fit import fit
from triovit.boards.measurements import measurements, resources
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.config.ranges import BLOCKS, ranges

MEASURED = [
    pytest.param(family, measured, id=f"{family}-{measured.config.name}")
    for family in Family
    for measured in measurements(family)
]


@pytest.mark.parametrize(("family", "measured"), MEASURED)
def test_measured_configurations(family, measured):
    """DSPs and block RAMs to the last one, LUTs and flip-flops within the error that is told."""
    off = deviation(measured, family)
    assert off.dsp == 0 and off.ram == 0
    assert abs(off.lut) <= ERROR and abs(off.ff) <= ERROR


@pytest.mark.parametrize(("family", "measured"), [p for p in MEASURED if p.values[0] is Family.XILINX])
def test_configurations_that_the_fit_has_not_seen(monkeypatch, family, measured):
    """The fit without one measurement foretells it."""
    others = tuple(m for m in measurements(family) if m is not measured)
    monkeypatch.setattr(model, "measurements", lambda _: others)
    model._weights.cache_clear()
    try:
        off = deviation(measured, family)
    finally:
        model._weights.cache_clear()
    assert abs(off.lut) <= ERROR and abs(off.ff) <= ERROR


def test_every_legal_configuration_has_an_estimate():
    """More of anything never takes less, and the ends of all ranges are estimated."""
    for block, family in itertools.product(BLOCKS, Family):
        base = AcceleratorConfig(block=block, data_bytes=block, burst_beats=16)
        least = estimate(base, family)
        assert all(value > 0 for value in least)
        for name, legal in ranges(block, block).items():
            for value in (legal.low, legal.high):
                config = dataclasses.replace(base, **{name: value}).validate()
                found = estimate(config, family)
                assert all(number > 0 for number in found), config
                if value >= getattr(base, name):
                    assert all(more >= fewer for more, fewer in zip(found, least, strict=True)), (name, value)


def test_cores_are_alike():
    one, four = (estimate(AcceleratorConfig(cores=cores), Family.XILINX) for cores in (1, 4))
    assert four.dsp == 4 * one.dsp and four.lut < 4 * one.lut


def test_cells_count():
    cells = {"LUT6": 3, "RAM32M16": 1, "SRL16E": 2, "FDRE": 4, "FDSE": 1, "DSP48E2": 2, "RAMB36E2": 1, "RAMB18E2": 1}
    assert resources(cells) == Resources(lut=13, ff=5, dsp=2, ram=1.5)
    assert resources({"LUT4": 2, "CCU2C": 1, "MULT18X18D": 1, "DP16KD": 3}) == Resources(4, 0, 1, 3)


def test_fit():
    config = PRESETS["trio-tiny"]
    needs = estimate(config, Family.XILINX)
    for share, verdict in ((0.5, "yes"), (0.9, "tight"), (1.0, "tight"), (1.5, "no")):
        board = Board("x", "y", Family.XILINX, Resources(10**9, 10**9, 10**9, needs.ram / share), "")
        found = fit(config, board)
        assert found.scarcest == "RAM" and found.share == pytest.approx(share) and found.verdict == verdict


def test_boards_are_named_once():
    assert len({board.name for board in BOARDS}) == len(BOARDS)
    assert all(value > 0 for board in BOARDS for value in board.has)


@pytest.mark.parametrize(
    ("family", "block", "dsps"),
    [
        (Family.XILINX, 16, 2 * 256 + 96 + 68),
        (Family.ECP5, 4, 2 * 16 + 24 + 26),
        (Family.ECP5, 8, 2 * 64 + 48 + 46),
        (Family.ECP5, 16, 2 * 256 + 96 + 86),
    ],
)
def test_dsps_of_a_core(family, block, dsps):
    """Arrays, post-processing, layer norm; layer norm as its own synthesis gave it."""
    assert core_dsps(block, family) == dsps
