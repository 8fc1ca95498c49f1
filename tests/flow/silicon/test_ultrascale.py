"""Delays through single cells of UltraScale+, computed by hand from the table of delays."""

import re

import pytest

from tests.flow.silicon.netlists import lut, module, netlist, register
from triovit.flow.errors import UsageError
from triovit.flow.silicon.delays import ULTRASCALE_PLUS, Stage
from triovit.flow.silicon.graph import TimingGraph
from triovit.flow.silicon.paths import LongestPaths
from triovit.flow.silicon.ultrascale import describe

NET, LUT, OUT, SETUP = 0.35, 0.10, 0.08, 0.03  # a flip-flop's output and input
BETWEEN = {"launch": register("0", 10), "capture": register(20, 99)}  # registers around a cell


def paths(tmp_path, cells):
    """All families of paths of a flat design, by (start, end, pin)."""
    found = netlist(tmp_path, top=module(cells=cells))
    longest = LongestPaths(TimingGraph(found, describe, ULTRASCALE_PLUS))
    return {(family.start, family.end, family.pin): family for family in longest.families(1000)}


def delays(tmp_path, cells):
    return {key: pytest.approx(family.delay, abs=1e-9) for key, family in paths(tmp_path, cells).items()}


def test_register_to_register(tmp_path):
    assert delays(tmp_path, {"a": register("0", 10), "b": register(10, 11, CE=10, R=12), "c": register(10, 12)}) == {
        ("a", "b", "CE"): OUT + NET + 0.08,
        ("a", "c", "D"): OUT + NET + SETUP,
        ("c", "b", "R"): OUT + NET + 0.08,
    }


def test_set(tmp_path):
    cells = {"a": register("0", 10), "b": ("FDSE", {"C": [2], "D": ["1"], "S": [10], "Q": [11]})}
    assert delays(tmp_path, cells) == {("a", "b", "S"): OUT + NET + 0.08}


def test_luts(tmp_path):
    """A LUT is a net and 0.1 ns; an inverter is a part of what it feeds."""
    cells = BETWEEN | {"one": lut([10, "1", 10], 11), "two": lut([11], 12), "not": ("INV", {"I": [12], "O": [20]})}
    found = paths(tmp_path, cells)["launch", "capture", "D"]
    assert found.delay == pytest.approx(OUT + 2 * (NET + LUT) + NET + SETUP)
    assert found.count(Stage.LUT) == 2


def test_multiplexers(tmp_path):
    for pin in ("I0", "I1", "S"):
        found = paths(tmp_path, BETWEEN | {"mux": ("MUXF7", {pin: [10], "O": [20]})})["launch", "capture", "D"]
        assert found.delay == pytest.approx(OUT + NET + 0.08 + NET + SETUP)
        assert found.count(Stage.MULTIPLEXER) == 1


def carry(**pins):
    return "CARRY4", {"O": [30, 31, 32, 33], "CO": [40, 41, 42, 43]} | pins


@pytest.mark.parametrize(
    ("pins", "output", "delay"),
    [
        ({"S": [10]}, 30, NET + 0.12 + 0.10),
        ({"S": [10]}, 33, NET + 0.12 + 3 * 0.015 + 0.10),
        ({"S": ["0", "0", 10]}, 42, NET + 0.12),
        ({"S": ["0", 10]}, 43, NET + 0.12 + 2 * 0.015),
        ({"DI": [10]}, 31, NET + 0.12 + 0.015 + 0.10),
        ({"DI": [10]}, 40, NET + 0.12),
        ({"CYINIT": [10]}, 30, NET + 0.10),
        ({"CYINIT": [10]}, 42, NET + 2 * 0.015),
        ({"CI": [10]}, 32, 2 * 0.015 + 0.10),
        ({"CI": [10]}, 43, 3 * 0.015),
    ],
)
def test_carry(tmp_path, pins, output, delay):
    cells = {"launch": register("0", 10), "capture": register(output, 99), "carry": carry(**pins)}
    found = paths(tmp_path, cells)["launch", "capture", "D"]
    assert found.delay == pytest.approx(OUT + delay + NET + SETUP)
    assert found.count(Stage.CARRY) == 1


def test_carry_does_not_go_back(tmp_path):
    """A sum does not depend on higher bits, nor on its own other operand but through S."""
    for pins, output in (({"S": ["0", 10]}, 30), ({"DI": [10]}, 30), ({"S": ["0", 10]}, 40)):
        assert not paths(tmp_path, {"launch": register("0", 10), "c": register(output, 99), "x": carry(**pins)})


def test_chain_of_carries(tmp_path):
    cells = {
        "launch": register("0", 10),
        "low": carry(S=[10]),
        "high": ("CARRY4", {"CI": [43], "O": [50, 51, 52, 53]} | {"CO": [60, 61, 62, 63]}),
        "capture": register(53, 99),
    }
    found = paths(tmp_path, cells)["launch", "capture", "D"]
    assert found.delay == pytest.approx(OUT + NET + 0.12 + 3 * 0.015 + 3 * 0.015 + 0.10 + NET + SETUP)
    assert found.count(Stage.CARRY) == 2


def test_shift_register(tmp_path):
    pins = {"A0": ["1"], "A1": [11], "CE": [12], "CLK": [2], "D": [10], "Q": [20]}
    cells = BETWEEN | {"a": register("0", 11), "ce": register("0", 12), "shift": ("SRL16E", pins)}
    assert delays(tmp_path, cells) == {
        ("launch", "shift", "D"): OUT + NET + SETUP,
        ("ce", "shift", "CE"): OUT + NET + 0.08,
        ("a", "capture", "D"): OUT + NET + LUT + NET + SETUP,
    }
    del pins["A1"]
    assert delays(tmp_path, cells)["shift", "capture", "D"] == 0.35 + NET + SETUP


def test_lut_ram(tmp_path):
    """Read like a LUT; written at the last address."""
    pins = {
        "ADDRA": [11, "0"], "ADDRB": [14, "0"], "ADDRH": [12], "DIA": [10], "DOA": [20], "DOB": [21], "WE": [13],
        "WCLK": [2],
    }  # fmt: skip
    cells = BETWEEN | {
        "read": register("0", 11), "read_b": register("0", 14), "write": register("0", 12), "we": register("0", 13),
        "ram": ("RAM32M16", pins), "b": register(21, 98),
    }  # fmt: skip
    assert delays(tmp_path, cells) == {
        ("read", "capture", "D"): OUT + NET + LUT + NET + SETUP,
        ("read_b", "b", "D"): OUT + NET + LUT + NET + SETUP,
        ("launch", "ram", "DIA"): OUT + NET + 0.15,
        ("write", "ram", "ADDRH"): OUT + NET + 0.15,
        ("we", "ram", "WE"): OUT + NET + 0.15,
    }
    pins["ADDRA"] = ["0"]
    assert delays(tmp_path, cells)["ram", "capture", "D"] == 0.48 + NET + SETUP


@pytest.mark.parametrize("kind", ["RAMB36E2", "RAMB18E2"])
@pytest.mark.parametrize(("registers", "out"), [({"DOA_REG": "0", "DOB_REG": "1"}, 0.95), ({}, 0.35)])
def test_block_ram(tmp_path, kind, registers, out):
    pins = {"CLKARDCLK": [2], "ADDRARDADDR": [10], "ENARDEN": [11], "WEBWE": ["0", 12], "DOUTADOUT": [20]}
    cells = BETWEEN | {"en": register("0", 11), "we": register("0", 12), "ram": (kind, pins, registers)}
    assert delays(tmp_path, cells) == {
        ("launch", "ram", "ADDRARDADDR"): OUT + NET + 0.30,
        ("en", "ram", "ENARDEN"): OUT + NET + 0.30,
        ("we", "ram", "WEBWE"): OUT + NET + 0.30,
        ("ram", "capture", "D"): out + NET + SETUP,
    }
    pins["DOUTPBDOUTP"] = [20]
    del pins["DOUTADOUT"]
    assert delays(tmp_path, cells)["ram", "capture", "D"] == 0.35 + NET + SETUP


def test_cells_that_the_model_does_not_know(tmp_path):
    found = netlist(tmp_path, top=module(cells={"x": ("URAM288", {"DIN_A": [2]})}))
    with pytest.raises(UsageError, match=re.escape("top holds a URAM288 (x); its delays belong into")):
        TimingGraph(found, describe, ULTRASCALE_PLUS)


def test_cells_without_timing(tmp_path):
    assert not paths(tmp_path, {"x": ("VCC", {"P": [2]}), "y": ("$scopeinfo", {})})
