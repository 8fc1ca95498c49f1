"""Placement and routing: nextpnr's report, and a run of it where it is installed."""

import pytest

from triovit.flow.errors import UsageError
from triovit.flow.silicon import place_and_route as tool
from triovit.flow.silicon.place_and_route import Routed, read_report, show_routed
from triovit.sim.toolchain import ToolchainError

COUNTER = """
module counter(input clk, input [15:0] step, output reg [15:0] value);
  always @(posedge clk) value <= value + step;
endmodule
"""


def hop(kind, delay, source="x", target="y", net=""):
    found = {"type": kind, "delay": delay, "from": {"cell": source}, "to": {"cell": target}}
    return found | ({"net": net} if kind == "routing" else {})


def report(**changes):
    long = [
        hop("clk-to-q", 0.5),
        hop("routing", 2.0, net="lane.gated_TRELLIS_FF_Q_4"),
        hop("logic", 0.25),
        hop("routing", 1.0, net="lane.sum_LUT4_Z"),
        hop("logic", 0.25),
        hop("routing", 1.0, net="lane.rounded[3]"),
        hop("routing", 0.5, net="$made"),
        hop("routing", 0.5, net="lane.rounded[3]"),
        hop("setup", 0.0, target="lane.o_TRELLIS_FF_Q_20_DI_LUT4_Z"),
    ]
    short = [hop("clk-to-q", 0.5), hop("routing", 0.5, net="a"), hop("setup", 0.25, target="b_TRELLIS_FF_Q")]
    cell = {"used": 3, "available": 10}
    return {
        "fmax": {"clk": {"achieved": 80.0, "constraint": 100.0}, "other": {"achieved": 90.0, "constraint": 100.0}},
        "utilization": {"TRELLIS_COMB": cell, "DTR": {"used": 0, "available": 1}, "MULT18X18D": cell},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": [*long, hop("routing", 99.0, net="port")]},
            {"from": "posedge clk", "to": "posedge clk", "path": short},
            {"from": "posedge clk", "to": "posedge clk", "path": long},
            {"from": "posedge clk", "to": "<async>", "path": [*long, hop("routing", 99.0, net="port")]},
        ],
    } | changes


def test_report():
    assert read_report(report(), "ecp5-85k", 100.0) == Routed(
        "ecp5-85k", 80.0, 100.0, {"TRELLIS_COMB": (3, 10), "MULT18X18D": (3, 10)}, 6.0, 1.0,
        ("lane.gated", "lane.rounded[3]", "lane.o"),
    )  # fmt: skip
    found = read_report(report(fmax={}, critical_paths=[]), "ecp5-25k", 50.0)
    assert (found.megahertz, found.delay, found.nets) == (None, 0, ())
    assert found.report()["path"] == {"delay": 0, "logic": 0, "nets": []}


def test_a_path_without_a_wire():
    """From a cell to itself."""
    path = [hop("clk-to-q", 0.5, source="r_TRELLIS_FF_Q_1"), hop("setup", 0.0, target="r_TRELLIS_FF_Q_1")]
    paths = [{"from": "posedge clk", "to": "posedge clk", "path": path}]
    assert read_report(report(critical_paths=paths), "ecp5-85k", 1.0).nets == ("r",)


def test_what_is_printed(capsys):
    found = read_report(report(), "ecp5-85k", 100.0)
    show_routed("lane", found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "lane: 80.0 MHz, placed and routed on ecp5-85k (target 100 MHz, no pins, seed 1)",
        "critical path 6.00 ns (1.00 ns in cells, 5.00 ns in wires): lane.gated -> lane.o",
        "  through lane.rounded[3]",
    ]
    assert "30.0%" in lines[-2]
    many = Routed("ecp5-85k", None, 100.0, {}, 1.0, 1.0, ("a", *(f"n{k}" for k in range(10)), "z"))
    show_routed("lane", many)
    out = capsys.readouterr().out
    assert out.startswith("lane: no path between registers, ") and "n6, n7 and 2 more\n" in out
    show_routed("lane", Routed("ecp5-85k", 99.0, 100.0, {}, 1.0, 1.0, ("a", "z")))
    assert "through" not in capsys.readouterr().out


def test_phases():
    log = "Info: Packing LUTs..\nInfo: Placing cells now\nInfo: Running main analytical placer, max 2\nInfo:   at 5\n"
    assert tool._phase(log) == "running main analytical placer, max 2"
    assert tool._phase("") == "starting"


def test_without_nextpnr(monkeypatch):
    monkeypatch.setattr(tool, "MODULE", "nextpnr_that_is_not_there")
    with pytest.raises(UsageError, match=r"need nextpnr, which is not installed: pip install 'triovit\[route\]'"):
        tool.check_tool()


@pytest.fixture
def counter(tmp_path, monkeypatch):
    pytest.importorskip(tool.MODULE, reason="needs the extra route")
    (tmp_path / "counter.v").write_text(COUNTER)
    return [tmp_path / "counter.v"]


def test_counter(counter):
    told = []
    found = tool.place_and_route(counter, "ecp5-85k", "counter", 100.0, lambda *words: told.append(words))
    assert found.megahertz > 100 and 1.5 < found.delay < 10 and 0 < found.logic < found.delay
    assert found.cells["TRELLIS_FF"] == (16, 83640) and found.cells["TRELLIS_COMB"][0] >= 16
    assert found.nets[0].startswith("value[") and found.nets[-1].startswith("value")
    told.clear()
    assert tool.place_and_route(counter, "ecp5-85k", "counter", 100.0, lambda *words: told.append(words)) == found
    assert not told  # kept
    assert tool.place_and_route(counter, "ecp5-25k", "counter", 100.0).cells["TRELLIS_FF"] == (16, 24288)


def test_errors_of_nextpnr(counter, monkeypatch):
    monkeypatch.setattr(tool, "PARTS", {"ecp5-25k": (*tool.PARTS["ecp5-25k"], "--nothing")})
    with pytest.raises(ToolchainError, match=r"nextpnr failed: .*nothing"):
        tool.place_and_route(counter, "ecp5-25k", "counter", 100.0)
