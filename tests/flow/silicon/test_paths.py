"""Longest paths of small designs."""

import numpy as np
import pytest

from tests.flow.silicon.netlists import lut, module, netlist, register
from triovit.flow.silicon.delays import ULTRASCALE_PLUS, Stage
from triovit.flow.silicon.graph import TimingGraph
from triovit.flow.silicon.paths import CombinationalLoop, LongestPaths, family
from triovit.flow.silicon.ultrascale import describe
from triovit.golden.errors import Status

NET, LUT, OUT, SETUP = 0.35, 0.10, 0.08, 0.03


def longest(tmp_path, **modules):
    return LongestPaths(TimingGraph(netlist(tmp_path, **modules), describe, ULTRASCALE_PLUS))


def chain(length, first=10):
    """LUTs one behind the other, from bit `first` to bit first + length."""
    return {f"l{k}": lut([first + k], first + k + 1) for k in range(length)}


def ns(luts):
    return OUT + luts * (NET + LUT) + NET + SETUP


def word(width, luts):
    """A register `a` of `width` bits, behind each of them LUTs, and a register `b`."""
    cells = {}
    for k in range(width):
        first = 100 * (k + 1)
        cells |= {f"a{k}": register("0", first), f"b{k}": register(first + luts, first + 99)}
        cells |= {f"x{k}_{name}": cell for name, cell in chain(luts, first).items()}
    names = {"a": [100 * (k + 1) for k in range(width)], "b": [100 * (k + 1) + 99 for k in range(width)]}
    return module(cells=cells, **names)


def test_the_slowest_way_counts(tmp_path):
    """Of three ways to one register the one of three LUTs, wherever its LUTs stand in the file."""
    cells = {"meet": lut([10, 21, 32], 40), "launch": register("0", 10), "capture": register(40, 50)}
    cells |= {"c": lut([31], 32), "a": lut([10], 21), "b": lut([10], 31)}
    found = longest(tmp_path, top=module(cells=cells, hidden=[40], middle=[31], end=[32]))
    (path,) = found.families(5)
    assert path.delay == found.worst == pytest.approx(ns(3))
    assert [(step.name, round(step.arrival, 6), step.stage) for step in path.steps] == [
        ("middle", 0.53, Stage.LUT), ("end", 0.98, Stage.LUT), ("", 1.43, Stage.LUT),
    ]  # fmt: skip
    assert (path.start, path.end, path.pin, path.endpoints) == ("launch", "capture", "D", 1)


def test_the_later_start_counts(tmp_path):
    """A block RAM's output is later than a register's."""
    cells = {
        "early": register("0", 10),
        "late": ("RAMB36E2", {"DOUTADOUT": [11]}, {"DOA_REG": "0"}),
        "meet": lut([10, 11], 12),
        "capture": register(12, 13),
    }
    (path,) = longest(tmp_path, top=module(cells=cells)).families(5)
    assert path.start == "late" and path.delay == pytest.approx(0.95 + NET + LUT + NET + SETUP)


def test_a_start_within_a_path(tmp_path):
    """A LUT RAM's output starts a path of its own, unless what comes through its address is later."""
    for luts, start, delay in ((0, "ram", 0.48), (1, "launch", 0.08 + 2 * (NET + LUT))):
        ram = ("RAM32M16", {"ADDRA": [10 + luts] if luts else ["0"], "DOA": [40]})
        cells = chain(luts) | {"launch": register("0", 10), "ram": ram, "capture": register(40, 50)}
        (path,) = [each for each in longest(tmp_path, top=module(cells=cells)).families(5) if each.end == "capture"]
        assert path.start == start and path.delay == pytest.approx(delay + NET + SETUP)


def test_families(tmp_path):
    """The bits of a word are one, the slowest first, at most as many as asked for."""
    found = longest(
        tmp_path,
        top=module(cells={"slow": ("three", {}), "fast0": ("one", {}), "fast1": ("one", {})}),
        three=word(3, 3),
        one=word(2, 1),
    )
    paths = found.families(10)
    assert [(round(path.delay, 6), path.endpoints) for path in paths] == [(round(ns(3), 6), 3), (round(ns(1), 6), 4)]
    assert family(paths[0].start) == "slow.a[#]" and family(paths[1].end) == "fast#.b[#]"
    assert [path.end for path in found.families(1)] == [paths[0].end] and found.families(0) == []
    assert paths[0].count(Stage.LUT) == 3 and paths[0].count(Stage.CARRY) == 0


def test_endpoints_by_slack(tmp_path):
    found = longest(
        tmp_path,
        top=module(cells={"slow": ("three", {}), "fast": ("one", {})}),
        three=word(3, 3),
        one=word(2, 1),
    )
    np.testing.assert_allclose(found.delays, [ns(3)] * 3 + [ns(1)] * 2)
    assert found.histogram(2.0) == {0.0: 3, 1.0: 2}  # 1.81 and 0.91 ns
    assert found.histogram(1.0, 0.25) == {-1.0: 3, 0.0: 2}
    assert found.histogram(ns(3)) == {0.0: 3, 0.5: 2}  # no slack at all is none missing
    assert (found.above(2.0), found.above(1.0), found.above(0.5)) == (0, 3, 5)
    assert found.above(ns(3)) == 0 and found.above(ns(3) - 0.001) == 3


def test_nothing_to_time(tmp_path):
    found = longest(tmp_path, top=module(cells={"r": register("0", 10)}))
    assert found.worst == 0 and found.families(5) == [] and found.histogram(5) == {} and found.above(5) == 0


def test_paths_without_a_start_are_none(tmp_path):
    """From a net that nothing drives."""
    assert longest(tmp_path, top=module(cells=chain(2) | {"r": register(12, 20)})).families(5) == []


@pytest.mark.parametrize("names", [{"left": [11], "right": [12]}, {}])
def test_loops(tmp_path, names):
    """Named by its nets: not by what leads to it, nor by what it leads to."""
    cells = {"launch": register("0", 10), "a": lut([12, 10], 11), "b": lut([11], 12), "out": lut([12], 13)}
    with pytest.raises(CombinationalLoop, match="the design must have no combinational loop; one passes ") as found:
        longest(tmp_path, top=module({"i": [10]}, {"o": [13]}, cells, **names))
    named = str(found.value).partition("passes ")[2]
    assert set(named.split(", ")) == ({"left", "right"} if names else {"nets without names"})
    assert found.value.status is Status.FAILED


def test_numbers_are_no_part_of_a_family():
    assert family("core12.lane3.product_7[31]") == "core#.lane#.product_#[#]"


def test_through(tmp_path):
    """Instances one behind the other, each once where it comes up; the top module is none."""
    wire = module({"a": [2]}, {"y": [4]}, {"l": lut([2], 3), "m": lut([3], 4)})
    cells = {
        "launch": register("0", 10),
        "x": ("wire", {"a": [10], "y": [11]}),
        "own": lut([11], 12),
        "y": ("wire", {"a": [12], "y": [13]}),
        "again": ("wire", {"a": [13], "y": [14]}),
        "capture": register(14, 20),
    }
    (path,) = longest(tmp_path, top=module(cells=cells), wire=wire).families(1)
    assert path.through == ["x", "y", "again"] and path.count(Stage.LUT) == 7
