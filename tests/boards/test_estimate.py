"""Estimates against what synthesis gave: `make measurements` writes boards/measurements.json."""

import dataclasses
import itertools

import pytest

from triovit.boards import estimate as model
from triovit.boards.devices import BOARDS, Board, Family, Resources
from triovit.boards.estimate import ERROR, can_build, core_dsps, deviation, estimate, estimate_part
from triovit.boards.fit import fit
from triovit.boards.measurements import CORE, count_memory_luts, measurements, resources
from triovit.boards.memories import memories, memory_luts
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


@pytest.mark.parametrize(("family", "measured"), MEASURED)
def test_memories_of_luts_are_exact(family, measured):
    """Those of a core, and those that exist once."""
    for part, cells in measured.parts.items():
        needed = sum(memory_luts(memory, family) for memory in memories(measured.config, part))
        assert needed == count_memory_luts(cells) > 0, part


@pytest.mark.parametrize(("family", "measured"), [p for p in MEASURED if p.values[0] is Family.XILINX])
def test_cores_that_the_fit_has_not_seen(monkeypatch, family, measured):
    """The fit without one measured core foretells it."""
    others = [
        m._replace(parts={part: cells for part, cells in m.parts.items() if part != CORE or m is not measured})
        for m in measurements(family)
    ]
    monkeypatch.setattr(model, "measurements", lambda _: others)
    model._weights.cache_clear()
    try:
        found, core = estimate_part(measured.config, family, CORE), resources(measured.parts[CORE])
    finally:
        model._weights.cache_clear()
    assert abs(found.lut / core.lut - 1) <= ERROR and abs(found.ff / core.ff - 1) <= ERROR


def test_every_legal_configuration_has_an_estimate():
    """More of anything never takes less, and the ends of all ranges are estimated. A large K goes from LUTs to RAMs."""
    for block, family in itertools.product(BLOCKS, Family):
        base = AcceleratorConfig(block=block, data_bytes=block, burst_beats=16)
        least = estimate(base, family)
        assert all(value > 0 for value in least)
        for name, legal in ranges(block, block).items():
            for value in (legal.low, legal.high):
                cores = {"cores": value} if name == "ports" else {}
                config = dataclasses.replace(base, **{name: value}, **cores).validate()
                found = estimate(config, family)
                assert all(number > 0 for number in found), config
                if found.ram > least.ram and name == "attention_bytes":
                    found = found._replace(lut=least.lut)
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
    ("family", "fields", "dsps"),
    [
        (Family.XILINX, {"block": 16, "technology": "ultrascale"}, 256 + 5 * 16 + 8),
        (Family.XILINX, {"block": 16}, 2 * 256 + 5 * 16 + 8),
        (Family.XILINX, {"norm_lanes": 8}, 2 * 64 + 5 * 8 + 36),
        (Family.XILINX, {"accumulator_bits": 28}, 2 * 64 + 6 * 8 + 8),
        (Family.ECP5, {"block": 4}, 2 * 16 + 7 * 4 + 11),
        (Family.ECP5, {"block": 4, "norm_lanes": 2}, 2 * 16 + 7 * 4 + 16),
    ],
)
def test_dsps_of_a_core(family, fields, dsps):
    """Arrays, post-processing, layer norm, each as its own synthesis gave it."""
    assert core_dsps(AcceleratorConfig(**fields), family) == dsps


def test_multipliers_that_an_fpga_lacks():
    """A cell of UltraScale+ is not estimated for others; the board says what it lacks."""
    config = AcceleratorConfig(technology="ultrascale")
    assert can_build(config, Family.XILINX) and not can_build(config, Family.ECP5)
    with pytest.raises(ValueError, match="technology must be generic for ecp5, not ultrascale: DSP48E2 are of Xilinx"):
        estimate(config, Family.ECP5)
    boards = {board.name: fit(config, board) for board in BOARDS}
    assert boards["ZCU102"].verdict == "yes" and boards["ZCU102"].share is not None
    for name in ("PYNQ-Z2", "ULX3S"):
        assert (boards[name].verdict, boards[name].fits, boards[name].text) == ("no", False, "no DSP48E2")
